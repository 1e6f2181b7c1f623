import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { makeAgentApi } from './agent-api/agent-api.ts'
import { makeApprove } from './approve/approve.ts'
import { makeSwap } from './approve/swap.ts'
import { addressesOf, agentsOf, placeOf, routesOf } from './config/catalogue.ts'
import { secretReader } from './config/keys.ts'
import type { Env, Loaded } from './config/load.ts'
import { countersign, type Stages } from './countersign.ts'
import type { CredentialProvider } from './credential/credential.ts'
import { introspectionClients, makeIntrospection, type Introspection } from './credential/introspect.ts'
import type { SigningKey } from './credential/keys.ts'
import type { CredentialStage } from './credential/lend.ts'
import { openProvider } from './credential/registry.ts'
import { readBundle } from './decide/bundle.ts'
import { makeDecide } from './decide/decide.ts'
import { openPolicy, type PolicyHost } from './decide/module.ts'
import { makeJudgeTask, type JudgeTask } from './decide/opening.ts'
import { Permit } from './decide/permit.ts'
import { repeatDigest } from './decide/repeat.ts'
import { makeForward, type Forward } from './forward/forward.ts'
import type { NewId } from './id.ts'
import { makeIdentify, type IdentitySource } from './identify/identify.ts'
import { openSource } from './identify/registry.ts'
import type { Call } from './listen/call.ts'
import type { ListenOptions } from './listen/proxy.ts'
import { readJson } from './match/json.ts'
import { makeMatch } from './match/match.ts'
import type { Route } from './match/route.ts'
import type { OpenRecorder } from './record/recorder.ts'
import type { Revoke } from './revoke.ts'
import type { State } from './state/state.ts'
import { agentRegistry, notLive } from './task/agents.ts'
import { makeVerifySubject, type SubjectIssuer } from './task/subject.ts'
import { makeTask } from './task/task.ts'
import type { Tasks } from './task/tasks.ts'

/** Takes one line for the operator: members first, then the sentence. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** What outlives a configuration: state, ledger, leases, open work. */
export interface Foundation {
  readonly env: Env
  readonly clock: () => number
  readonly newId: NewId
  readonly log: Log
  readonly state: State
  readonly recorder: OpenRecorder
  readonly revoke: Revoke
  readonly tasks: Tasks
  readonly credential: CredentialStage
  readonly signingKey: SigningKey
  /** `iss` of what Countersign signs. */
  readonly issuer: string
}

/** The stages made from one configuration, and what else follows from it. Immutable: a reload makes another. */
export interface Wiring {
  readonly loaded: Loaded
  readonly stages: Stages
  /** Takes every call: the agent's own API, or the request path. Never rejects. */
  readonly handle: (call: Call) => Promise<void>
  readonly policy: PolicyHost
  readonly judgeTask: JudgeTask
  readonly providers: ReadonlyMap<string, CredentialProvider>
  readonly introspect: Introspection | null
  readonly sources: readonly IdentitySource[]
  readonly forward: Forward
  readonly routes: ReadonlyMap<string, Route>
  /** Lets go of what this wiring alone holds; calls in flight keep what they took. */
  close(): void
}

/** The default policy, compiled from rego/ and shipped with the package. */
const defaultBundle = new URL('../rego/policy.tar.gz', import.meta.url)

/**
 * Turns a checked configuration into stages: plain calls, no container. Throws, with nothing left open, when a part cannot work:
 * the configuration before it then stays in force.
 */
export function wire(loaded: Loaded, on: Foundation): Wiring {
  const { config, folder } = loaded
  const { state, clock, log } = on
  const open: { close(): unknown }[] = []
  try {
    const policy = openPolicy(readBundle(bundleBytes(loaded)), { clock, log })
    open.push(policy)
    const sources = config.identify.sources.map((source) =>
      openSource(absolute(source, folder), { clock, log, fetch, audience: config.identify.audience }),
    )
    open.push(...sources)
    const routes = routesOf(config)
    const forward = makeForward({ clock, check: (permit) => Permit.check(permit), ca: authorities(loaded) })
    open.push(forward)
    const providers = providersOf(loaded, on)
    const setting = { engine: () => policy, log, mode: config.decide.mode, environment: config.decide.environment, clock }
    const identify = makeIdentify({ sources, clock })
    const registry = agentRegistry(agentsOf(config))
    const decide = makeDecide({ ...setting, facts: (task, caller) => state.facts(task, caller) })
    const task = makeTask({ state, agents: () => registry, tasks: on.tasks, clock })
    const stages: Stages = {
      record: (call) => on.recorder.call(call),
      identify,
      task,
      match: makeMatch({ routes, judgedBody: config.listen.limits.judged_body }),
      decide,
      approve: approveOf(on, decide),
      credential: on.credential.credential,
      forward: observed(forward, state),
      done: (call) => {
        on.revoke.close(call)
        call.release()
      },
    }
    const agentApi = makeAgentApi({
      identify,
      record: on.recorder,
      tasks: on.tasks,
      state,
      agents: () => registry,
      parseJson: (bytes) => readJson(bytes).value,
      verifySubject: makeVerifySubject(subjectIssuers(loaded), clock),
    })
    return {
      loaded,
      stages,
      handle: (call) => (call.address.kind === 'agent-api' ? agentApi(call) : countersign(call, stages)),
      policy,
      judgeTask: makeJudgeTask(setting),
      providers,
      introspect: introspectOf(loaded, on),
      sources,
      forward,
      routes,
      close: () => {
        for (const source of sources) source.close()
        policy.close()
      },
    }
  } catch (error) {
    for (const part of open) part.close()
    throw error
  }
}

/** What listening needs of a configuration; `handle` is looked up per call, so that a swap takes the next one. */
export function listenOptions(loaded: Loaded, on: Foundation, handle: (call: Call) => Promise<void>): ListenOptions {
  const { listen, forward } = loaded.config
  const shared = listen.agent.map((listener, index) => ({
    name: `agent.${index}`,
    at: placeOf(listener.at),
    route: null,
    ambient: listener.ambient ?? null,
  }))
  const own = Object.entries(forward.routes).flatMap(([name, route]) =>
    route.port === undefined ? [] : [{ name: `route.${name}`, at: { host: '127.0.0.1', port: route.port }, route: name, ambient: null }],
  )
  const { limits } = listen
  return {
    listeners: [...shared, ...own],
    routes: addressesOf(loaded.config),
    hosts: listen.hosts,
    limits: {
      headerBytes: limits.headers,
      headerCount: limits.header_count,
      target: limits.target,
      body: limits.body,
      callsPerCaller: limits.calls_per_caller,
      connections: limits.connections,
      headerTime: limits.header_time,
      bodyTime: limits.body_time,
      callTime: limits.call_time,
    },
    newId: on.newId,
    clock: on.clock,
    handle,
    malformed: (listener, reason) => on.recorder.malformed(listener, reason),
  }
}

/** Deny throws, allow mints: in one tick with the facts that policy saw, and with the work registered for `revoke`. */
function approveOf(on: Foundation, rejudge: Stages['decide']): Stages['approve'] {
  const swap = makeSwap({
    mint: (request) => on.state.mint(request),
    agentLive: notLive,
    repeat: repeatDigest,
    clock: on.clock,
    open: ({ question: { call, caller, task, target } }) =>
      on.revoke.open(call, {
        task: task.row.id,
        caller: caller.id,
        agent: task.agent.id,
        tool: target.tool.name,
        route: target.route.name,
        cut: (reason) => call.cut(reason),
      }),
  })
  return makeApprove({ mint: (decision, how) => Permit.mint(decision, how), swap, rejudge })
}

/** Forwards, and tells the task's facts whether the upstream was content. */
function observed(forward: Forward, state: State): Stages['forward'] {
  return async (permit, lease) => {
    const outcome = await forward.forward(permit, lease)
    await state.observe(permit.decision.question.task.row.id, { failed: outcome.status === null || outcome.status >= 400 })
    return outcome
  }
}

function bundleBytes({ config, folder }: Loaded): Uint8Array {
  const { bundle } = config.decide
  return readFileSync(bundle === undefined ? defaultBundle : resolve(folder, bundle.path))
}

function providersOf({ config, folder }: Loaded, on: Foundation): ReadonlyMap<string, CredentialProvider> {
  const secret = secretReader(folder, on.env)
  const services = { clock: on.clock, secret, signingKey: on.signingKey, issuer: on.issuer, fetch }
  return new Map(Object.entries(config.credential.providers).map(([name, provider]) => [name, openProvider(name, provider, services)]))
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

/** Key files are named relative to the configuration. */
function absolute(source: Loaded['config']['identify']['sources'][number], folder: string): typeof source {
  return 'file' in source.keys ? { ...source, keys: { file: resolve(folder, source.keys.file) } } : source
}
