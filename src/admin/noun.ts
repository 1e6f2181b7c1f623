/** One kind of thing that people read and change through the admin API: `/v1/<noun>/…`. */
import type { Answer } from './answer.ts'

/** Who is asking, as far as the way in proves it. */
export interface SignedIn {
  /** `local-key`: whoever can read the key file; it names nobody, so each act says who it is by. */
  readonly method: 'local-key' | 'oidc' | 'key-pair'
  /** Proven name; null for the local key. */
  readonly name: string | null
  /** Proven groups, which approvers may be named by. */
  readonly groups: readonly string[]
  /** Other proven names of the same person, such as the OIDC subject: a chain of delegation may know the person by one of them. */
  readonly aliases?: readonly string[]
  /** The entry of `admin.approvers` that the way in proves. */
  readonly entry?: string | null
  /** They have a session of the page: what a session can do, it cannot make last longer. */
  readonly session?: true
}

/** One request below a noun. */
export interface AdminCall {
  readonly method: string
  /** Decoded, after the noun. */
  readonly path: readonly string[]
  readonly query: URLSearchParams
  readonly who: SignedIn
  /** The JSON object of the body, at most 16 KiB; null when it is none. */
  readonly body: () => Promise<Readonly<Record<string, unknown>> | null>
}

/** Answers a request; null: nothing is here. A Refusal that it throws is told with its title and reasons. */
export type Noun = (call: AdminCall) => Promise<Answer | null>

/** Why, by whom, and how that was proven: what the local key says of a name nobody has proven. */
export interface Words {
  readonly by: string
  readonly reason: string
  readonly method: SignedIn['method']
}

/** Reads `{"reason": …, "by": …}`; null when they are not there. Who is proven to ask is who it is by, whatever the body says. */
export function wordsOf({ who }: Pick<AdminCall, 'who'>, body: Readonly<Record<string, unknown>> | null): Words | null {
  const { reason, by } = body ?? {}
  const name = who.name ?? by
  if (typeof reason !== 'string' || typeof name !== 'string' || reason.trim() === '' || name.trim() === '') return null
  return { reason: reason.slice(0, 500), by: name.slice(0, 200), method: who.method }
}

/** Reads a JSON object; null when the body is none, or cannot be read. */
export async function readObject(text: () => Promise<string>): Promise<Readonly<Record<string, unknown>> | null> {
  try {
    const body: unknown = JSON.parse(await text())
    return body === null || typeof body !== 'object' || Array.isArray(body) ? null : (body as Readonly<Record<string, unknown>>)
  } catch {
    return null
  }
}
