/** What one session of a workload is, and which sessions may use a task. */
import { hash } from 'node:crypto'
import type { Caller } from '../identify/identify.ts'
import type { Cause } from './question.ts'

/**
 * What tells two sessions of one workload apart. `workload`: nothing. `instance`: how and by whom it is vouched for, the key its tokens
 * are bound to, and `claims`; a renewed token of the same workload is the same session. `proof`: every single token or certificate.
 */
export interface SessionRule {
  readonly by: 'workload' | 'instance' | 'proof'
  /** Paths of claims that name an instance, such as the uid of a pod; the identity source must show them. */
  readonly claims: readonly string[]
}

/** Caller → its session under one rule. Callers live as long as their token is known. */
const sessions = new WeakMap<Caller, { readonly rule: SessionRule; readonly session: string }>()

/** The session of a proven caller: short text that stays the same as long as the session does. */
export function sessionOf(caller: Caller, rule: SessionRule): string {
  if (rule.by === 'proof') return caller.proof
  if (rule.by === 'workload') return 'workload'
  let known = sessions.get(caller)
  if (known === undefined || known.rule !== rule) sessions.set(caller, (known = { rule, session: instanceOf(caller, rule) }))
  return known.session
}

function instanceOf({ method, issuer, confirmation, claims }: Caller, rule: SessionRule): string {
  // a certificate is renewed like a token, the key of DPoP is kept by the instance that made it
  const key = confirmation !== undefined && 'jkt' in confirmation ? confirmation.jkt : null
  const named = rule.claims.map((path) => (Object.hasOwn(claims, path) ? claims[path] : null))
  return `sha256:${hash('sha256', JSON.stringify([method, issuer, key, named])).slice(0, 32)}`
}

/** A session that asked to go on with a task and was not let. */
export interface Held {
  readonly cause: Cause
  readonly session: string
}

/** Tasks whose sessions are remembered; past it the longest unused is judged again. */
const mostTasks = 4096
const mostSessions = 64

/**
 * Sessions that were judged fit to go on with a task, besides the one in its row, and those that wait for a person. In memory: after a
 * restart each is judged again.
 */
export class Sessions {
  /** Task → sessions allowed under one policy revision. Written by `allow` and `forget`. */
  readonly #allowed = new Map<string, { readonly revision: string; readonly sessions: Set<string> }>()
  /** Written by `hold`, `allow` and `forget`. */
  readonly #held = new Map<string, Held>()

  knows(task: string, session: string, revision: string): boolean {
    const known = this.#allowed.get(task)
    return known !== undefined && known.revision === revision && known.sessions.has(session)
  }

  allow(task: string, fit: readonly (string | null)[], revision: string): void {
    this.#held.delete(task)
    let known = this.#allowed.get(task)
    this.#allowed.delete(task)
    if (known === undefined || known.revision !== revision || known.sessions.size >= mostSessions) known = { revision, sessions: new Set() }
    for (const session of fit) if (session !== null) known.sessions.add(session)
    keep(this.#allowed, task, known)
  }

  hold(task: string, held: Held): void {
    this.#held.delete(task)
    keep(this.#held, task, held)
  }

  heldOf(task: string): Held | null {
    return this.#held.get(task) ?? null
  }

  /** The task ended. */
  forget(task: string): void {
    this.#allowed.delete(task)
    this.#held.delete(task)
  }
}

function keep<Value>(map: Map<string, Value>, task: string, value: Value): void {
  map.set(task, value)
  if (map.size <= mostTasks) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
