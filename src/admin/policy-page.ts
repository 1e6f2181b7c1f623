/** The part of the page where people see the policy in force, and why a call was decided so. */
import type { PolicyStatus } from '../decide/in-force.ts'
import { explainPage, policyPage } from './policy-html.ts'
import { need, type Part } from './visit.ts'

/** An exception from the mode. */
export interface ModeRow {
  readonly mode: 'enforce' | 'observe'
  readonly agent?: string | undefined
  readonly tool?: string | undefined
  readonly risk?: readonly string[] | undefined
  readonly rule?: string | undefined
}

export interface PolicyView {
  readonly status: PolicyStatus
  readonly mode: 'enforce' | 'observe'
  readonly modes: readonly ModeRow[]
}

/** A rule as it describes itself. */
export interface RuleRow {
  readonly id: string
  readonly title: string
  readonly effect: string
  readonly severity: string
  readonly level: string
  readonly observable: boolean | null
  readonly controls: readonly string[]
}

/** What a rule that fired looked at, and found. */
export interface FiredRow {
  readonly id: string
  readonly effect: string
  readonly severity: string
  readonly controls: readonly string[]
  readonly title: string
  readonly description: string
  readonly message: string
  readonly found: string
  readonly facts: readonly string[]
  readonly remediation: string
}

export type CallExplained =
  | { readonly is: 'unknown' | 'masked' }
  | { readonly is: 'failed'; readonly why: string }
  | { readonly is: 'unjudged'; readonly code: string }
  | {
      readonly is: 'explained'
      readonly effect: string
      readonly fault: string | null
      /** Of the policy that explains. */
      readonly revision: string
      readonly recorded: {
        readonly id: string
        readonly time: string
        readonly revision: string
        readonly effect: string | null
        readonly end: string
      } | null
      readonly rules: readonly FiredRow[]
      /** Sets of changes that would have made it an allow; null: it is one. */
      readonly ways: readonly (readonly string[])[] | null
      readonly tried: number
      /** It was judged with a body that no record keeps. */
      readonly bodyless: boolean
    }

export interface PolicyPartOptions {
  /** As it is now. */
  readonly view: () => PolicyView
  /** Rejects with an Error that says why the rules cannot be read. */
  readonly rules: () => Promise<readonly RuleRow[]>
  /** Never rejects. */
  readonly explain: (call: string) => Promise<CallExplained>
  /** Epoch ms. */
  readonly clock: () => number
}

/** `/policy` and `/policy/explain?call=c_…`. */
export function policyPart({ view, rules, explain, clock }: PolicyPartOptions): Part {
  return async (visit) => {
    const { path, query, form, shell } = visit
    if ((path !== '/policy' && path !== '/policy/explain') || form !== null) return null
    need(visit, 'logs.read')
    if (path === '/policy') {
      const read = await rules().catch((error: unknown) => (error instanceof Error ? error.message : 'they cannot be read'))
      return policyPage(view(), read, shell, clock())
    }
    const call = (query.get('call') ?? '').trim().slice(0, 64)
    if (call === '') return explainPage('', null, shell)
    return explainPage(call, /^c_[0-9A-HJKMNP-TV-Z]{26}$/.test(call) ? await explain(call) : { is: 'unknown' }, shell)
  }
}
