/** What policy may oblige the host to do besides letting a call through or not. A closed set; one that is not in it refuses the call. */

interface Typed<Type extends string, Properties> {
  /** Unique within a decision. */
  readonly id: string
  readonly type: Type
  readonly properties: Properties
}

/** Places in a JSON document, as JSON pointers (RFC 6901); a segment `*` stands for every member or item. */
export interface Places {
  readonly paths: readonly string[]
}

export type Obligation =
  /** Strings in the answer become stars, other values null. An answer that cannot be masked is refused. */
  | Typed<'mask_response', Places>
  /** Members and items go from the answer. */
  | Typed<'drop_response_fields', Places>
  /** The same as masking, in the judged body of the request; the record keeps both digests. */
  | Typed<'redact_request', Places>
  /** Less than the provider offers: scopes, ms of life, audience. */
  | Typed<'narrow_credential', { readonly scopes?: readonly string[]; readonly ttl?: number; readonly audience?: string }>
  /** At most `calls` per `per` ms for all calls with the same `key`, within what `scope` names. */
  | Typed<'rate_limit', { readonly key: string; readonly scope: 'task' | 'caller' | 'all'; readonly calls: number; readonly per: number }>
  /** Besides what the tool debits. */
  | Typed<'debit_budget', { readonly meter: string; readonly amount: number }>
  /** Data classes that count as read by this task and its caller from now on. */
  | Typed<'raise_sensitivity', { readonly classes: readonly string[] }>
  /** An event in the ledger, handed on to the notifier of that name. Done for a refusal too. */
  | Typed<'notify', { readonly to: string; readonly message: string }>
  /** Every lease of the task is taken back. Done for a refusal too. */
  | Typed<'revoke_leases', Readonly<Record<string, never>>>

export type ObligationType = Obligation['type']
