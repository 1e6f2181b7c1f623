/** Where people answer: whoever signed in becomes an approver here, for the API, the page and chats alike. */
import { ApprovalFault } from '../approve/fault.ts'
import type { Approver } from '../approve/answering.ts'
import type { Approvals } from '../approve/approvals.ts'
import type { Chat, ChatPerson } from '../approve/channel.ts'
import type { GrantTo } from '../approve/receiver.ts'
import type { ApprovalRow, OfferedObjective } from '../state/approvals.ts'
import type { SignedIn } from './noun.ts'
import { isNamed } from './person.ts'

/** What the configuration in force says about answers. */
export interface DeskRules {
  /** Whether anybody is configured who signs in by name. */
  readonly people: boolean
  readonly unsafeLocalKey: boolean
  /** `group:…`, `person:…`. */
  readonly breakGlass: readonly string[]
}

export const verbs = ['approve', 'decline', 'withdraw', 'break-glass'] as const
export type Verb = (typeof verbs)[number]

export interface Act {
  readonly verb: Verb
  readonly reason: string
  /** Who says so, where the way in names nobody: counts for the local key alone. */
  readonly as: string | null
  readonly objective: OfferedObjective | null
}

/** An objective that a person grants unasked. */
export interface Granting extends Pick<Act, 'reason' | 'as'> {
  readonly objective: OfferedObjective
}

export interface DeskOptions {
  readonly approvals: Pick<Approvals, 'list' | 'read' | 'answer' | 'withdraw' | 'grant'>
  readonly rules: () => DeskRules
}

export class Desk {
  readonly #options: DeskOptions

  constructor(options: DeskOptions) {
    this.#options = options
  }

  /** Pending ones first, those that end soonest first among them; then the newest. */
  async list(filter: Parameters<Approvals['list']>[0]): Promise<readonly ApprovalRow[]> {
    const rows = await this.#options.approvals.list({ limit: 500, ...filter })
    return rows.toSorted((a, b) => rank(a) - rank(b) || (a.state === 'pending' ? a.expires - b.expires : b.opened - a.opened))
  }

  async read(id: string): Promise<ApprovalRow> {
    const row = await this.#options.approvals.read(id)
    if (row === null) throw new ApprovalFault('unknown', 'there is no such approval')
    return row
  }

  /** Throws ApprovalFault, or `record.failed`. */
  async act(id: string, who: SignedIn, { verb, reason, as, objective }: Act): Promise<ApprovalRow> {
    const row = await this.read(id)
    const by = this.#approver(row.approvers, who, as, verb)
    const { approvals } = this.#options
    if (verb === 'withdraw') return approvals.withdraw(id, by, reason)
    if (verb === 'decline') return approvals.answer(id, by, { verdict: 'decline', reason })
    if (verb === 'approve') return approvals.answer(id, by, { verdict: 'approve', reason, ...(objective === null ? {} : { objective }) })
    if (!this.mayBreak(who))
      throw new ApprovalFault('not-approver', 'you are not among those who may break the glass (approve.break_glass)')
    return approvals.answer(id, by, { verdict: 'approve', reason, breakGlass: true })
  }

  /** Grants an objective before any call asked. Throws ApprovalFault, or `record.failed`. */
  async grant(to: GrantTo, who: SignedIn, { reason, as, objective }: Granting): Promise<ApprovalRow> {
    return this.#options.approvals.grant(to, objective, this.#approver([], who, as, 'approve'), reason)
  }

  /** Takes an answer from a chat, whose sender the channel has verified: only for the risks that may be answered there. */
  async fromChat(id: string, chat: Chat, person: ChatPerson, answer: { readonly verdict: 'approve' | 'decline'; readonly reason: string }) {
    const row = await this.read(id)
    if (!chat.risks.includes(row.shown.risk))
      throw new ApprovalFault(
        'not-approver',
        `${row.matter === 'call' ? `a call of risk ${row.shown.risk}` : 'whether a task goes on'} is not answered in a chat: use the page`,
      )
    return this.#options.approvals.answer(id, { name: `person:${person.name}`, method: 'chat', groups: person.groups }, answer)
  }

  mayBreak(who: SignedIn): boolean {
    return who.name !== null && isNamed(who, this.#options.rules().breakGlass)
  }

  /** Why whoever came in this way answers nothing, whatever they may do else; null when they may. */
  bars({ method }: SignedIn): string | null {
    const { people, unsafeLocalKey } = this.#options.rules()
    return method === 'local-key' && people && !unsafeLocalKey ? nameless : null
  }

  #approver(approvers: readonly string[], { method, name, groups, aliases = [] }: SignedIn, as: string | null, verb: Verb): Approver {
    if (method !== 'local-key' && name !== null) return { name: `person:${name}`, method, groups, also: aliases }
    // taking back narrows: whoever runs this Countersign may
    const barred = verb === 'withdraw' ? null : this.bars({ method, name, groups })
    if (barred !== null) throw new ApprovalFault('not-approver', barred)
    if (as === null || as.trim() === '') throw new ApprovalFault('reason', 'say who you are (--as NAME)')
    // whoever holds the key of the operator stands in for every group that is asked
    return { name: `person:${as.slice(0, 200)}`, method: 'local-key', groups: approvers.filter((one) => one.startsWith('group:')) }
  }
}

const nameless =
  'the local key names nobody: answer with a key pair (--key-pair), a token (--token) or on the page, signed in by one of them, or say admin.unsafe_local_key_approves: true'

function rank({ state }: ApprovalRow): number {
  return state === 'pending' ? 0 : 1
}

/** How HTTP says it. */
export function statusOf({ why }: ApprovalFault): 400 | 403 | 404 | 409 {
  switch (why) {
    case 'unknown':
      return 404
    case 'closed':
    case 'answered':
      return 409
    case 'not-approver':
    case 'in-chain':
      return 403
    default:
      return 400
  }
}
