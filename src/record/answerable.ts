/** Who answers for what a call rests on. */
import type { Agent } from '../task/agents.ts'
import type { Approval } from '../match/approval.ts'
import type { Target } from '../match/match.ts'
import { quote, remembered } from './json-text.ts'

const agents = new WeakMap<Agent, string>()
const answerable = new WeakMap<Target['route'], string>()
const approvedTools = new WeakMap<Target['tool'], string>()

/** The registration, its owners and reviewers. */
export const agentText = (agent: Agent): string =>
  remembered(agents, agent, ({ id, owners, reviewers }) => {
    const named = reviewers.map(({ role, name }) => `${quote(role)}:${quote(name)}`).join(',')
    return `,"agent":${quote(id, 2048)},"owners":${JSON.stringify(owners)}${named === '' ? '' : `,"reviewers":{${named}}`}`
  })

/** Who answers for route and credential, and by whose approval the call goes there; nothing where nobody says. */
export function answerableText({ route, tool }: Target): string {
  if (route.owner === null && route.approved === undefined && route.lender === undefined && tool.approved === undefined) return ''
  const spoken = remembered(answerable, route, ({ owner, approved, lender }) => {
    const own = `${owner === null ? '' : `,"route_owner":${quote(owner)}`}${approvedText('route_approved', approved)}`
    if (lender === undefined) return own
    const lent = lender.owner === null ? '' : `,"credential_owner":${quote(lender.owner)}`
    return `${own}${lent}${approvedText('credential_approved', lender.approved)}`
  })
  return tool.approved === undefined
    ? spoken
    : spoken + remembered(approvedTools, tool, ({ approved }) => approvedText('tool_approved', approved))
}

function approvedText(name: string, approved: Approval | null | undefined): string {
  if (approved === null || approved === undefined) return ''
  return `,"${name}":{"by":${quote(approved.by)},"until":${approved.until}}`
}
