/** An access review as JSON. Members are only ever added: docs/access-review.md. */

import type { Lapse } from './lapsed.ts'
import type { Proposal } from './proposal.ts'
import type { Grant } from './registration.ts'

export interface Named {
  readonly name: string
  readonly calls: number
  /** RFC 3339. */
  readonly last: string
}

export interface ReviewedTool extends Named {
  readonly effect: string
  readonly risk: readonly string[]
  /** At most fifty, of `resource_count`. */
  readonly resources: readonly string[]
  readonly resource_count: number
  readonly data: readonly string[]
  readonly egress: readonly string[]
  readonly routes: readonly string[]
}

export interface Unused {
  /** Entries of the registration that nothing used is covered by. */
  readonly tools: readonly string[]
  readonly resources: readonly string[]
  readonly data: readonly string[]
  readonly egress: readonly string[]
  /** Limits that are far above what one task spent, or of which nothing was spent (`used` null). */
  readonly budget: readonly { readonly meter: string; readonly limit: number; readonly used: number | null }[]
  /** The longest life, ms, where it is far above that of any task; else null. */
  readonly ttl: { readonly limit: number; readonly used: number } | null
  /** Tools of the configuration that it may use and did not. */
  readonly reachable: readonly string[]
}

export interface AgentReview {
  readonly agent: string
  /** Null: it is not registered any more, or no registration was given. */
  readonly registered: {
    readonly purpose: string
    readonly owners: Readonly<Record<string, string>> | null
    readonly autonomy: string
    readonly lifecycle: string
    readonly hosting: string
    readonly intent: Grant
    /** What its reviewers put out of bounds, by role. */
    readonly out_of_bounds: Readonly<Record<string, unknown>>
  } | null
  /** Tools of the configuration that its intent covers and its reviewers leave; null: the configuration is not known. */
  readonly effective_tools: readonly string[] | null
  readonly used: {
    readonly calls: number
    readonly tasks: number
    /** Calls that others made by what it handed on. */
    readonly handed_on: number
    readonly first: string | null
    readonly last: string | null
    /** Workloads under this registration. */
    readonly workloads: readonly Named[]
    readonly tools: readonly ReviewedTool[]
    readonly data: readonly Named[]
    readonly egress: readonly Named[]
    readonly destinations: readonly Named[]
    /** Meter → most that one task spent. */
    readonly spent: Readonly<Record<string, number>>
    /** Longest that one task was at work, ms. */
    readonly life: number
    /** Used although the registration does not allow it: in observe mode, or before it was narrowed. */
    readonly outside: readonly string[]
  }
  readonly refused: {
    readonly calls: number
    readonly rules: readonly (Named & { readonly tools: readonly string[] })[]
    readonly codes: readonly Named[]
  }
  readonly asked: {
    readonly questions: number
    /** How they ended → number: approved, declined, expired, withdrawn, open. */
    readonly ended: Readonly<Record<string, number>>
    readonly tools: Readonly<Record<string, number>>
    /** Objectives that people granted unasked. */
    readonly granted: number
    readonly people: readonly { readonly name: string; readonly approve: number; readonly decline: number }[]
    /** Half of the answers took at most this, ms; null: none was answered. */
    readonly median_wait: number | null
  }
  readonly standing: readonly {
    readonly provider: string
    readonly what: string
    readonly calls: number
    readonly last: string | null
    readonly routes: readonly string[]
    readonly instead: string
  }[]
  readonly unused: Unused
  readonly lapsed: readonly Lapse[]
  readonly events: readonly { readonly event: string; readonly by: string; readonly time: string }[]
  readonly proposal: Omit<Proposal, 'registration'> | null
  /** Why this may not be enough to conclude from. */
  readonly warnings: readonly string[]
}

export interface AccessReview {
  readonly format: 1
  /** RFC 3339, as are `since`, `first` and `last`. */
  readonly made: string
  readonly since: string | null
  readonly first: string | null
  readonly last: string | null
  readonly lines: number
  readonly calls: number
  readonly damaged: number
  readonly warnings: readonly string[]
  /** By id. */
  readonly agents: readonly AgentReview[]
}
