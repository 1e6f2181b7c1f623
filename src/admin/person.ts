/** People as approvers: what they are called, and whether a list of `group:…` and `person:…` names them. */

export interface Person {
  /** Without `person:` before it. */
  readonly name: string
  /** Other names of the same person that a chain of delegation may know: the OIDC subject. */
  readonly aliases: readonly string[]
  readonly groups: readonly string[]
  /** The entry of `admin.approvers` that they were proven to be, by its key or its subject; null: none. */
  readonly entry: string | null
}

/** True when one of the patterns, `group:<name>` or `person:<name>`, is about this person. */
export function isNamed(person: Pick<Person, 'groups'> & { readonly name: string | null }, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => pattern === `person:${person.name}` || person.groups.some((group) => pattern === `group:${group}`))
}

/** Someone whose way of signing in did not work out. The message may be shown: no token, no claim value, no text of an issuer. */
export class SignInFault extends Error {
  readonly status: 401 | 403 | 503

  constructor(status: 401 | 403 | 503, message: string) {
    super(message)
    this.name = 'SignInFault'
    this.status = status
  }
}
