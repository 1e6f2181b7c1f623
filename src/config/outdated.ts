/** What a call that began under one configuration rests on, held against the one in force when it goes on. */
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

/** True when two parts of configurations say the same in the same order. */
export function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
