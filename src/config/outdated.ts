/** What a call that began under one configuration rests on, held against the one in force when it goes on. */
import type { Config } from './schema.ts'

/** True when both reach the route the same way and credential it the same way. */
export function sameWay(before: Config, after: Config, route: string): boolean {
  const [old, now] = [before.forward.routes[route], after.forward.routes[route]]
  if (old === undefined || !same(old, now)) return false
  const provider = old.credential
  return provider === undefined || same(before.credential.providers[provider], after.credential.providers[provider])
}

/** True when both know the same agents and trust, and judge in the same mode. The bundle behind a path is not looked at. */
export function sameJudges(before: Config, after: Config): boolean {
  return same([before.task, before.identify, before.decide], [after.task, after.identify, after.decide])
}

/** True when two parts of configurations say the same in the same order. */
export function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
