import { dutiesOf } from '../../src/decide/duties.ts'
import { Permit } from '../../src/decide/permit.ts'
import type { Decision, Question } from '../../src/decide/decide.ts'
import type { Lease } from '../../src/credential/credential.ts'
import type { Outcome } from '../../src/forward/forward.ts'
import { Secret } from '../../src/secret.ts'
import { sketchFacts, sketchQuestion } from './question.ts'
import { noEngine } from './engine.ts'

/** A decision as `decide` would give it; allow unless said otherwise. */
export function sketchDecision(question: Question = sketchQuestion(), decision: Partial<Decision> = {}): Decision {
  const effect = decision.effect ?? 'allow'
  const reasons = decision.reasons ?? []
  return {
    question,
    effect,
    observed: null,
    reasons,
    refusedBy: effect === 'allow' ? [] : reasons,
    obligations: [],
    duties: dutiesOf(decision.obligations ?? []),
    approval: null,
    deferral: null,
    credential: null,
    labels: {},
    revision: 'r1',
    engine: noEngine,
    facts: sketchFacts(),
    now: 1_790_000_000_000,
    inputText: JSON.stringify({ v: 1, request: { id: question.call.id, method: question.call.method, path: question.call.address.path } }),
    resultText: JSON.stringify({ v: 1, effect, reasons, obligations: [] }),
    evalNs: 21_000,
    ...decision,
  }
}

/** A permit minted from a decision without a swap. */
export function sketchPermit(decision: Decision): Permit {
  return Permit.mint(decision, () => undefined)
}

export function sketchOwnLease(lease: Partial<Lease> = {}): Lease {
  return {
    id: 'l_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    provider: 'crm',
    placement: { in: 'header', name: 'authorization', prefix: 'Bearer ' },
    secret: new Secret('the-credential-itself'),
    digest: `sha256:${'ab'.repeat(32)}`,
    expires: 1_790_000_060_000,
    revocation: 'expiry',
    standing: false,
    scopes: ['customers:read'],
    ...lease,
  }
}

export function sketchOutcome(outcome: Partial<Outcome> = {}): Outcome {
  return { status: 200, ended: 'complete', bytesOut: 0, bytesIn: 512, bodySha256: null, dialled: '127.0.0.1:443', proven: null, ...outcome }
}
