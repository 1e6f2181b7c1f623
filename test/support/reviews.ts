import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Operation } from '../../src/inject/plan.ts'
import { answerReview } from '../../src/inject/review.ts'
import { parseSettings, type InjectSettings } from '../../src/inject/settings.ts'

/** AdmissionReviews as an API server sends them, and their answers read. */

export type Loose = ReturnType<typeof JSON.parse>

export function review(name: 'created' | 'meshed', change: (pod: Loose, request: Loose) => void = () => undefined): Loose {
  const given: Loose = JSON.parse(readFileSync(join(import.meta.dirname, `../unit/inject/reviews/${name}.json`), 'utf8'))
  change(given.request.object, given.request)
  return given
}

export const settingsText = `
version: 1
image: registry.acme.example/countersign:0.1.0
sdks: { openai: /openai, anthropic: /anthropic, github: /github, aws-s3: /s3 }
token: { audience: countersign }
spiffe: {}
`

export function settings(more = ''): InjectSettings {
  return parseSettings(`${settingsText}${more}`, 'inject.yaml')
}

export interface Answered {
  readonly uid: string
  readonly allowed: boolean
  readonly message: string
  readonly warnings: readonly string[]
  readonly operations: readonly Operation[]
}

/** What the API server reads of the answer. */
export function answered(given: unknown, on: InjectSettings = settings(), required = false): Answered {
  const { apiVersion, kind, response } = answerReview(given, on, { required }).answer as Loose
  if (apiVersion !== 'admission.k8s.io/v1' || kind !== 'AdmissionReview') throw new Error('the answer is no AdmissionReview')
  const { uid, allowed, status, warnings = [], patch, patchType } = response
  if ((patch === undefined) !== (patchType === undefined)) throw new Error('a patch and its type go together')
  const operations = patch === undefined ? [] : JSON.parse(Buffer.from(patch, 'base64').toString('utf8'))
  return { uid, allowed, message: status?.message ?? '', warnings, operations }
}
