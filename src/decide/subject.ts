/** Who calls and what for, as members of the policy input. Each object is quoted once and kept as long as it lives. */

import type { Named } from '../task/question.ts'
import type { Agent } from '../task/agents.ts'
import type { Intent, Scope } from '../state/state.ts'
import { anything, numbers, onePiece, text, textOrNull, texts, Members, type Cap } from './fragment.ts'

const operator = (most: number, what: string): Cap => ({ most, what, fault: 'operator' })

/** A SPIFFE ID, or who stands at the root of a delegation. */
export const parties: Cap = operator(2048, 'an identity')

const caps = {
  name: operator(256, 'a name'),
  issuer: operator(512, 'the issuer'),
  claims: operator(32, 'the claims'),
  claim: operator(512, 'a claim'),
  purpose: operator(1024, 'a purpose'),
  owner: operator(256, 'an owner'),
  labels: operator(32, 'the labels'),
  label: operator(256, 'a label'),
  effects: operator(8, 'a list of effects'),
  tools: operator(256, 'the tools of an intent'),
  resources: operator(256, 'the resources of an intent'),
  classes: operator(64, 'a list of data classes'),
  pattern: operator(512, 'a pattern'),
  meters: operator(64, 'the budget'),
} as const

const callers = new WeakMap<Named, string>()
const proofs = new WeakMap<Named, readonly [string, string]>()
const agents = new WeakMap<Agent, string>()
const intents = new WeakMap<Intent, string>()

/** `caller`. */
export function callerText(caller: Named): string {
  let known = callers.get(caller)
  if (known === undefined) {
    const [expires, claims] = proofPieces(caller)
    callers.set(caller, (known = onePiece(`{${partyMembers(caller)},"expires":${expires},"claims":${claims}}`)))
  }
  return known
}

/** The members of `caller` that its next proof will have too, in all likelihood. */
export function partyMembers(caller: Named): string {
  return (
    `"spiffe_id":${text(caller.id, parties)},"trust_domain":${text(caller.trustDomain, caps.name)},"method":"${caller.method}"` +
    `,"confirmed":"${caller.confirmed}","issuer":${textOrNull(caller.issuer, caps.issuer)}`
  )
}

/** Those of its proof: `expires`, null for one that no clock reaches, and `claims`. */
export function proofPieces(caller: Named): readonly [expires: string, claims: string] {
  let known = proofs.get(caller)
  if (known === undefined) {
    const expires = Number.isSafeInteger(caller.expires) ? String(caller.expires) : 'null'
    proofs.set(caller, (known = [expires, onePiece(anything(caller.claims, caps.claims, caps.claim))]))
  }
  return known
}

/** The members of `agent` that both entrypoints have. */
export function agentMembers(agent: Agent): string {
  let known = agents.get(agent)
  if (known === undefined) {
    const { owners } = agent
    const named =
      owners === null
        ? 'null'
        : `{"business":${text(owners.business, caps.owner)},"security":${text(owners.security, caps.owner)},"incident":${text(owners.incident, caps.owner)}}`
    const labels = new Members(caps.labels)
    for (const [key, value] of Object.entries(agent.labels)) labels.add(key, text(value, caps.label), caps.label)
    known =
      `"id":${text(agent.id, parties)},"purpose":${text(agent.purpose, caps.purpose)},"owners":${named}` +
      `,"autonomy":"${agent.autonomy}","lifecycle":"${agent.lifecycle}","hosting":"${agent.hosting}","labels":${labels.end()}` +
      `,"bounds":[${agent.reviewers.map(boundText).join(',')}]`
    agents.set(agent, (known = onePiece(known)))
  }
  return known
}

/** What one reviewer put out of bounds. */
function boundText({ role, outOfBounds: { data, tools, effects } }: Agent['reviewers'][number]): string {
  return (
    `{"by":"${role}","data":${texts(data, caps.classes, caps.name)},"tools":${texts(tools, caps.classes, caps.name)}` +
    `,"effects":${texts(effects, caps.effects, caps.name)}}`
  )
}

/** The members of `task.intent` of a call. */
export function intentMembers(intent: Intent): string {
  let known = intents.get(intent)
  if (known === undefined) {
    known = `${purposeMembers(intent)},${scopeMembers(intent)}`
    intents.set(intent, (known = onePiece(known)))
  }
  return known
}

/** What an intent says it is for. */
export function purposeMembers(intent: Intent): string {
  return `"purpose":${text(intent.purpose, caps.purpose)},"prompt":${textOrNull(intent.prompt, caps.name)}`
}

/** What an intent reaches: tools, resources, data, egress. */
export function scopeMembers(intent: Scope): string {
  return (
    `"tools":${texts(intent.tools, caps.tools, caps.pattern)},"resources":${texts(intent.resources, caps.resources, caps.pattern)}` +
    `,"data":${texts(intent.data, caps.classes, caps.name)},"egress":${texts(intent.egress, caps.classes, caps.name)}`
  )
}

/** `budget` of an intent that is asked for or declared. */
export function budgetText(intent: Intent): string {
  return numbers(intent.budget, caps.meters, caps.name)
}
