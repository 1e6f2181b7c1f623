import { z } from 'zod'
import { planInjection } from './plan.ts'
import type { InjectSettings } from './settings.ts'
import { asked, injectLabel } from './wishes.ts'

/** AdmissionReview v1 (admission.k8s.io): what an API server asks a webhook, and its answer. */

const Review = z.looseObject({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request: z.looseObject({
    uid: z.string().min(1),
    kind: z.looseObject({ group: z.string(), version: z.string(), kind: z.string() }),
    resource: z.looseObject({ group: z.string(), version: z.string(), resource: z.string() }),
    subResource: z.string().optional(),
    operation: z.string(),
    object: z.unknown(),
  }),
})

type Request = z.infer<typeof Review>['request']

/** What of it came to be, for the log. */
export type Outcome = 'injected' | 'present' | 'not asked' | 'refused'

export interface Reviewed {
  readonly outcome: Outcome
  /** Why it was refused; empty otherwise. */
  readonly reasons: readonly string[]
  /** The AdmissionReview to answer with. */
  readonly answer: object
}

/** A body that is no AdmissionReview v1; nothing can be answered to it but an error. */
export class ReviewFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ReviewFault'
  }
}

/** Whether a pod without the label gets a sidecar too, and one with `disabled` is refused. */
export interface Rule {
  readonly required: boolean
}

/** Answers a review. Whatever cannot be done is refused, never let through. Throws `ReviewFault` for what is no review. */
export function answerReview(given: unknown, settings: InjectSettings, rule: Rule): Reviewed {
  const { success, data, error } = Review.safeParse(given)
  if (!success) {
    const [first] = error.issues
    throw new ReviewFault(`not an AdmissionReview of admission.k8s.io/v1: ${first?.path.join('.') ?? ''}: ${first?.message ?? 'unknown'}`)
  }
  const { request } = data
  const wrong = misdirected(request)
  if (wrong !== null) return refusal(request, [wrong])
  const wanted = wantsSidecar(request.object, rule)
  if (typeof wanted === 'string') return refusal(request, [wanted])
  if (!wanted) return allowance(request, 'not asked', {})
  const plan = planInjection(request.object, settings)
  if (plan.refused) return refusal(request, plan.reasons)
  const { operations } = plan
  const warnings = plan.warnings.length === 0 ? {} : { warnings: plan.warnings.map((each) => `countersign: ${each}`) }
  if (operations.length === 0) return allowance(request, 'present', warnings)
  if (request.operation !== 'CREATE')
    return refusal(request, ['a sidecar cannot be added to a pod that is there already: make the pod anew'])
  const patch = Buffer.from(JSON.stringify(operations)).toString('base64')
  return allowance(request, 'injected', { ...warnings, patchType: 'JSONPatch', patch })
}

/** Why a request is not one that this webhook is for; null: it is. */
function misdirected({ kind, resource, subResource, operation }: Request): string | null {
  const what = `${resource.group === '' ? '' : `${resource.group}/`}${resource.resource}${subResource === undefined || subResource === '' ? '' : `/${subResource}`}`
  if (what !== 'pods' || kind.kind !== 'Pod' || kind.version !== 'v1')
    return `it was asked about ${what} ${kind.version}: let the rules of the webhook configuration name pods of v1 alone`
  return operation === 'CREATE' || operation === 'UPDATE' ? null : `it was asked about ${operation}: let the rules name CREATE alone`
}

const Labelled = z.looseObject({ metadata: z.looseObject({ labels: z.record(z.string(), z.string()).nullish() }).nullish() })

function wantsSidecar(object: unknown, { required }: Rule): boolean | string {
  const { success, data } = Labelled.safeParse(object)
  if (!success) return 'its labels cannot be read'
  const label = data.metadata?.labels?.[injectLabel]
  const wanted = asked(label)
  if (!required || typeof wanted === 'string') return wanted
  return label === 'disabled' ? `its namespace requires a sidecar: take the label ${injectLabel} off` : true
}

function allowance(request: Request, outcome: Outcome, more: object): Reviewed {
  return { outcome, reasons: [], answer: answerTo(request, { allowed: true, ...more, auditAnnotations: { sidecar: outcome } }) }
}

function refusal(request: Request, reasons: readonly string[]): Reviewed {
  const message = `countersign cannot put a sidecar into this pod: ${reasons.join('; ')}`
  const status = { status: 'Failure', code: 403, reason: 'Forbidden', message }
  return { outcome: 'refused', reasons, answer: answerTo(request, { allowed: false, status, auditAnnotations: { sidecar: 'refused' } }) }
}

function answerTo({ uid }: Request, response: object): object {
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, ...response } }
}
