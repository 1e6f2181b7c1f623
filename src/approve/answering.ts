/** Who may answer what: the checks before an answer of a person counts. */
import type { ApprovalAnswer, ApprovalRow, OfferedObjective } from '../state/approvals.ts'
import { isParty } from './chain.ts'
import { ApprovalFault } from './fault.ts'

/** Who answers, as far as the way in proves it. */
export interface Approver {
  /** `person:<name>`. */
  readonly name: string
  readonly method: ApprovalAnswer['method']
  /** Proven groups, with or without `group:` before them. */
  readonly groups: readonly string[]
  /** Every other name that the sign-in proved, such as subject and address: whoever is of the requesting chain by any of them answers nothing. */
  readonly also?: readonly string[]
}

export interface Answering {
  readonly verdict: 'approve' | 'decline'
  /** One line; nobody decides without saying why. */
  readonly reason: string
  /** For more than the one action. */
  readonly objective?: OfferedObjective
  /** The person is none of those who may answer, or does not wait for the others, and answers for that. */
  readonly breakGlass?: boolean
}

/** Throws ApprovalFault unless the person may give this answer to a pending approval. */
export function checkAnswer(row: ApprovalRow, by: Approver, answer: Answering): void {
  if (row.state !== 'pending') throw new ApprovalFault('closed', `it is ${row.state}`)
  checkChain(row.excluded, by)
  if (row.answers.some((one) => one.by === by.name)) throw new ApprovalFault('answered', 'you have answered: another person must')
  const breakGlass = answer.breakGlass === true
  if (!breakGlass && !mayAnswer(row.approvers, by)) throw new ApprovalFault('not-approver', 'it is for others to answer')
  if (breakGlass && answer.objective !== undefined) throw new ApprovalFault('objective', 'breaking the glass approves this one action only')
}

/** Throws ApprovalFault when a person is of the requesting chain. */
export function checkChain(excluded: readonly string[], { name, also = [] }: Approver): void {
  if (isParty(excluded, [name, ...also])) throw new ApprovalFault('in-chain', 'whoever the call acts for does not answer it')
}

/** Groups that are kept of a person: policy reads them with the call, and a directory may list hundreds. Those that may answer come first. */
export function keptGroups(approvers: readonly string[], groups: readonly string[]): readonly string[] {
  if (groups.length <= mostGroups) return groups
  const named = groups.filter((group) => isNamed(approvers, group))
  return [...new Set([...named, ...groups])].slice(0, mostGroups)
}

const mostGroups = 64

function isNamed(approvers: readonly string[], group: string): boolean {
  return approvers.some((one) => one === group || one === `group:${group}`)
}

/** Nobody named: every approver of this Countersign. */
function mayAnswer(approvers: readonly string[], { name, groups }: Approver): boolean {
  return approvers.length === 0 || approvers.includes(name) || groups.some((group) => isNamed(approvers, group))
}
