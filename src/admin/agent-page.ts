/** The part of the page where people see agents and who answers for them. */
import type { State, TaskRow } from '../state/state.ts'
import { RegistrationFault, type Registered, type Registrations } from '../task/registrations.ts'
import type { Answer } from './answer.ts'
import { agentPage, agentsPage, type Seen } from './agent-html.ts'
import { faultPage } from './page-shell.ts'
import { need, type Part, type Visit } from './visit.ts'

export interface AgentPartOptions {
  readonly registrations: Pick<Registrations, 'list' | 'show'>
  readonly state: Pick<State, 'tasks'>
  /** Epoch ms. */
  readonly clock: () => number
}

/** Newest tasks that are looked at, of all agents and of one. */
const mostTasks = 500
const mostOfOne = 25

/** `/agents` and `/agents/<id>`, the id as one encoded piece. */
export function agentPart(options: AgentPartOptions): Part {
  return async (visit) => {
    const { path, form } = visit
    const piece = /^\/agents\/([^/]+)$/.exec(path)?.[1]
    if ((piece === undefined && path !== '/agents') || form !== null) return null
    need(visit, 'agents.list')
    return piece === undefined ? list(visit, options) : show(piece, visit, options)
  }
}

async function list({ shell }: Visit, { registrations, state, clock }: AgentPartOptions): Promise<Answer> {
  const live = new Map<string, number>()
  const last = new Map<string, number>()
  const count = (rows: readonly TaskRow[], alive: boolean): void => {
    for (const { agent, opened } of rows) {
      if (alive) live.set(agent, (live.get(agent) ?? 0) + 1)
      last.set(agent, Math.max(last.get(agent) ?? 0, opened))
    }
  }
  for (const one of ['active', 'paused'] as const) count(await state.tasks({ state: one, limit: mostTasks }), true)
  count(await state.tasks({ limit: mostTasks }), false)
  const seen = registrations.list().map((one): Seen => ({ one, live: live.get(one.agent.id) ?? 0, last: last.get(one.agent.id) ?? null }))
  return agentsPage(seen, shell, clock())
}

async function show(piece: string, { shell }: Visit, { registrations, state, clock }: AgentPartOptions): Promise<Answer> {
  let one: Registered
  try {
    one = registrations.show(decodeURIComponent(piece))
  } catch (error) {
    if (error instanceof URIError) return faultPage(400, 'the address is malformed', shell)
    if (error instanceof RegistrationFault) return faultPage(404, error.message, shell)
    throw error
  }
  const { id } = one.agent
  const tasks = id.endsWith('*')
    ? (await state.tasks({ limit: mostTasks })).filter(({ agent }) => agent === id)
    : await state.tasks({ caller: id, limit: mostOfOne })
  return agentPage({ one }, tasks.slice(0, mostOfOne), shell, clock())
}
