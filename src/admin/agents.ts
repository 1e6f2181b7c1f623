/** Registrations of agents as people see them and act on them. */
import { missingRoles, ownerRoles } from '../task/lifecycle.ts'
import { notLive } from '../task/agents.ts'
import { RegistrationFault, type By, type Registered, type Registrations } from '../task/registrations.ts'
import { problem, type Answer } from './answer.ts'
import { wordsOf, type AdminCall, type Noun, type Words } from './noun.ts'

type Body = Readonly<Record<string, unknown>>

const needWords = 'the body must be {"reason": …, "by": …}'
const statuses = { unknown: 404, malformed: 400, 'not-owner': 403, state: 409 } as const

/** `/v1/agents`: registrations by id, which stands in the path as one encoded piece. `POST /v1/agents` proposes one. */
export function agentNoun(registrations: Registrations, clock: () => number): Noun {
  const shown = (one: Registered): Answer => ({ status: 200, json: view(one, clock()) })
  return async (call) => {
    const { method, path } = call
    const [id, verb, ...rest] = path
    if (rest.length > 0) return null
    try {
      if (method === 'GET' && id === undefined) {
        const now = clock()
        return { status: 200, json: { agents: registrations.list().map((one) => view(one, now)) } }
      }
      if (method === 'GET' && id !== undefined && verb === undefined) return shown(registrations.show(id))
      if (method !== 'POST') return null
      const body = await call.body()
      const words = wordsOf(call, body)
      if (id === undefined) return words === null ? problem(400, needWords) : shown(await proposed(registrations, body, words))
      const act = verb === undefined ? undefined : verbs.get(verb)
      if (act === undefined) return null
      return words === null ? problem(400, needWords) : shown(await act(registrations, id, { call, body, words }))
    } catch (error) {
      if (error instanceof RegistrationFault) return problem(statuses[error.why], error.message)
      throw error
    }
  }
}

interface Asked {
  readonly call: AdminCall
  readonly body: Body | null
  readonly words: Words
}

const verbs = new Map<string, (registrations: Registrations, id: string, asked: Asked) => Promise<Registered>>([
  ['accept', accepted],
  ['suspend', (registrations, id, { words }) => registrations.suspend(id, byOf(words))],
  ['resume', (registrations, id, { words }) => registrations.resume(id, byOf(words))],
  ['retire', (registrations, id, { words }) => registrations.retire(id, byOf(words))],
])

function byOf({ by, reason, method }: Words): By {
  return { by: `person:${by}`, reason, method }
}

function proposed(registrations: Registrations, body: Body | null, words: Words): Promise<Registered> {
  const declared = body?.['registration']
  if (declared === null || typeof declared !== 'object' || Array.isArray(declared))
    throw new RegistrationFault('malformed', 'registration must be an object in the form of an entry of task.agents')
  return registrations.propose(declared as Body, byOf(words))
}

function accepted(registrations: Registrations, id: string, { call: { who }, body, words }: Asked): Promise<Registered> {
  const role = ownerRoles.find((one) => one === body?.['role'])
  if (role === undefined) throw new RegistrationFault('malformed', `role is one of ${ownerRoles.join(', ')}`)
  return registrations.accept(id, role, { name: words.by, groups: who.name === null ? null : who.groups, method: who.method }, words.reason)
}

/** As people see it: times as text, and why it is not live. */
function view({ agent, digest, file, row }: Registered, now: number): Body {
  const { barred: _barred, validUntil, approved, ...rest } = agent
  const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())
  const why = notLive(agent, now)
  return {
    ...rest,
    approved: { ...approved, until: time(approved.until) },
    valid_until: time(validUntil),
    live: why === null,
    why,
    source: file === null ? 'api' : `file:${file}`,
    digest,
    acceptances: (row?.acceptances ?? []).map((one) => ({ ...one, at: time(one.at) })),
    missing: file === null && row !== null ? missingRoles(row.acceptances, digest) : [],
    changed: row === null ? null : { ...row.changed, at: time(row.changed.at) },
  }
}
