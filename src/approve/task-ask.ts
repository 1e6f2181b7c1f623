/** Tasks that policy does not open, or let go on, alone: looks for an answer of a person, uses it, or asks for one. */
import { Refusal } from '../refusal.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Facts } from '../state/state.ts'
import type { Asker, AskPeople, TaskQuestion, TaskVerdict } from '../task/question.ts'
import type { Approvals } from './approvals.ts'
import type { ApproveSetting } from './ask.ts'
import { linked, type ChainOf } from './chain.ts'
import { taskDigest } from './digest.ts'
import { declinedOrLate, required } from './refusals.ts'
import { shownTask } from './shown.ts'

export interface TaskAskOptions {
  readonly approvals: Pick<Approvals, 'usable' | 'latest' | 'pending' | 'ask' | 'spend'>
  readonly judge: (question: TaskQuestion) => TaskVerdict
  readonly chainOf: ChainOf
  /** What a task, and its caller before it, have done and read. */
  readonly facts: (task: string, caller: string) => Facts
  /** Epoch ms. */
  readonly clock: () => number
  readonly setting: () => Pick<ApproveSetting, 'pending_per_caller' | 'ttl' | 'declined' | 'unanswered'>
}

/** Approvals that one question is held against: there is one at a time but for races. */
const mostTried = 4

/**
 * Makes it. Policy judges again with the approval as input; what it then allows uses the approval, in the same tick and written down, so that
 * of any number of requests one opens a task. What it denies stays denied.
 */
export function makeTaskAsk(options: TaskAskOptions): AskPeople {
  return async (question, verdict, asker) => {
    const wanted = { task: asker.task?.id ?? null, digest: taskDigest(question, asker), tool: null }
    let asked = verdict
    for (const approval of options.approvals.usable(wanted).slice(0, mostTried)) {
      const next = options.judge({ ...question, approval })
      if (next.effect === 'deny') throw denied(next)
      const used = next.effect === 'allow' ? options.approvals.spend(approval.id, asker.opens) : null
      if (used !== null) return used
      if (next.effect === 'ask') asked = next
    }
    throw await refusal(options, question, asked, { asker, digest: wanted.digest })
  }
}

interface About {
  readonly asker: Asker
  readonly digest: string
}

/** Why it does not go on now: people have to answer, said no, or said nothing. */
async function refusal(options: TaskAskOptions, question: TaskQuestion, verdict: TaskVerdict, about: About): Promise<Refusal> {
  const { approvals, clock, setting } = options
  const { asker, digest } = about
  const stopped = (row: ApprovalRow): Refusal | null => declinedOrLate(asker.call, row, clock(), setting())
  const before = await approvals.latest({ task: asker.task?.id ?? null, digest })
  const stop = before === null ? null : stopped(before)
  if (stop !== null) return stop
  if (before?.state !== 'pending' && approvals.pending(asker.by) >= setting().pending_per_caller)
    return new Refusal('listen.overloaded', { reasons: ['too many requests of this agent wait for a person'] })
  const row = await askedOf(options, question, verdict, about)
  return stopped(row) ?? required(asker.call, verdict.reasons, row)
}

function askedOf(
  { approvals, chainOf, facts, setting }: TaskAskOptions,
  question: TaskQuestion,
  { approval, reasons, revision }: TaskVerdict,
  { asker, digest }: About,
): Promise<ApprovalRow> {
  const parties = question.action === 'resume' && asker.task !== null ? chainOf(asker.task).parties : partiesOf(question, asker, chainOf)
  const of = asker.task ?? { id: '', caller: question.caller.id }
  return approvals.ask({
    about: {
      matter: question.action === 'open' ? 'task-open' : 'task-resume',
      by: asker.by,
      worker: question.caller.id,
      parties,
    },
    task: asker.task,
    call: asker.call?.id ?? '',
    digest,
    tool: '',
    route: '',
    shown: shownTask(question, {
      reasons,
      human: asker.onBehalfOf ?? asker.task?.onBehalfOf ?? null,
      parties,
      facts: facts(of.id, of.caller),
    }),
    approvers: approval?.approvers ?? [],
    quorum: approval?.quorum ?? 1,
    ttl: approval?.ttl ?? setting().ttl,
    single: true,
    revision,
  })
}

/** From the root of what is to be opened to who is to use it. */
function partiesOf({ caller, opener, delegation }: TaskQuestion, { by, task, onBehalfOf }: Asker, chainOf: ChainOf): readonly string[] {
  const named = (name: string): string => (name.startsWith('person:') ? name : `agent:${name}`)
  const parties = task === null ? [] : [...chainOf(task).parties]
  if (onBehalfOf !== null && onBehalfOf !== undefined) parties.push(`user:${onBehalfOf.subject}`)
  parties.push(delegation.root)
  if (opener !== undefined) parties.push(named(opener.name))
  parties.push(named(by))
  for (const { party } of delegation.chain ?? []) parties.push(linked(party))
  return [...new Set([...parties, `agent:${caller.id}`])]
}

function denied({ reasons }: TaskVerdict): Refusal {
  return new Refusal('decide.denied', {
    reasons: [...new Set(reasons.map((one) => one.message_agent))],
    detail: reasons.map((one) => one.rule).join(' '),
  })
}
