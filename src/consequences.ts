/** What follows a decision besides its permit: what policy obliges to, the judgement of what comes back, whether it still counts, and for how long. */

import { Ask } from './approve/ask.ts'
import { makeChainOf } from './approve/chain.ts'
import { makeOblige, type Oblige } from './approve/oblige.ts'
import { unclassified } from './config/catalogue.ts'
import type { Loaded } from './config/load.ts'
import { same, sameJudges, sameWay } from './config/outdated.ts'
import { makeJudgeContinue } from './decide/continue.ts'
import type { Decide, Decision, DecideOptions, Question } from './decide/decide.ts'
import { dutiesOf } from './decide/duties.ts'
import { makeJudgeAnswer } from './decide/response.ts'
import { makeSums, type SumsOf } from './decide/sums.ts'
import type { ForwardOptions } from './forward/forward.ts'
import type { Answers } from './forward/judging.ts'
import type { Foundation } from './foundation.ts'
import type { Call } from './listen/call.ts'
import { makeAgain } from './match/again.ts'
import { lapsed } from './match/approval.ts'
import { readJson } from './match/json.ts'
import type { Target } from './match/match.ts'
import type { Route } from './match/route.ts'
import { Stops } from './kill/stops.ts'
import { ledgerOnly } from './notify/registry.ts'
import { Refusal } from './refusal.ts'
import { makeReading, makeSharing, type Reading, type Sharing } from './rejudge.ts'
import type { TaskRow } from './state/state.ts'
import { notLive, type Agent, type AgentRegistry } from './task/agents.ts'
import { named } from './task/sensitivity.ts'
import type { Standing } from './verdict.ts'

/** What policy obliges to besides the permit, for a call and for its answer. */
export function obligeOf({ config }: Loaded, on: Foundation): Oblige {
  return makeOblige({
    knows: (to) => to === ledgerOnly || Object.hasOwn(config.decide.notifiers, to),
    notify: (notice) => on.notices.notify(notice),
    revokeLeases: (task) => void on.credential.revokeTask(task, 'obligation', takenBack()),
  })
}

/** What other calls of the task hear that wait for a lease: the next one may have a fresh one. */
function takenBack(): Refusal {
  return new Refusal('credential.unavailable', { retry: 'later', detail: 'policy took the leases of the task back' })
}

interface AskParts {
  readonly decide: Decide
  readonly again: (question: Question) => Question
  readonly refused: (decision: Decision) => void
}

/** Asks people about what policy does not decide alone. */
export function askOf({ config }: Loaded, on: Foundation, { decide, again, refused }: AskParts): Ask {
  const { approvals, holds, revoke, state, clock } = on
  return new Ask({
    approvals,
    holds,
    register: (question) => revoke.hold(question),
    judge: decide,
    again,
    chainOf: makeChainOf((id) => state.ancestors(id)),
    clock,
    setting: config.approve,
    refused,
  })
}

/** What was true of a call before it was held may not be true any more. */
export function againOf(question: Question, row: TaskRow | null, agent: Agent | null): Question {
  if (row === null || row.ended !== null) throw new Refusal('task.ended')
  if (agent === null) throw new Refusal('task.agent-not-live', { detail: `no agent is registered for ${question.caller.id}` })
  return { ...question, task: { row, agent } }
}

/**
 * Ends a call that a reload overtook, say while its body was on its way, unless the configuration in force says the same of all that
 * the call rests on: its route and credential and, until its permit is minted, agents, trust and mode. A change of policy alone ends
 * nothing: the decision was made in this very tick, by what is in force.
 */
export function refuseOutdated({ config }: Loaded, on: Foundation, route: string, permit: 'to mint' | 'minted'): void {
  const now = on.inForce()
  if (now === null || now.loaded.config === config) return
  const judged = permit === 'minted' || sameJudges(config, now.loaded.config)
  if (judged && sameWay(config, now.loaded.config, route)) return
  throw new Refusal('decide.unavailable', { retry: 'later', detail: 'a reload overtook the call' })
}

/** Ends a call whose route, tool or credential nobody approves any more, with its code. */
export function refuseLapsed(target: Pick<Target, 'route' | 'tool'>, clock: () => number): void {
  const { route, tool } = target
  if (route.approved === undefined && tool.approved === undefined && route.lender === undefined) return
  const over = lapsed(target, clock())
  if (over !== null) throw over
}

/** What a permit rests on besides the facts, looked at in the tick of its mint: the agent as it is registered now, and approvals. */
export function standsOf(agents: AgentRegistry): (question: Question, now: number) => void {
  return ({ caller, task, target }, now) => {
    const agent = agents.find(caller.id)
    const dead = agent === null ? `no agent is registered for ${caller.id}` : notLive(agent, now)
    if (dead !== null) throw new Refusal('task.agent-not-live', { detail: dead })
    if (agent !== task.agent) throw new Refusal('decide.unavailable', { retry: 'later', detail: 'the registration of the agent changed' })
    const over = lapsed(target, now)
    if (over !== null) throw over
  }
}

/** What open work is judged by when a fact that it rests on has changed. */
export function standingOf(on: Foundation, { setting, oblige, agents, routes }: StandingParts): Standing {
  return {
    judge: makeJudgeContinue({ ...setting, knows: oblige.knows }),
    agent: (caller) => agents.find(caller),
    again: makeAgain(routes),
    fulfil: (question, effect, duties) => unwaited(on, oblige.fulfil({ question, effect, duties })),
  }
}

interface StandingParts {
  readonly setting: Omit<DecideOptions, 'facts'>
  readonly oblige: Oblige
  readonly agents: AgentRegistry
  readonly routes: ReadonlyMap<string, Route>
}

/** What `split` adds up. */
export function sumsFor({ config }: Loaded): SumsOf {
  const rows = config.decide.settings?.split ?? []
  const names = (member: 'meter' | 'class'): Set<string> => new Set(rows.flatMap((row) => row[member] ?? []))
  return makeSums(names('meter'), names('class'))
}

/** Where `taint` heals by age, what is read anew counts as more. */
export function readingOf({ config: { decide } }: Loaded, { rejudge, clock }: Foundation): Reading {
  return makeReading({ rejudge, clock, fades: decide.settings?.taint !== undefined })
}

/** The same for those who may be told of what was read. */
export function sharingOf({ config: { decide } }: Loaded, { rejudge }: Pick<Foundation, 'rejudge'>): Sharing {
  return makeSharing({ rejudge, fades: () => decide.settings?.taint !== undefined })
}

/** Nobody waits for the record of what is told. */
function unwaited(on: Foundation, told: Promise<void> | null): void {
  void told?.catch((error: unknown) => on.log.error({ err: error }, 'a notice of policy could not be written'))
}

/** What comes back is judged by the engine that permitted the call, and what it holds is written down before any of it goes on. */
export function answersOf(loaded: Loaded, on: Foundation, setting: Omit<DecideOptions, 'facts'>, oblige: Oblige): Answers {
  const { config } = loaded
  const { judged_answer: judged, answer_sample: sample } = config.listen.limits
  const { state } = on
  const read = readingOf(loaded, on)
  const share = sharingOf(loaded, on)
  return {
    judge: makeJudgeAnswer({ ...setting, facts: (task, caller) => state.facts(task, caller), knows: oblige.knows }),
    readJson,
    raise: (decision, classes) => {
      const { id, caller } = decision.question.task.row
      const facts = state.facts(id, caller)
      const counted = named(facts, classes, unclassified)
      read(decision, facts, counted)
      const raised = state.raise(id, caller, counted)
      return raised instanceof Promise ? raised.then(share) : share(raised)
    },
    // an answer is there or refused by now
    fulfil: ({ question, effect }, obligations) => unwaited(on, oblige.fulfil({ question, effect, duties: dutiesOf(obligations) })),
    unlabelled: config.decide.unlabelled === 'worst' ? unclassified : null,
    limits: { judged, sample },
  }
}

/** Rules that stop by themselves; what they count is in the state. */
export function stopsOf({ config }: Loaded, on: Foundation, previous: { readonly loaded: Loaded; readonly stops: Stops } | null): Stops {
  if (previous !== null && same(config.task.stops, previous.loaded.config.task.stops)) return previous.stops
  const { clock, log, kills, state, credential, notices } = on
  return new Stops({
    rules: config.task.stops,
    kills,
    counts: state.counted,
    facts: (task, caller) => state.facts(task, caller).task,
    lent: (digest) => {
      const held = credential.book.find(digest, clock(), performance.now())
      return held && { row: held.row, standing: held.lease.standing }
    },
    agent: (caller) => on.inForce()?.standing.agent(caller) ?? null,
    notify: (notice) => notices.notify(notice),
    clock,
    log,
  })
}

/** An upstream sent back what was lent: counted for each place, and written down once a call. */
export function echoedOf(on: Foundation, stops: Stops): NonNullable<ForwardOptions['echoed']> {
  return ({ decision }, { id: lease, provider }, { where, first }) => {
    const { call, caller, task, target } = decision.question
    on.inForce()?.echoed({ route: target.route.name, where })
    if (!first) return
    if (stops.watchesCredentials) stops.echoed(decision)
    const detail = { call: call.id, lease, provider, route: target.route.name, tool: target.tool.name, where }
    const event = { kind: 'lease.echoed', task: task.row.id, caller: caller.id, by: 'countersign', detail }
    on.inForce()?.told(event)
    on.recorder.event(event).catch((error: unknown) => {
      on.log.error({ ...detail, err: error }, 'that an upstream sent a credential back could not be written to the ledger')
    })
  }
}

/** Tells of what was presented by a caller that could not be proven. */
export function watched<Proven>(
  identify: (call: Call) => Proven | Promise<Proven>,
  stops: Stops,
): (call: Call) => Proven | Promise<Proven> {
  if (!stops.watchesCredentials) return identify
  const rejected = (call: Call, error: unknown): never => {
    stops.rejected(call)
    throw error
  }
  return (call) => {
    try {
      const caller = identify(call)
      return caller instanceof Promise ? caller.catch((error: unknown) => rejected(call, error)) : caller
    } catch (error) {
      return rejected(call, error)
    }
  }
}
