import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { makeAgentApi } from './agent-api/agent-api.ts'
import { makeApprove } from './approve/approve.ts'
import type { Oblige } from './approve/oblige.ts'
import { makeSwap } from './approve/swap.ts'
import { agentsOf, routesOf } from './config/catalogue.ts'
import { secretReader } from './config/keys.ts'
import type { Loaded } from './config/load.ts'
import { same } from './config/outdated.ts'
import { countersign, type Stages } from './countersign.ts'
import type { CredentialProvider } from './credential/credential.ts'
import { introspectionClients, makeIntrospection, type Introspection } from './credential/introspect.ts'
import { openProvider, type ProviderConfig } from './credential/registry.ts'
import { makeDecide, type Decision, type DecideOptions } from './decide/decide.ts'
import { makeJudgeTask, type JudgeTask } from './decide/opening.ts'
import { Permit } from './decide/permit.ts'
import { repeatDigest } from './decide/repeat.ts'
import { makeSlow } from './decide/slow.ts'
import type { Foundation } from './foundation.ts'
import { makeForward, type Forward } from './forward/forward.ts'
import { readActing } from './identify/jwt/act.ts'
import { makeIdentify, type IdentitySource } from './identify/identify.ts'
import type { Call } from './listen/call.ts'
import { serverIdentities, type ServerIdentities } from './listeners.ts'
import { readJson } from './match/json.ts'
import { makeMatch } from './match/match.ts'
import type { Route } from './match/route.ts'
import type { Notifier } from './notify/notifier.ts'
import { openNotifier } from './notify/registry.ts'
import { answersOf, obligeOf, readingOf, refuseOutdated, sharingOf, standingOf } from './consequences.ts'
import type { State } from './state/state.ts'
import { agentRegistry, notLive, type AgentRegistry } from './task/agents.ts'
import { makeVerifySubject, type SubjectIssuer } from './task/subject.ts'
import { makeTask } from './task/task.ts'
import { openTrust, upstreamIdentity, type Trust } from './trust.ts'
import type { Standing } from './verdict.ts'

/** The stages made from one configuration, and what else follows from it. Immutable: a reload makes another. */
export interface Wiring {
  readonly loaded: Loaded
  /** Takes every call: the agent's own API, or the request path. Never rejects. */
  readonly handle: (call: Call) => Promise<void>
  readonly judgeTask: JudgeTask
  readonly standing: Standing
  readonly agents: AgentRegistry
  readonly providers: ReadonlyMap<string, CredentialProvider>
  readonly notifiers: ReadonlyMap<string, Notifier>
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
  const { mode, modes, environment, evaluation } = loaded.config.decide
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
    const slow = makeSlow({ budget: evaluation.budget, clock, log, count: (entrypoint) => on.inForce()?.slow(entrypoint) })
    const setting = { engine: () => on.policy.engine(), log, mode, modes, environment, clock, slow }
    const oblige = obligeOf(loaded, on)
    const answers = answersOf(loaded, on, setting, oblige)
    const forward = kept(makeForward({ clock, check: (permit) => Permit.check(permit), answers, ca: authorities(loaded), svid }))
    const agents = agentRegistry(agentsOf(loaded.config))
    const routes = routesOf(loaded.config)
    const stages = stagesOf(loaded, on, { sources: trust.sources, agents, routes, setting, oblige, forward })
    const agentApi = agentApiOf(loaded, on, { stages, agents })
    return {
      loaded,
      handle: (call) => (call.address.kind === 'agent-api' ? agentApi(call) : countersign(call, stages)),
      judgeTask: makeJudgeTask(setting),
      standing: standingOf(on, { setting, oblige, agents, routes }),
      agents,
      providers,
      notifiers: notifiersOf(loaded, on),
      introspect: introspectOf(loaded, on),
      trust,
      identities,
      forward,
      close: (next) => {
        if (next?.trust !== trust) trust.close()
      },
    }
  } catch (error) {
    for (const part of open) part.close()
    throw error
  }
}

interface Parts {
  readonly sources: readonly IdentitySource[]
  readonly agents: AgentRegistry
  readonly routes: ReadonlyMap<string, Route>
  readonly setting: Omit<DecideOptions, 'facts'>
  readonly oblige: Oblige
  readonly forward: Forward
}

/** One line a stage. */
function stagesOf(loaded: Loaded, on: Foundation, { sources, agents, routes, setting, oblige, forward }: Parts): Stages {
  const { config } = loaded
  const { state, clock } = on
  const decide = makeDecide({ ...setting, facts: (task, caller) => state.facts(task, caller) })
  return {
    record: (call) => on.recorder.call(call),
    identify: makeIdentify({ sources, clock, dpop: config.identify.dpop, proofs: on.proofs }),
    task: makeTask({ state, agents: () => agents, tasks: on.tasks, clock }),
    match: makeMatch({ routes, judgedBody: config.listen.limits.judged_body }),
    decide,
    approve: approveOf(loaded, on, oblige, decide),
    credential: (permit) => {
      const { route } = permit.decision.question.target
      if (route.credential !== null) refuseOutdated(loaded, on, route.name, 'minted')
      return on.credential.credential(permit)
    },
    forward: observed(forward, state),
    done: (call) => {
      on.revoke.close(call)
      call.release()
    },
  }
}

/** The agent's own API: the same identity and limits as its calls. */
function agentApiOf(loaded: Loaded, on: Foundation, { stages, agents }: { stages: Stages; agents: AgentRegistry }): Wiring['handle'] {
  return makeAgentApi({
    identify: stages.identify,
    record: on.recorder,
    tasks: on.tasks,
    state: on.state,
    agents: () => agents,
    parseJson: (bytes) => readJson(bytes).value,
    verifySubject: makeVerifySubject(subjectIssuers(loaded), on.clock, readActing),
    delegation: on.delegation,
    clock: on.clock,
  })
}

/** Deny throws, allow mints: in one tick with the facts that policy saw, and with the work registered for `revoke`. */
function approveOf(loaded: Loaded, on: Foundation, oblige: Oblige, rejudge: Stages['decide']): Stages['approve'] {
  const read = readingOf(loaded, on)
  const share = sharingOf(loaded, on)
  const swap = makeSwap({
    mint: (request) => on.state.mint(request),
    agentLive: notLive,
    repeat: repeatDigest,
    clock: on.clock,
    open: (decision, reads, raised) => {
      on.revoke.open(decision)
      read(decision, decision.facts, reads)
      share(raised)
    },
  })
  const mint: typeof Permit.mint = (decision, how) => {
    refuseOutdated(loaded, on, decision.question.target.route.name, 'to mint')
    return Permit.mint(decision, how)
  }
  return makeApprove({ mint, swap, oblige, rejudge, refused: (decision) => countRefusal(on, decision) })
}

/** Tells the task's facts that policy refused. What fails here is told to the operator and changes nothing of the refusal. */
function countRefusal({ state, log }: { readonly state: State; readonly log: Foundation['log'] }, { question, refusedBy }: Decision): void {
  const failed = (error: unknown): void => log.error({ err: error }, 'a refusal was not counted')
  try {
    const told = state.denied(question.task.row.id, [...new Set(refusedBy.map(({ rule }) => rule))])
    if (told instanceof Promise) told.catch(failed)
  } catch (error) {
    failed(error)
  }
}

/** Forwards, and tells the task's facts whether the upstream was content. */
function observed(forward: Forward, state: State): Stages['forward'] {
  return (permit, lease) => {
    const { id } = permit.decision.question.task.row
    return forward.forward(permit, lease).then(
      (outcome) => {
        const told = state.observe(id, { failed: outcome.status === null || outcome.status >= 400 })
        return told instanceof Promise ? told.then(() => outcome) : outcome
      },
      async (error: unknown) => {
        await state.observe(id, { failed: true })
        throw error
      },
    )
  }
}

/** A provider that did not change stays the one it is, and so do its leases; a standing secret is read anew. */
function providersOf({ config, folder }: Loaded, on: Foundation, previous: Wiring | null): ReadonlyMap<string, CredentialProvider> {
  const services = { clock: on.clock, secret: secretReader(folder, on.env), signingKey: on.signingKey, issuer: on.issuer, fetch }
  const before = previous?.loaded.config.credential.providers ?? {}
  const open = ([name, settings]: [string, ProviderConfig]): [string, CredentialProvider] => {
    const kept = settings.type !== 'static' && same(settings, before[name]) ? previous?.providers.get(name) : undefined
    return [name, kept ?? openProvider(name, settings, services)]
  }
  return new Map(Object.entries(config.credential.providers).map(open))
}

function notifiersOf({ config, folder }: Loaded, on: Foundation): ReadonlyMap<string, Notifier> {
  const services = { clock: on.clock, secret: secretReader(folder, on.env), fetch }
  return new Map(Object.entries(config.decide.notifiers).map(([name, settings]) => [name, openNotifier(name, settings, services)]))
}

function introspectOf({ config, folder }: Loaded, on: Foundation): Introspection | null {
  const clients = introspectionClients(config.credential.providers, secretReader(folder, on.env))
  return makeIntrospection({ clients, book: on.credential.book, clock: on.clock })
}

function subjectIssuers({ config, folder }: Loaded): SubjectIssuer[] {
  return config.task.subjects.map(({ issuer, audience, keys }) => ({
    issuer,
    audience,
    keys: 'url' in keys ? new URL(keys.url) : JSON.parse(readFileSync(resolve(folder, keys.file), 'utf8')),
  }))
}

function authorities({ config, folder }: Loaded): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (const [name, { ca }] of Object.entries(config.forward.routes))
    if (ca !== undefined) found.set(name, [readFileSync(resolve(folder, ca.file), 'utf8')])
  return found
}
