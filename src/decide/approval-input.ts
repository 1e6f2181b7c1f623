/** What policy reads of an approval: who answered and for what, never what they were shown. */

import type { ApprovalAnswer, ApprovalRow } from '../state/approvals.ts'
import { number, onePiece, text, texts, Members, type Cap } from './fragment.ts'

const operator = (most: number, what: string): Cap => ({ most, what, fault: 'operator' })

const caps = {
  name: operator(512, 'the name of an approver'),
  people: operator(32, 'the approvers of a call'),
  group: operator(256, 'a group of an approver'),
  groups: operator(64, 'the groups of an approver'),
} as const satisfies Record<string, Cap>

/** Row → its text. A row is replaced when anything in it changes. */
const known = new WeakMap<ApprovalRow, string>()

/** `approval` of input v1. */
export function approvalText(row: ApprovalRow | undefined): string {
  if (row === undefined) return 'null'
  let made = known.get(row)
  if (made === undefined) known.set(row, (made = onePiece(objectText(row))))
  return made
}

function objectText(row: ApprovalRow): string {
  const { id, objective, quorum, granted, opened, expires, used, answers, revision } = row
  const approving = counted(answers)
  const groups = new Members(caps.people)
  for (const one of approving) groups.add(one.by, texts(one.groups.map(named), caps.groups, caps.group), caps.name)
  const by = approving.map((one) => one.by)
  return (
    `{"id":${text(id, caps.name)},"kind":"${objective === null ? 'action' : 'objective'}","by":${texts(by, caps.people, caps.name)}` +
    `,"groups":${groups.end()},"quorum":${number(quorum, 'quorum')},"break_glass":${answers.some(({ breakGlass }) => breakGlass)}` +
    `,"asked":${number(opened, 'asked')},"at":${number(granted ?? opened, 'at')},"expires":${number(objective?.until ?? expires, 'expires')}` +
    `,"used":${number(used, 'used')},"calls":${objective === null ? 1 : number(objective.calls, 'calls')},"revision":${text(revision, caps.name)}}`
  )
}

/** Those who said yes, as far as it is proven that they are different people: the local key proves no name, so that it counts once. */
function counted(answers: readonly ApprovalAnswer[]): readonly ApprovalAnswer[] {
  const approving = answers.filter(({ verdict }) => verdict === 'approve')
  const keyed = approving.find(({ method }) => method === 'local-key')
  return approving.filter((one) => one.method !== 'local-key' || one === keyed)
}

function named(group: string): string {
  return group.startsWith('group:') ? group : `group:${group}`
}
