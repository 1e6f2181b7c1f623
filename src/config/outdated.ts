/** What rests on one configuration, held against another: calls that began under it, open work, and the process itself. */
import type { ProviderConfig } from '../credential/registry.ts'
import type { Config } from './schema.ts'

/** True when both reach the route the same way and credential it the same way. */
export function sameWay(before: Config, after: Config, route: string): boolean {
  const [old, now] = [before.forward.routes[route], after.forward.routes[route]]
  if (old === undefined || !same(old, now)) return false
  const provider = old.credential
  return provider === undefined || same(before.credential.providers[provider], after.credential.providers[provider])
}

/**
 * True when both know the same agents and trust, and judge in the same mode. Where the bundle comes from and the settings of its
 * rules are not looked at: whatever is in force judges a call whole, in the tick in which its permit is minted.
 */
export function sameJudges(before: Config, after: Config): boolean {
  return same(judges(before), judges(after))
}

function judges({ task, identify, decide: { bundle: _bundle, settings: _settings, ...decide } }: Config): unknown {
  return [task, identify, decide]
}

/** True when both say the same of all that open work rests on, but for the policy: agents, routes with their tools, and how much is enforced where. */
export function sameStanding(before: Config, after: Config): boolean {
  const said = ({ task, forward, credential, decide }: Config): unknown => [
    task.agents,
    forward.routes,
    Object.values(credential.providers).map(({ owner, approved }) => [owner, approved]),
    decide.mode,
    decide.modes,
    decide.environment,
  ]
  return same(said(before), said(after))
}

/** True when both lend the same way; who answers for it changes nothing of what is out. */
export function sameLending(one: ProviderConfig, other: ProviderConfig | undefined): boolean {
  if (other === undefined) return false
  const lending = ({ owner: _owner, approved: _approved, ...rest }: ProviderConfig): unknown => rest
  return same(lending(one), lending(other))
}

/** True when two parts of configurations say the same in the same order. */
export function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** What only a restart can change, as comparable text. */
export function places(config: Config): Readonly<Record<string, string>> {
  const { admin, credential, task } = config
  const { sinks: _sinks, ...record } = config.record
  const fixed = {
    'task.state': task.state,
    'task.memory': task.memory,
    'task.kill_file': task.kill_file,
    record,
    admin: fixedOf(admin),
    'listen.health': config.listen.health,
    'credential.key': credential.key,
    'credential.issuer': credential.issuer,
  }
  return Object.fromEntries(Object.entries(fixed).map(([name, value]) => [name, JSON.stringify(value) ?? '']))
}

/** Who may do what is looked up for each request; the ways in are opened once. */
function fixedOf({ approvers: _people, roles: _roles, unsafe_local_key_approves: _may, ...ways }: Config['admin']): unknown {
  return ways
}
