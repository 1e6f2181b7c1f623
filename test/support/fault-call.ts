import type { DevelopmentIssuer } from '../../src/demo/issuer.ts'
import type { Lane, Servers } from './fault-servers.ts'
import { ask, audience } from './running.ts'

/** What was said to one call. */
export interface Said {
  /** Status and, of a refusal, code; `cut`: the answer did not come whole. */
  readonly said: string
  readonly ms: number
  /** The approval that a refusal holds. */
  readonly approval: string | null
}

let calls = 0
const seconds = 86_400

/** One call that needs what is at the end of the lane; `issuer` vouches for those whom no lane does. */
export async function callBy({ dependency, name }: Lane, servers: Servers, port: number, issuer: DevelopmentIssuer): Promise<Said> {
  const marker = `${name}/${++calls}`
  const own = servers.domains.get(name)
  const bearer = own
    ? await own.mint(`spiffe://${name}.acme.example/agent`, audience, seconds)
    : await issuer.mint(`spiffe://acme.example/ns/test/sa/${name}`, audience, seconds)
  const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }
  const body = { method: 'POST', body: JSON.stringify({ marker }), headers }
  const route = ['issuer', 'openbao', 'upstream'].includes(dependency) ? name : 'plain'
  const began = performance.now()
  const over = (): number => performance.now() - began
  try {
    const answer = dependency === 'approval' ? await ask(port, '/asked/refunds', body) : await ask(port, `/${route}/${marker}`, { headers })
    const { status, json } = answer
    const { id } = (json['approval'] ?? {}) as { readonly id?: string }
    return { said: [status, json['code']].filter(Boolean).join(' '), ms: over(), approval: id ?? null }
  } catch {
    return { said: 'cut', ms: over(), approval: null }
  }
}
