/** The agent's own API under `/.countersign/v1/`: the same identity and the same limits as its calls. */
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import type { Recorder } from '../record/record.ts'
import { Refusal } from '../refusal.ts'
import type { Awaitable } from '../state/state.ts'
import { checkHosting } from '../task/hosting.ts'
import { approvalNoun, type ApprovalNounOptions } from './approvals.ts'
import { TaskActs, type Answer, type TaskActsOptions } from './tasks.ts'

/** One kind of thing that agents act on under `/v1/<noun>`; `path` is what follows it. Throws match.unroutable where nothing is. */
export type AgentNoun = (call: Call, caller: Caller, path: readonly string[]) => Promise<Answer>

export interface AgentApiOptions extends TaskActsOptions {
  readonly identify: (call: Call) => Awaitable<Caller>
  readonly record: Pick<Recorder, 'call'>
  readonly approvals: ApprovalNounOptions
  /** The refusal when a kill covers the caller; null when none does. Who is killed may read what became of its own, and do nothing. */
  readonly killed?: (caller: Caller) => Refusal | null
}

/**
 * Makes what answers calls of `address.kind` `agent-api`. Never rejects: a refusal is recorded, then answered.
 * What an act did is its own event in the ledger, written before its answer.
 */
export function makeAgentApi(options: AgentApiOptions): (call: Call) => Promise<void> {
  const tasks = new TaskActs(options)
  const nouns: Readonly<Record<string, AgentNoun>> = {
    tasks: (call, caller, path) => tasks.act(call, caller, path),
    approvals: hosted(options.agents, approvalNoun(options.approvals)),
  }
  return async (call) => {
    const entry = options.record.call(call)
    try {
      call.admit()
      const caller = entry.identified(await options.identify(call))
      call.occupy(caller.id)
      const killed = call.method === 'GET' ? null : (options.killed?.(caller) ?? null)
      if (killed !== null) throw killed
      send(call, await actOf(call, nouns)(call, caller, call.address.segments.slice(2)))
    } catch (error) {
      call.refuse(await entry.refuse(Refusal.from(error)))
    } finally {
      call.release()
    }
  }
}

/** An agent that others run is let in by the same door as for its calls. */
function hosted(agents: AgentApiOptions['agents'], noun: AgentNoun): AgentNoun {
  return async (call, caller, path) => {
    const agent = agents().find(caller.id)
    if (agent !== null) checkHosting(agent, caller, call)
    return noun(call, caller, path)
  }
}

/** Who acts on `/v1/<noun>` (the address's prefix is `/.countersign`). */
function actOf({ address }: Call, nouns: Readonly<Record<string, AgentNoun>>): AgentNoun {
  const [version, noun] = address.segments
  const act = noun !== undefined && Object.hasOwn(nouns, noun) ? nouns[noun] : undefined
  if (version !== 'v1' || act === undefined || address.query !== null) throw new Refusal('match.unroutable')
  return act
}

function send(call: Call, { status, body }: Answer): void {
  const text = Buffer.from(JSON.stringify(body))
  call.outgoing.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': text.length,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'Countersign-Call': call.id,
    'Countersign-Decision': 'allow',
    ...(call.preference !== undefined && { 'Preference-Applied': call.preference }),
  })
  call.outgoing.end(text)
}
