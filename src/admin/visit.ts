/** One request of somebody who is signed in, as the parts of the page take it. */
import type { Answer } from './answer.ts'
import type { SignedIn } from './noun.ts'
import type { Shell } from './page-shell.ts'
import { SignInFault } from './person.ts'
import { whyNot, type Act } from './roles.ts'

export interface Visit {
  readonly path: string
  readonly query: URLSearchParams
  /** Sent by our own page within its session; null: they only look. */
  readonly form: URLSearchParams | null
  readonly who: SignedIn
  readonly shell: Shell
  /** Told of what they may not do. */
  readonly refused: (act: Act) => void
  /** Has the next page of this session say what was done; `odd`: that it may not be what was meant. */
  readonly tell: (what: string, odd?: boolean) => void
}

/** Answers a visit; null: it is not for this part. Throws ApprovalFault, KillFault, Refusal or SignInFault. */
export type Part = (visit: Visit) => Promise<Answer | null>

/** Throws SignInFault (403) unless they have the role for it. */
export function need({ shell, refused }: Visit, act: Act): void {
  const why = whyNot(shell.roles, act)
  if (why === null) return
  refused(act)
  throw new SignInFault(403, why)
}

/** A member of a form, on one line; empty when it is not there. Forms of ours take several lines where one is meant. */
export function lineOf(form: URLSearchParams, name: string): string {
  return (form.get(name) ?? '').replaceAll(/\s*[\r\n]+\s*/g, ' ').trim()
}

/** Goes on to a path, so that reloading does nothing twice. */
export function redirect(location: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status: 303, text: '', type: 'text/plain', headers: { location, ...headers } }
}
