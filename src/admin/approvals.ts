/** Approvals as people read and answer them through the admin API. */
import { parseDuration } from '../duration.ts'
import type { ApprovalState, OfferedObjective } from '../state/approvals.ts'
import { problem, type Answer } from './answer.ts'
import { verbs, type Desk } from './desk.ts'
import type { Noun, SignedIn } from './noun.ts'

const states: readonly ApprovalState[] = ['pending', 'approved', 'declined', 'expired', 'redeemed', 'withdrawn']

/** `/v1/approvals`: rows as they are kept, times in epoch ms. An ApprovalFault that it throws is told in its own words. */
export function approvalNoun(desk: Desk): Noun {
  return async ({ method, path: [id, verb, ...rest], query, who, body }) => {
    if (rest.length > 0) return null
    if (method === 'GET' && id === undefined) return list(query, desk)
    if (method === 'POST' && id === undefined) return grant(who, (await body()) ?? {}, desk)
    if (method === 'GET' && id !== undefined && verb === undefined) return { status: 200, json: await desk.read(id) }
    const act = verbs.find((one) => one === verb)
    if (method !== 'POST' || id === undefined || act === undefined) return null
    const { reason, by, ...more } = (await body()) ?? {}
    if (typeof reason !== 'string' || reason.trim() === '')
      return problem(400, 'the body must be {"reason": …}: nobody decides without saying why')
    const objective = act === 'approve' ? objectiveIn(more) : null
    if (objective === undefined) return problem(400, 'an objective is {"tools": ["…"], "calls": 3, "for": "10m"}, all three')
    return {
      status: 200,
      json: await desk.act(id, who, { verb: act, reason: reason.trim(), as: typeof by === 'string' ? by : null, objective }),
    }
  }
}

/** `{"task": …}` or `{"agent": …}`, with an objective, `reason` and, with the local key, `by`. */
async function grant(who: SignedIn, body: Readonly<Record<string, unknown>>, desk: Desk): Promise<Answer> {
  const { task, agent, reason, by, ...more } = body
  const to = typeof task === 'string' ? { task } : typeof agent === 'string' ? { agent } : null
  const objective = objectiveIn(more)
  if (to === null || (task === undefined) === (agent === undefined) || !objective || typeof reason !== 'string' || reason.trim() === '')
    return problem(400, 'the body must be {"task" or "agent": "…", "tools": ["…"], "calls": 3, "for": "10m", "reason": "…"}')
  return { status: 201, json: await desk.grant(to, who, { reason: reason.trim(), as: typeof by === 'string' ? by : null, objective }) }
}

async function list(query: URLSearchParams, desk: Desk): Promise<Answer> {
  const asked = query.get('state')
  const state = states.find((one) => one === asked)
  if (asked !== null && state === undefined) return problem(400, `state is one of ${states.join(', ')}`)
  const task = query.get('task')
  const rows = await desk.list({ ...(state === undefined ? {} : { states: [state] }), ...(task === null ? {} : { task }) })
  return { status: 200, json: { approvals: rows } }
}

/** Null when none is offered, undefined when it is malformed. */
export function objectiveIn({ tools, calls, for: time }: Readonly<Record<string, unknown>>): OfferedObjective | null | undefined {
  if (tools === undefined && calls === undefined && time === undefined) return null
  const names = Array.isArray(tools) && tools.length > 0 ? tools.filter((tool) => typeof tool === 'string') : []
  const ttl = typeof time === 'string' ? parseDuration(time) : null
  if (!Array.isArray(tools) || names.length === 0 || names.length !== tools.length) return undefined
  if (typeof calls !== 'number' || !Number.isSafeInteger(calls) || ttl === null) return undefined
  return { tools: names, calls, ttl }
}
