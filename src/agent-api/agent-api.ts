/** The agent's own API under `/.countersign/v1/`: the same identity and the same limits as its calls. */
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import type { Recorder } from '../record/record.ts'
import { Refusal } from '../refusal.ts'
import type { Awaitable } from '../state/state.ts'
import { TaskActs, type Answer, type TaskActsOptions } from './tasks.ts'

export interface AgentApiOptions extends TaskActsOptions {
  readonly identify: (call: Call) => Awaitable<Caller>
  readonly record: Pick<Recorder, 'call'>
}

/**
 * Makes what answers calls of `address.kind` `agent-api`. Never rejects: a refusal is recorded, then answered.
 * What an act did is its own event in the ledger, written before its answer.
 */
export function makeAgentApi(options: AgentApiOptions): (call: Call) => Promise<void> {
  const tasks = new TaskActs(options)
  return async (call) => {
    const entry = options.record.call(call)
    try {
      call.admit()
      const caller = entry.identified(await options.identify(call))
      call.occupy(caller.id)
      send(call, await tasks.act(call, caller, taskPath(call)))
    } catch (error) {
      call.refuse(await entry.refuse(Refusal.from(error)))
    } finally {
      call.release()
    }
  }
}

/** What follows `/v1/tasks` (the address's prefix is `/.countersign`). */
function taskPath({ address }: Call): readonly string[] {
  const [version, noun, ...rest] = address.segments
  if (version !== 'v1' || noun !== 'tasks' || address.query !== null) throw new Refusal('match.unroutable')
  return rest
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
  })
  call.outgoing.end(text)
}
