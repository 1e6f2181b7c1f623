/** What agents did, by what a record says: the ground of an access review. */

import { textAt, textsAt, valueAt, type JsonRecord } from '../author/json-path.ts'
import { rawMembersWith, type RawMembers } from '../author/raw-members.ts'
import { AgentUse } from './agent-use.ts'
import { readOwn, type OwnLine } from './own-line.ts'

export interface UseOptions {
  /** Epoch ms; null: from the beginning. */
  readonly since: number | null
  /** The registration of a workload, where it is known; lines of calls say it themselves. */
  readonly registrationOf: (caller: string) => string | null
  readonly damaged: (line: number, why: string) => void
}

/** What was asked of a person about one call or task. */
interface Asked {
  readonly caller: string
  readonly tool: string
  readonly opened: number
  state: string
  ended: number | null
}

export interface AllUse {
  readonly lines: number
  readonly calls: number
  readonly damaged: number
  /** Epoch ms of the first and the last line in the span; null: there is none. */
  readonly first: number | null
  readonly last: number | null
  /** Of the first line of the record, whatever the span is. */
  readonly begins: number | null
  /** By registration. */
  readonly agents: ReadonlyMap<string, AgentUse>
}

/** Places of a line without which nobody knows what was used. */
const known = /^\/input($|\/(tool|task|delegation)(\/|$))/

/** A record of years must not fill the memory. */
const mostKept = 100_000

/** Reads a record once. */
export async function readUse(lines: AsyncIterable<string | null>, options: UseOptions): Promise<AllUse> {
  const gathering = new Gathering(options)
  let number = 0
  for await (const text of lines) {
    if (text === '') continue
    number++
    const line = text === null ? null : readOwn(text)
    if (line === null) gathering.broken(number, text === null ? 'it is too long' : 'it is no line of a ledger')
    else gathering.add(line, text ?? '')
  }
  return gathering.use()
}

class Gathering {
  readonly #options: UseOptions
  #lines = 0
  #calls = 0
  #damaged = 0
  #first: number | null = null
  #last: number | null = null
  #begins: number | null = null
  readonly #agents = new Map<string, AgentUse>()
  /** Workload → its registration. Lines of outcomes and events name the workload alone. */
  readonly #registered = new Map<string, string>()
  readonly #asked = new Map<string, Asked>()

  constructor(options: UseOptions) {
    this.#options = options
  }

  broken(number: number, why: string): void {
    this.#damaged++
    this.#options.damaged(number, why)
  }

  add(line: OwnLine, text: string): void {
    const { time, own } = line
    this.#begins ??= time
    if (this.#options.since !== null && time < this.#options.since) return
    this.#lines++
    this.#first = Math.min(this.#first ?? time, time)
    this.#last = Math.max(this.#last ?? time, time)
    const kind = textAt(own, 'kind')
    const caller = textAt(own, 'caller')
    const agent = textAt(own, 'agent')
    if (agent !== '' && caller !== '' && this.#registered.size < mostKept) this.#registered.set(caller, agent)
    if (kind === 'decision' || kind === 'refusal') this.#calls++
    if (kind === 'decision') this.#permitted(line, text)
    else if (kind === 'refusal') this.#of(agent, caller)?.refused(line)
    else if (kind === 'outcome') this.#of('', caller)?.ended(line)
    else if (kind === 'event') this.#event(line)
  }

  /** The use of an agent by its registration, or by the workload; null for strangers. */
  #of(agent: string, caller: string): AgentUse | null {
    const id = agent || this.#registered.get(caller) || (caller === '' ? null : this.#options.registrationOf(caller))
    if (id === null || id === undefined || id === '') return null
    let use = this.#agents.get(id)
    if (use === undefined) {
      if (this.#agents.size >= mostKept) return null
      this.#agents.set(id, (use = new AgentUse(id)))
    }
    return use
  }

  #permitted(line: OwnLine, text: string): void {
    const asked = askedIn(text)
    this.#of(textAt(line.own, 'agent'), textAt(line.own, 'caller'))?.permitted(line, asked)
    // what is done at the end of a delegation is done by leave of everybody along it
    const chain = asked === null ? [] : valueAt(asked, 'delegation.chain')
    for (const link of Array.isArray(chain) ? chain : []) {
      const party = textAt(link, 'party')
      const above = this.#of('', party.startsWith('agent:') ? party.slice(6) : party)
      if (asked !== null) above?.handedOn(line, asked)
    }
  }

  #event({ time, own }: OwnLine): void {
    const event = textAt(own, 'event')
    const caller = textAt(own, 'caller')
    const detail = own['detail']
    if (event === 'task.opened') this.#of(textAt(detail, 'agent'), caller)?.opened(textAt(own, 'task'), time)
    else if (event.startsWith('approval.')) this.#approval(event.slice('approval.'.length), { time, own, detail, caller })
    else if (event.startsWith('agent.')) {
      const use = this.#of(textAt(detail, 'agent'), '')
      use?.told(event, textAt(own, 'by'), time)
    }
  }

  #approval(state: string, { time, own, detail, caller }: { time: number; own: JsonRecord; detail: unknown; caller: string }): void {
    const id = textAt(detail, 'approval')
    if (state === 'opened' && this.#asked.size < mostKept)
      this.#asked.set(id, { caller, tool: textAt(detail, 'tool'), opened: time, state: 'open', ended: null })
    const asked = this.#asked.get(id)
    if (state === 'granted') this.#of('', caller)?.granted(textAt(own, 'by'))
    if (state === 'answered') this.#of('', caller)?.answered(textAt(own, 'by'), textAt(detail, 'verdict'))
    if (asked === undefined) return
    if (['approved', 'declined', 'expired', 'withdrawn'].includes(state) && asked.state === 'open') {
      asked.state = state
      asked.ended = time
    }
  }

  use(): AllUse {
    for (const { caller, tool, opened, state, ended } of this.#asked.values())
      this.#of('', caller)?.asked(tool, state, ended === null ? null : ended - opened)
    return {
      lines: this.#lines,
      calls: this.#calls,
      damaged: this.#damaged,
      first: this.#first,
      last: this.#last,
      begins: this.#begins,
      agents: this.#agents,
    }
  }
}

/** The members of the input that a review reads; null where the record hides them. The rest of it is not even parsed. */
function askedIn(text: string): JsonRecord | null {
  const read = rawMembersWith(text, 'input')
  if (read === null || read.inner === null) return null
  const value = (members: RawMembers, name: string): unknown => JSON.parse(members.get(name) ?? 'null')
  const { members, inner } = read
  try {
    const places = { erased: value(members, 'erased'), masked: value(members, 'masked') }
    if ([...textsAt(places, 'erased'), ...textsAt(places, 'masked')].some((place) => known.test(place))) return null
    return { tool: value(inner, 'tool'), task: value(inner, 'task'), delegation: value(inner, 'delegation') }
  } catch {
    return null
  }
}
