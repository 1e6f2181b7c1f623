/** What policy obliges to besides the permit: notices and leases taken back, for a refusal too. */

import type { Owners } from '../task/agents.ts'
import type { Lender } from '../match/approval.ts'
import type { Decision } from '../decide/decide.ts'
import { Refusal } from '../refusal.ts'

/** As much of a decision, or of a later judgement on the same call, as says what is obliged. */
export type Obliging = Pick<Decision, 'question' | 'effect' | 'duties'>

/** What is obliged concerns one call, or a lease that is out. */
export interface Concerned {
  readonly call: { readonly id: string }
  readonly caller: { readonly id: string }
  readonly task: { readonly row: { readonly id: string }; readonly agent: { readonly owners: Owners | null } }
  readonly target: { readonly tool: { readonly name: string }; readonly route: { readonly owner: string | null; readonly lender?: Lender } }
}

/** Who answers for what a notice is about: whoever reads it knows whom to ask. */
export interface Answerable {
  readonly business: string | null
  readonly security: string | null
  readonly incident: string | null
  readonly route: string | null
  readonly credential: string | null
}

/** One notice of policy about one call. */
export interface CallNotice {
  readonly to: string
  readonly message: string
  readonly effect: Decision['effect']
  /** The call's id, which is the decision's; of a lease, its own. */
  readonly decision: string
  readonly task: string
  readonly caller: string
  readonly tool: string
  readonly owners: Answerable
  /** Whose word it is; absent: policy's. */
  readonly by?: 'countersign'
}

export interface Oblige {
  /** Whether a notice may go to this name. */
  readonly knows: (to: string) => boolean
  /** Throws `decide.malformed` when nobody can do what is obliged. */
  check(obliging: Obliging): void
  /**
   * Takes the leases back, at once as far as it is in our hands, and resolves when every notice is in the ledger; rejects with
   * `record.failed`. Null when nothing is obliged.
   */
  fulfil(obliging: Pick<Obliging, 'effect' | 'duties'> & { readonly question: Concerned }): Promise<void> | null
}

export interface ObligeOptions extends Pick<Oblige, 'knows'> {
  /** Resolves when the notice is in the ledger; who it is for hears of it in his own time. */
  readonly notify: (notice: CallNotice) => Promise<void>
  /** No call can have a lease of this task from this tick on; issuers are told after. */
  readonly revokeLeases: (task: string) => void
}

/** Makes both. A decision without obligations costs a few comparisons. */
export function makeOblige({ knows, notify, revokeLeases }: ObligeOptions): Oblige {
  return {
    knows,
    check: ({ question, effect, duties }) => {
      for (const { to } of duties.notices)
        if (!knows(to)) throw new Refusal('decide.malformed', { detail: `policy notifies "${to}", and no notifier is called that` })
      // what nobody judged nobody can redact: it would leave as it came
      if (duties.redact.length > 0 && effect === 'allow' && !question.target.body.judged)
        throw new Refusal('decide.malformed', { detail: 'policy redacts a body that was not judged: the tool needs args: json' })
    },
    fulfil: ({ question, effect, duties: { notices, revokeLeases: revokes } }) => {
      const { call, caller, task, target } = question
      if (revokes) revokeLeases(task.row.id)
      // a name that is not known has refused the call; the others are told all the same
      const told = notices.filter(({ to }) => knows(to))
      if (told.length === 0) return null
      const about = {
        effect,
        decision: call.id,
        task: task.row.id,
        caller: caller.id,
        tool: target.tool.name,
        owners: answering(task.agent.owners, target.route),
      }
      return Promise.all(told.map(({ to, message }) => notify({ to, message, ...about }))).then(() => undefined)
    },
  }
}

function answering(owners: Owners | null, { owner, lender }: Concerned['target']['route']): Answerable {
  const { business = null, security = null, incident = null } = owners ?? {}
  return { business, security, incident, route: owner, credential: lender?.owner ?? null }
}
