/** What people may do at the admin port: one table with one role for each act. What does not stand in it nobody can do. */
import type { SignedIn } from './noun.ts'
import { isNamed } from './person.ts'

/** `viewer` reads. `approver` also answers what is asked, `operator` runs tasks and stops things. `admin` does everything. */
export const roles = ['viewer', 'approver', 'operator', 'admin'] as const
export type Role = (typeof roles)[number]

/** Act → the role that it takes, and the request that asks for it: method and path below `/v1/`, in which `*` is one piece. */
const table = {
  'status.read': ['viewer', 'GET', 'status'],
  'logs.read': ['viewer', 'GET', 'logs'],
  'decisions.read': ['viewer', 'GET', 'decisions'],
  // of whoever asks, and nobody else
  'page.link': ['viewer', 'POST', 'page'],
  'approvals.list': ['viewer', 'GET', 'approvals'],
  'approvals.read': ['viewer', 'GET', 'approvals/*'],
  'approvals.grant': ['approver', 'POST', 'approvals'],
  'approvals.approve': ['approver', 'POST', 'approvals/*/approve'],
  'approvals.decline': ['approver', 'POST', 'approvals/*/decline'],
  'approvals.withdraw': ['approver', 'POST', 'approvals/*/withdraw'],
  'approvals.break-glass': ['approver', 'POST', 'approvals/*/break-glass'],
  'tasks.list': ['viewer', 'GET', 'tasks'],
  'tasks.read': ['viewer', 'GET', 'tasks/*'],
  'tasks.tree': ['viewer', 'GET', 'tasks/*/tree'],
  'evidence.download': ['viewer', 'GET', 'evidence/*'],
  'tasks.open': ['operator', 'POST', 'tasks'],
  'tasks.pause': ['operator', 'POST', 'tasks/*/pause'],
  'tasks.resume': ['operator', 'POST', 'tasks/*/resume'],
  'tasks.complete': ['operator', 'POST', 'tasks/*/complete'],
  'tasks.revoke': ['operator', 'POST', 'tasks/*/revoke'],
  'kills.list': ['viewer', 'GET', 'kills'],
  'kills.engage': ['operator', 'POST', 'kills'],
  'kills.lift': ['admin', 'POST', 'kills/*/lift'],
  'signals.list': ['viewer', 'GET', 'signals'],
  'signals.give': ['operator', 'PUT', 'signals/*/*/*'],
  'signals.withdraw': ['operator', 'DELETE', 'signals/*/*/*'],
  'agents.list': ['viewer', 'GET', 'agents'],
  'agents.read': ['viewer', 'GET', 'agents/*'],
  'agents.propose': ['admin', 'POST', 'agents'],
  // an owner answers for an agent, and only its owners can: that is checked by name
  'agents.accept': ['approver', 'POST', 'agents/*/accept'],
  'agents.suspend': ['operator', 'POST', 'agents/*/suspend'],
  'agents.resume': ['admin', 'POST', 'agents/*/resume'],
  'agents.retire': ['admin', 'POST', 'agents/*/retire'],
  'state.backup': ['admin', 'POST', 'backup'],
  'callers.clear-sensitivity': ['admin', 'POST', 'callers/*/clear-sensitivity'],
} as const satisfies Readonly<Record<string, readonly [Role, string, string]>>

export type Act = keyof typeof table

/** The rows of the table. */
export const acts: readonly { readonly act: Act; readonly role: Role; readonly method: string; readonly path: string }[] = (
  Object.entries(table) as [Act, readonly [Role, string, string]][]
).map(([act, [role, method, path]]) => ({ act, role, method, path }))

/** What the configuration in force says about people. */
export interface RoleRules {
  /** Role → `group:…` and `person:…`. */
  readonly named: Readonly<Record<Role, readonly string[]>>
  /** Of the people at the sign-in issuer, those who are approvers. */
  readonly approvers: readonly string[]
  /** Entry of `admin.approvers` → its roles; null where it says none. */
  readonly entries: ReadonlyMap<string, readonly Role[] | null>
}

/** The act that a request asks for, its path decoded and split; null: there is none. */
export function actOf(method: string, path: readonly string[]): Act | null {
  const fits = (pattern: string): boolean => {
    const pieces = pattern.split('/')
    return pieces.length === path.length && pieces.every((piece, at) => piece === '*' || piece === path[at])
  }
  return acts.find((row) => row.method === method && fits(row.path))?.act ?? null
}

/** The roles of whoever asks; none: they may do nothing. Whoever holds the local key runs this Countersign. */
export function rolesOf(who: SignedIn, { named, approvers, entries }: RoleRules): readonly Role[] {
  if (who.method === 'local-key') return ['admin']
  const entry = who.entry == null ? undefined : entries.get(who.entry)
  // an entry that says nothing makes its key pair one whose answers count
  const own = entry ?? (entry === null && who.method === 'key-pair' ? ['approver'] : [])
  const asApprover = who.method === 'oidc' && isNamed(who, approvers)
  return roles.filter((role) => own.includes(role) || isNamed(who, named[role]) || (role === 'approver' && asApprover))
}

/** Whether one of these roles is enough for an act. */
export function allows(held: readonly Role[], act: Act): boolean {
  const [needed] = table[act]
  return held.some((role) => role === needed || role === 'admin' || needed === 'viewer')
}

/** Why somebody with these roles may not; null when they may. Says what is missing, and where it is given. */
export function whyNot(held: readonly Role[], act: Act): string | null {
  if (held.length === 0) return noRole
  if (allows(held, act)) return null
  const [needed] = table[act]
  return `this takes the role ${needed}, and you are ${held.join(' and ')}: who runs this Countersign gives roles (admin.roles)`
}

export const noRole = 'you are known, and have no role at this Countersign: who runs it gives roles (admin.roles)'
