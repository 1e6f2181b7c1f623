/** What tasks really did, agent by agent: the ground of a least-privilege draft. */

import { judgedCalls, lineCount, type LineCount, type Recorded } from './ledger-inputs.ts'
import { isRecord, textAt, textsAt, valueAt, type JsonRecord } from './json-path.ts'
import { narrowest } from './narrowest.ts'
import { Tally } from './tally.ts'

/** One tool as an agent used it. */
export interface LearnedTool {
  readonly name: string
  readonly effect: string
  readonly calls: number
  /** Resources seen, and patterns that cover them and little else. */
  readonly resources: readonly string[]
  readonly patterns: readonly string[]
  /** Whether it was used without a resource. */
  readonly bare: boolean
  readonly data: readonly string[]
  readonly egress: readonly string[]
  readonly routes: readonly string[]
  /** Tools that came right before it; empty text for the first call of a task. */
  readonly after: readonly string[]
}

export interface LearnedAgent {
  /** Id of the registration. */
  readonly id: string
  /** Short and good for file names and rule ids. */
  readonly name: string
  readonly purpose: string
  readonly owners: JsonRecord | null
  readonly autonomy: string
  readonly hosting: string
  readonly tasks: readonly string[]
  readonly tools: readonly LearnedTool[]
  /** Meter → most that one task spent. */
  readonly spent: Readonly<Record<string, number>>
  /** Longest that one task was at work, ms. */
  readonly life: number
  /** Destinations, as the record names them. */
  readonly hosts: readonly string[]
  /** An input of each kind of call, for tests. */
  readonly samples: readonly JsonRecord[]
}

/** A call that was not learned from. */
export interface NotLearned {
  readonly why: string
  readonly calls: number
}

export interface Learned {
  readonly read: LineCount
  readonly agents: readonly LearnedAgent[]
  readonly not_learned: readonly NotLearned[]
  /** Tasks that were named and have no judged call in the record. */
  readonly missing: readonly string[]
}

export interface LearnOptions {
  readonly tasks: ReadonlySet<string>
  /** Learn from calls that were refused or only observed too. */
  readonly includeDenied: boolean
  readonly damaged: (line: number, why: string) => void
}

/** Reads a record and keeps what the named tasks did. */
export async function learn(lines: AsyncIterable<string | null>, options: LearnOptions): Promise<Learned> {
  const { tasks, includeDenied } = options
  const read = lineCount()
  const agents = new Map<string, Gathering>()
  const not = new Tally()
  const seen = new Set<string>()
  for await (const recorded of judgedCalls(lines, read, options.damaged)) {
    const task = textAt(recorded.own, 'task')
    if (!tasks.has(task)) continue
    seen.add(task)
    const { input, said, code, observed, hidden } = recorded
    const tool = textAt(input, 'tool.name')
    const masked = hidden.some((place) => place.startsWith('/input') && place !== '/input/request/body/parsed')
    const id = textAt(input, 'agent.id')
    if (input === null || masked || tool === '' || id === '') not.add('part of the call is masked in the record')
    else if (!includeDenied && code !== null) not.add(`${tool}: refused as ${code}${rulesText(said?.rules)}`)
    else if (!includeDenied && observed !== null) not.add(`${tool}: let through in observe mode only${rulesText(said?.rules)}`)
    else gatheringOf(agents, id).add(input, task, recorded)
  }
  return {
    read,
    agents: withNames([...agents.values()].map((gathering) => gathering.learned())),
    not_learned: not.entries().map(([why, calls]) => ({ why, calls })),
    missing: [...tasks].filter((task) => !seen.has(task)),
  }
}

function rulesText(rules: readonly string[] | undefined): string {
  return rules === undefined || rules.length === 0 ? '' : ` by ${rules.join(', ')}`
}

function gatheringOf(agents: Map<string, Gathering>, id: string): Gathering {
  let gathering = agents.get(id)
  if (gathering === undefined) agents.set(id, (gathering = new Gathering(id)))
  return gathering
}

interface Use {
  readonly effect: string
  calls: number
  bare: boolean
  readonly resources: Set<string>
  readonly data: Set<string>
  readonly egress: Set<string>
  readonly routes: Set<string>
  readonly after: Set<string>
}

const mostSamples = 50
/** A set of resources past this says nothing but its kind. */
const mostResources = 10_000

/** What one agent did so far. */
class Gathering {
  readonly #id: string
  #about: JsonRecord = {}
  readonly #tasks = new Map<string, { began: number; last: number }>()
  readonly #uses = new Map<string, Use>()
  readonly #spent: Record<string, number> = {}
  readonly #hosts = new Set<string>()
  readonly #samples = new Map<string, JsonRecord>()

  constructor(id: string) {
    this.#id = id
  }

  add(input: JsonRecord, task: string, { own }: Recorded): void {
    const tool = valueAt(input, 'tool')
    const agent = valueAt(input, 'agent')
    const owners = valueAt(own, 'owners')
    this.#about = { ...(isRecord(agent) ? agent : {}), ...(isRecord(owners) ? { owners } : {}) }
    const use = this.#use(textAt(tool, 'name'), textAt(tool, 'effect'))
    use.calls++
    const resource = textAt(tool, 'resource')
    use.bare ||= resource === ''
    if (resource !== '' && use.resources.size < mostResources) use.resources.add(resource)
    for (const name of textsAt(tool, 'data')) use.data.add(name)
    use.egress.add(textAt(tool, 'egress'))
    use.routes.add(textAt(tool, 'route'))
    const last = valueAt(input, 'sequence.last')
    use.after.add(Array.isArray(last) ? textAt(last.at(-1), 'tool') : '')
    const downstream = textAt(own, 'downstream')
    if (downstream !== '') this.#hosts.add(downstream)
    this.#spend(input)
    this.#live(input, task)
    const kind = `${textAt(tool, 'name')} ${textAt(tool, 'egress')} ${textsAt(tool, 'data').join()} ${resource.replace(/:.*/, '')}`
    if (this.#samples.size < mostSamples && !this.#samples.has(kind)) this.#samples.set(kind, input)
  }

  #use(name: string, effect: string): Use {
    let use = this.#uses.get(name)
    if (use === undefined) {
      use = { effect, calls: 0, bare: false, resources: new Set(), data: new Set(), egress: new Set(), routes: new Set(), after: new Set() }
      this.#uses.set(name, use)
    }
    return use
  }

  #spend(input: JsonRecord): void {
    const spent = valueAt(input, 'task.budget.spent')
    const debit = valueAt(input, 'task.budget.debit')
    for (const meter of new Set([...Object.keys(isRecord(spent) ? spent : {}), ...Object.keys(isRecord(debit) ? debit : {})])) {
      const amount = [spent, debit].reduce((sum: number, part) => {
        const value = isRecord(part) ? part[meter] : 0
        return sum + (typeof value === 'number' ? value : 0)
      }, 0)
      this.#spent[meter] = Math.max(this.#spent[meter] ?? 0, amount)
    }
  }

  #live(input: JsonRecord, task: string): void {
    const now = valueAt(input, 'context.now')
    const started = valueAt(input, 'task.started')
    if (typeof now !== 'number') return
    const began = typeof started === 'number' ? started : now
    const known = this.#tasks.get(task) ?? { began, last: now }
    this.#tasks.set(task, { began: Math.min(began, known.began), last: Math.max(now, known.last) })
  }

  learned(): LearnedAgent {
    const owners = valueAt(this.#about, 'owners')
    return {
      id: this.#id,
      name: slug(this.#id),
      purpose: textAt(this.#about, 'purpose'),
      owners: isRecord(owners) ? owners : null,
      autonomy: textAt(this.#about, 'autonomy'),
      hosting: textAt(this.#about, 'hosting'),
      tasks: [...this.#tasks.keys()],
      tools: [...this.#uses].map(([name, use]) => toolOf(name, use)).sort((left, right) => (left.name < right.name ? -1 : 1)),
      spent: this.#spent,
      life: Math.max(0, ...[...this.#tasks.values()].map(({ began, last }) => last - began)),
      hosts: [...this.#hosts].sort(),
      samples: [...this.#samples.values()],
    }
  }
}

function toolOf(name: string, use: Use): LearnedTool {
  const sorted = (set: ReadonlySet<string>): readonly string[] => [...set].sort()
  const resources = sorted(use.resources)
  return {
    name,
    effect: use.effect,
    calls: use.calls,
    resources,
    patterns: narrowest(resources),
    bare: use.bare,
    data: sorted(use.data),
    egress: sorted(use.egress),
    routes: sorted(use.routes),
    after: sorted(use.after),
  }
}

/** `spiffe://acme.example/ns/support/sa/refund-agent` → `refund-agent`. */
function slug(id: string): string {
  const parts = id.split('/').map((part) =>
    part
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-+|-+$/g, ''),
  )
  return parts.findLast((part) => part !== '') ?? 'agent'
}

/** Two agents of one name get numbers. */
function withNames(agents: readonly LearnedAgent[]): readonly LearnedAgent[] {
  const counts = new Map<string, number>()
  return agents.map((agent) => {
    const count = (counts.get(agent.name) ?? 0) + 1
    counts.set(agent.name, count)
    return count === 1 ? agent : { ...agent, name: `${agent.name}-${count}` }
  })
}
