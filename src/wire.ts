import { makeAgentApi } from './agent-api/agent-api.ts'
import { makeApprove } from './approve/approve.ts'
import type { Oblige } from './approve/oblige.ts'
import { makeSwap } from './approve/swap.ts'
import { agentsOf, routesOf } from './config/catalogue.ts'
import { registrationOrNull } from './config/registration.ts'
import type { Loaded } from './config/load.ts'
import { sameLending } from './config/outdated.ts'
import { countersign, type Stages } from './countersign.ts'
import type { CredentialProvider } from './credential/credential.ts'
import type { Introspection } from './credential/introspect.ts'
import { openProvider, type ProviderConfig } from './credential/registry.ts'
import { makeDecide, type Decision, type DecideOptions, type Question } from './decide/decide.ts'
import { makeJudgeTask, type JudgeTask } from './decide/opening.ts'
import { Permit } from './decide/permit.ts'
import { repeatDigest } from './decide/repeat.ts'
import { makeSlow } from './decide/slow.ts'
import type { Foundation } from './foundation.ts'
import { makeForward, type Forward, type ForwardOptions } from './forward/forward.ts'
import { makeIdentify, type IdentitySource } from './identify/identify.ts'
import type { Stops } from './kill/stops.ts'
import type { Call } from './listen/call.ts'
import { serverIdentities, type ServerIdentities } from './listeners.ts'
import { readJson } from './match/json.ts'
import { makeMatch } from './match/match.ts'
import type { Route } from './match/route.ts'
import type { Telling } from './notify/approval-notices.ts'
import type { Notifier } from './notify/notifier.ts'
import { deferOf } from './deferring.ts'
import { tellingOf } from './people.ts'
import {
  againOf,
  answersOf,
  askOf,
  echoedOf,
  obligeOf,
  readingOf,
  refuseLapsed,
  refuseOutdated,
  sharingOf,
  standingOf,
  standsOf,
  stopsOf,
  sumsFor,
  watched,
} from './consequences.ts'
import type { AgentRegistry } from './task/agents.ts'
import { liveRegistry } from './task/registry.ts'
import { bytesMeter } from './task/bytes-out.ts'
import type { NamedSink } from './record/sink.ts'
import { sinksOf } from './sinks.ts'
import type { ReadTransaction } from './task/transaction.ts'
import { authorities, introspectOf, notifiersOf, providerServices } from './services.ts'
import { countRefusal, dueOf, heldOf, observed, subjectsOf, taskOf, transactionsOf, waitingOf } from './tasking.ts'
import { openTrust, upstreamIdentity, type Trust } from './trust.ts'
import type { Standing } from './verdict.ts'

/** The stages made from one configuration, and what else follows from it. Immutable: a reload makes another. */
export interface Wiring {
  readonly loaded: Loaded
  /** Takes every call: the agent's own API, or the request path. Never rejects. */
  readonly handle: (call: Call) => Promise<void>
  readonly judgeTask: JudgeTask
  readonly standing: Standing
  readonly stops: Stops
  readonly agents: AgentRegistry
  readonly providers: ReadonlyMap<string, CredentialProvider>
  readonly notifiers: ReadonlyMap<string, Notifier>
  /** Where people hear of approvals. */
  readonly telling: Telling
  /** Who is given the lines of the ledger. */
  readonly sinks: readonly NamedSink[]
  readonly introspect: Introspection | null
  readonly trust: Trust
  /** What its TLS listeners are served with. */
  readonly identities: ServerIdentities
  readonly forward: Forward
  /** Lets go of what this wiring holds and the next one, if there is one, did not take over; calls in flight keep what they took. */
  close(next: Wiring | null): void
}

/**
 * Turns a checked configuration into stages: plain calls, no container. Throws, with nothing left open, when a part cannot work:
 * the configuration before it then stays in force. Of `previous`, the wiring it replaces, it keeps providers and sources that did not change.
 */
export function wire(loaded: Loaded, on: Foundation, previous: Wiring | null = null): Wiring {
  const { clock, log } = on
  const trust = openTrust(loaded, on, previous)
  const open: { close(): unknown }[] = trust === previous?.trust ? [] : [trust]
  const kept = <Part extends { close(): unknown }>(part: Part): Part => {
    open.push(part)
    return part
  }
  try {
    const svid = upstreamIdentity(trust, clock)
    const identities = serverIdentities(loaded, log, trust.own, previous?.identities ?? null)
    const providers = providersOf(loaded, on, previous)
    const setting = judgingOf(loaded, on)
    const oblige = obligeOf(loaded, on)
    const answers = answersOf(loaded, on, setting, oblige)
    const stops = stopsOf(loaded, on, previous)
    const forward = kept(forwardOf(loaded, on, { answers, stops, svid }))
    const agents = registryOf(loaded, on)
    const routes = routesOf(loaded.config)
    const transaction = transactionsOf(loaded, on)
    const stages = stagesOf(loaded, on, { sources: trust.sources, agents, routes, setting, oblige, stops, forward, transaction })
    const agentApi = agentApiOf(loaded, on, { stages, agents, transaction })
    return {
      loaded,
      handle: (call) => (call.address.kind === 'agent-api' ? agentApi(call) : countersign(call, stages)),
      judgeTask: makeJudgeTask(setting),
      standing: standingOf(on, { setting, oblige, agents, routes }),
      stops,
      agents,
      providers,
      notifiers: notifiersOf(loaded, on),
      telling: tellingOf(loaded, on),
      sinks: sinksOf(loaded, on, previous),
      introspect: introspectOf(loaded, on),
      trust,
      identities,
      forward,
      close: (next) => void (next?.trust === trust || trust.close()),
    }
  } catch (error) {
    for (const part of open) part.close()
    throw error
  }
}

/** What every judgement is made by and sees, besides the facts of a task. */
function judgingOf(loaded: Loaded, on: Foundation): Omit<DecideOptions, 'facts'> {
  const { mode, modes, environment, evaluation } = loaded.config.decide
  const { clock, log, state } = on
  return {
    engine: () => on.policy.engine(),
    log,
    mode,
    modes,
    environment,
    sums: sumsFor(loaded),
    signals: (about, now) => state.signals.of(about, now),
    clock,
    slow: makeSlow({ budget: evaluation.budget, clock, log, count: (entrypoint) => on.inForce()?.slow(entrypoint) }),
  }
}

function forwardOf(loaded: Loaded, on: Foundation, { answers, stops, svid }: Forwarding): Forward {
  return makeForward({
    clock: on.clock,
    check: (permit) => Permit.check(permit),
    answers,
    echoed: echoedOf(on, stops),
    ca: authorities(loaded),
    svid,
    meter: ({ question }) => bytesMeter(on.state, question.task),
    gather: loaded.config.listen.limits.judged_body,
    leases: { stands: (id) => on.credential.book.has(id), onEnd: (told) => on.credential.book.onDrop(told) },
  })
}

interface Forwarding extends Pick<Required<ForwardOptions>, 'answers' | 'svid'> {
  readonly stops: Stops
}

interface Parts {
  readonly sources: readonly IdentitySource[]
  readonly agents: AgentRegistry
  readonly routes: ReadonlyMap<string, Route>
  readonly setting: Omit<DecideOptions, 'facts'>
  readonly oblige: Oblige
  readonly stops: Stops
  readonly forward: Forward
  readonly transaction: ReadTransaction
}

/** One line a stage. */
function stagesOf(
  loaded: Loaded,
  on: Foundation,
  { sources, agents, routes, setting, oblige, stops, forward, transaction }: Parts,
): Stages {
  const { config } = loaded
  const { state, clock, covering } = on
  const judge = makeDecide({ ...setting, facts: (task, caller) => state.facts(task, caller) })
  const decide: Stages['decide'] = (question) => {
    refuseLapsed(question.target, clock)
    return judge(question)
  }
  return {
    record: (call) => on.recorder.call(call),
    identify: watched(makeIdentify({ sources, clock, dpop: config.identify.dpop, proofs: on.proofs }), stops),
    task: taskOf(loaded, on, { agents, transaction }),
    match: makeMatch({ routes, judgedBody: config.listen.limits.judged_body, stopped: (...about) => covering.refuseMatched(...about) }),
    decide,
    approve: approveOf(loaded, on, { oblige, decide, agents, stops }),
    credential: (permit) => {
      const { route } = permit.decision.question.target
      if (route.credential !== null) refuseOutdated(loaded, on, route.name, 'minted')
      return on.credential.credential(permit)
    },
    forward: observed(forward, state),
    done: doneOf(on),
  }
}

/** The call is over: those that waited for it go on. */
function doneOf({ revoke, line }: Foundation): Stages['done'] {
  return (call) => {
    revoke.close(call)
    if (line.size > 0) line.leave(call)
    call.release()
  }
}

interface ApiParts {
  readonly stages: Stages
  readonly agents: AgentRegistry
  readonly transaction: ReadTransaction
}

/** The agent's own API: the same identity and limits as its calls. */
function agentApiOf(loaded: Loaded, on: Foundation, parts: ApiParts): Wiring['handle'] {
  const { stages, agents, transaction } = parts
  return makeAgentApi({
    identify: stages.identify,
    record: on.recorder,
    killed: ({ id }) => on.covering.party(id, agents.find(id), null),
    tasks: on.tasks,
    state: on.state,
    agents: () => agents,
    approvals: { read: (id) => on.approvals.read(id), holds: on.holds, hold: loaded.config.approve.hold },
    parseJson: (bytes) => readJson(bytes).value,
    verifySubject: subjectsOf(loaded, on),
    due: dueOf(loaded, on),
    transaction,
    tokens: on.tokens,
    delegation: on.delegation,
    held: heldOf(loaded, on),
    waiting: (task) => waitingOf(on, task),
    clock: on.clock,
  })
}

interface Approving extends Pick<Parts, 'oblige' | 'agents' | 'stops'> {
  readonly decide: Stages['decide']
}

/** Deny throws, allow mints: in one tick with the facts that policy saw, and with the work registered for `revoke`. Ask asks, defer waits. */
function approveOf(loaded: Loaded, on: Foundation, { oblige, decide, agents, stops }: Approving): Stages['approve'] {
  const read = readingOf(loaded, on)
  const share = sharingOf(loaded, on)
  const swap = makeSwap({
    mint: (request) => on.state.mint(request),
    stands: standsOf(agents),
    killed: (question) => on.covering.call(question),
    repeat: repeatDigest,
    sums: sumsFor(loaded),
    clock: on.clock,
    open: (decision, reads, raised) => {
      on.revoke.open(decision)
      read(decision, decision.facts, reads)
      if (stops.watchesMints) stops.minted(decision)
      share(raised)
      if (on.line.size > 0) on.line.wake({ task: decision.question.task.row.id })
    },
  })
  const mint: typeof Permit.mint = (decision, how) => {
    refuseOutdated(loaded, on, decision.question.target.route.name, 'to mint')
    return Permit.mint(decision, how)
  }
  const refused = (decision: Decision): void => {
    countRefusal(on, decision)
    stops.denied(decision)
  }
  const again = (question: Question): Question => againOf(question, on.state.task(question.task.row.id), agents.find(question.caller.id))
  const parts = { decide, again, refused }
  return makeApprove({ mint, swap, oblige, rejudge: decide, refused, ask: askOf(loaded, on, parts), defer: deferOf(loaded, on, parts) })
}

/** The agents of this configuration, and those that came through the admin API. */
function registryOf({ config }: Loaded, { state }: Foundation): AgentRegistry {
  const { environment } = config.decide
  return liveRegistry({ declared: agentsOf(config), book: state.registrations, read: registrationOrNull, environment })
}

/** A provider that did not change stays the one it is, and so do its leases; a standing secret is read anew. */
function providersOf(loaded: Loaded, on: Foundation, previous: Wiring | null): ReadonlyMap<string, CredentialProvider> {
  const services = providerServices(loaded, on)
  const before = previous?.loaded.config.credential.providers ?? {}
  const open = ([name, settings]: [string, ProviderConfig]): [string, CredentialProvider] => {
    const kept = settings.type !== 'static' && sameLending(settings, before[name]) ? previous?.providers.get(name) : undefined
    return [name, kept ?? openProvider(name, settings, services)]
  }
  return new Map(Object.entries(loaded.config.credential.providers).map(open))
}
