/** Delegation chains: who handed on until it came to a task, oldest first. */
import type { Acting, Actor } from '../identify/jwt/act.ts'
import type { Link, TaskRow } from '../state/state.ts'

/** The parties of a chain: its root (`user:…` or `agent:…`), then everyone who handed on, and at last the caller of the task. */
export function chainOf(row: TaskRow): readonly string[] {
  return [row.root, ...(row.chain ?? []).map(({ party }) => party), row.caller]
}

/** The link that a task becomes for what it hands on. */
export function linkOf({ id, caller, intent }: TaskRow): Link {
  const { tools, resources, data, egress } = intent
  return { party: caller, task: id, issuer: null, intent: { tools, resources, data, egress } }
}

/** The links of those who act for a person before `caller` does, as the person's token names them. Who acts last may be the caller itself. */
export function linksOf(acting: Acting | null, caller: string): readonly Link[] {
  const actors = acting?.actors ?? []
  const before = actors.at(-1)?.subject === caller ? actors.slice(0, -1) : actors
  return before.map(({ subject, issuer }) => ({ party: subject, task: null, issuer, intent: null }))
}

/** Whether a token that names who may act (RFC 8693 §4.4) names this caller: by its SPIFFE ID and, where it says whose word counts, by who vouched for it. */
export function mayAct(named: Actor | null | undefined, caller: { readonly id: string; readonly issuer: string | null }): boolean {
  if (named === null || named === undefined) return true
  return named.subject === caller.id && (named.issuer === null || named.issuer === caller.issuer)
}
