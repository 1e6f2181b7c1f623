/** Reads what is to be killed: a scope and, but for everything, a name of its form. */
import type { KillRow, KillScope } from '../state/kills.ts'

type Stopped = Pick<KillRow, 'scope' | 'name'>

/** What each name must look like, and how that is said. Names that exist nowhere are good: an agent may yet be registered. */
const forms: Readonly<Record<Exclude<KillScope, 'everything'>, readonly [form: RegExp, said: string]>> = {
  agent: [/^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)*\/(\*|[A-Za-z0-9._-]+)$/, 'a SPIFFE ID; its last segment may be *'],
  task: [/^t_[0-9A-HJKMNP-TV-Z]{26}$/, 'a task id, t_ and 26 characters'],
  tool: [/^[^\p{C}\p{Z}]{1,256}$/u, 'the name of a tool'],
  route: [/^[^\p{C}\p{Z}]{1,256}$/u, 'the name of a route'],
  owner: [/^[^\p{C}\p{Zl}\p{Zp}]{1,256}$/u, 'an owner as it is configured'],
  'trust-domain': [/^[a-z0-9._-]{1,255}$/, 'the name of a trust domain, without spiffe://'],
}

/** In the order of the documentation. */
export const scopes = ['agent', 'task', 'tool', 'route', 'owner', 'trust-domain', 'everything'] as const satisfies readonly KillScope[]

/** Takes what a person or a file said; gives it, or what is wrong with it. */
export function readStop(scope: unknown, name: unknown): Stopped | { readonly fault: string } {
  const known = scopes.find((one) => one === scope)
  if (known === undefined) return { fault: `what to kill is one of ${scopes.join(', ')}` }
  if (known === 'everything') return name == null ? { scope: known, name: null } : { fault: 'everything has no name' }
  const [form, said] = forms[known]
  if (typeof name !== 'string' || !form.test(name)) return { fault: `kill ${known} needs ${said}` }
  return { scope: known, name }
}
