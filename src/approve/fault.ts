export type ApprovalFaultWhy = 'unknown' | 'closed' | 'not-approver' | 'in-chain' | 'answered' | 'reason' | 'objective'

/** Why an answer of a person is none. `message` is for the person who gave it. */
export class ApprovalFault extends Error {
  readonly why: ApprovalFaultWhy

  constructor(why: ApprovalFaultWhy, message: string) {
    super(message)
    this.name = 'ApprovalFault'
    this.why = why
  }
}
