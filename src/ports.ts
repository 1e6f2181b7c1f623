/** What people and machines of the operator are answered: the admin port and the health port. */
import { dirname, resolve } from 'node:path'
import { makeAdmin } from './admin/admin.ts'
import { approvalPart } from './admin/approval-page.ts'
import type { Offered } from './admin/asked-task.ts'
import { agentPart } from './admin/agent-page.ts'
import { agentNoun } from './admin/agents.ts'
import { callerNoun } from './admin/callers.ts'
import { frameworkPart } from './admin/framework-page.ts'
import { makeHealth } from './admin/health.ts'
import { approvalNoun } from './admin/approvals.ts'
import { decisionPart } from './admin/decision-page.ts'
import type { Desk } from './admin/desk.ts'
import { backupNoun } from './admin/backup.ts'
import { evidenceFile, evidenceNoun } from './admin/evidence.ts'
import { killPart } from './admin/kill-page.ts'
import { localKey } from './admin/local-key.ts'
import { killNoun, shownKill, type KillNounOptions } from './admin/kills.ts'
import type { Noun } from './admin/noun.ts'
import { openPart } from './admin/open-page.ts'
import type { LedgerReading } from './admin/stream.ts'
import { policyPart } from './admin/policy-page.ts'
import { signalNoun } from './admin/signals.ts'
import type { serve } from './admin/serve.ts'
import { standingPart } from './admin/standing-page.ts'
import { taskPart } from './admin/task-page.ts'
import { taskNoun } from './admin/tasks.ts'
import type { Part } from './admin/visit.ts'
import { evidenceOf } from './evidencing.ts'
import { frameworks } from './evidence/frameworks.ts'
import { standingSecrets } from './config/standing.ts'
import type { Foundation } from './foundation.ts'
import { historyOf, lentTo, overviewOf, policyLooks } from './looking.ts'
import { people } from './people.ts'
import type { Wiring } from './wire.ts'

type Answers = Parameters<typeof serve>[1]

/** As much of a running sidecar as its ports tell. */
export interface Told {
  readonly foundation: Foundation
  /** In force; a reload replaces it. */
  readonly wiring: Wiring
  readonly metrics: { readonly text: () => Promise<string> }
  readonly ports: ReadonlyMap<string, number>
  /** Calls that have begun and not ended. */
  readonly inFlight: number
  notReady(): readonly string[]
}

/** Liveness, readiness, metrics and public keys: nothing secret. */
export function healthPort(told: Told): Answers {
  return makeHealth({
    notReady: () => told.notReady(),
    metrics: () => told.metrics.text(),
    jwks: () => told.foundation.signingKey.publicKeys(),
    ledgerFile: (path) => told.foundation.recorder.publicFile(path),
    introspect: () => told.wiring.introspect,
  })
}

/** The admin API. Its key file is made when it is not there. */
export function adminPort(told: Told): Answers {
  const { folder, config } = told.wiring.loaded
  const { recorder, policy, credential, state, log } = told.foundation
  const key = localKey(resolve(folder, config.admin.key?.file ?? `${dirname(config.task.state.path)}/admin.key`))
  const { desk, link, ...ways } = people(told.wiring.loaded, told.foundation, key, {
    inForce: () => told.wiring.loaded,
    refused: ({ name, method }, act) => log.warn({ person: name, method, act }, 'a person may not do that: their role is not enough'),
    parts: (at) => partsOf(told, at),
    port: () => told.ports.get('admin') ?? 0,
  })
  return makeAdmin({
    ...ways,
    nouns: { ...nounsOf(told, desk), page: link },
    ledger: ledgerOf(told),
    status: () => ({
      ready: told.notReady().length === 0,
      not_ready: told.notReady(),
      ports: Object.fromEntries(told.ports),
      policy: policy.revision,
      bundle: policy.status(),
      ledger: { position: recorder.position().seq, key: recorder.publicKey() },
      calls: told.inFlight,
      leases: credential.sizes(),
      kills: state.kills.kills().map((kill) => shownKill(kill)),
    }),
  })
}

/** The ledger, as whoever reads along in this process reads it. */
function ledgerOf({ wiring, foundation: { recorder, clock } }: Told): LedgerReading {
  const { folder, config } = wiring.loaded
  return { dir: resolve(folder, config.record.ledger.path), watch: recorder, clock }
}

/** One line a noun. */
function nounsOf(told: Told, desk: Desk): Readonly<Record<string, Noun>> {
  const { state, recorder, tasks, tokens, kills, registrations, signals, clock } = told.foundation
  return {
    approvals: approvalNoun(desk),
    agents: agentNoun(registrations, clock),
    evidence: evidenceNoun(evidenceOf(told)),
    backup: backupNoun({
      take: async ({ by, reason, method }) => {
        await recorder.event({ kind: 'state.copied', by: `person:${by}`, detail: { reason, method } })
        return state.copy()
      },
    }),
    kills: killNoun({ kills, book: state.kills, known: (stop) => isKnown(stop, told) }),
    signals: signalNoun({ signals, book: state.signals }),
    tasks: taskNoun({ state, tasks, tokens, clock, agents: () => told.wiring.agents }),
    callers: callerNoun(async (caller, { by, reason, method }) => {
      await recorder.event({ kind: 'caller.sensitivity-cleared', caller, by: `person:${by}`, detail: { reason, method } })
      state.clearSensitivity(caller)
    }),
  }
}

/** One line a part of the page. */
function partsOf(told: Told, desk: Desk): readonly Part[] {
  const { state, tasks, tokens, kills, registrations, clock } = told.foundation
  return [
    decisionPart(ledgerOf(told)),
    approvalPart({ desk, kills, clock, overview: () => overviewOf(told), lent: (row) => lentTo(told, row) }),
    openPart({ tasks, clock, agents: () => told.wiring.agents, catalogue: () => catalogueOf(told) }),
    taskPart({ state, tasks, tokens, desk, clock, history: (row) => historyOf(told, row), evidence: evidenceFile(evidenceOf(told)) }),
    agentPart({ registrations, state, clock }),
    standingPart(() => standingSecrets(told.wiring.loaded.config)),
    policyPart(policyLooks(told)),
    frameworkPart(() => frameworks().map((row) => ({ ...row, query: row.query ?? '' }))),
    killPart({ kills, book: state.kills, known: (stop) => isKnown(stop, told), clock }),
  ]
}

/** The tools that are configured, by route. */
function catalogueOf({ wiring }: Told): readonly Offered[] {
  return Object.entries(wiring.loaded.config.forward.routes).flatMap(([route, { tools }]) =>
    tools.map(({ name, effect, risk }) => ({ name, route, effect, risk })),
  )
}

/** Whether a kill stops something that is there now. */
function isKnown({ scope, name }: Parameters<KillNounOptions['known']>[0], { foundation, wiring }: Told): boolean {
  if (name === null || scope === 'everything') return true
  const { agents } = wiring.agents
  const { forward, credential } = wiring.loaded.config
  const { routes } = forward
  switch (scope) {
    case 'agent':
      return wiring.agents.find(name) !== null || agents.some(({ id }) => id === name)
    case 'task':
      return foundation.state.task(name) !== null
    case 'tool':
      return Object.values(routes).some(({ tools }) => tools.some((tool) => tool.name === name))
    case 'route':
      return Object.hasOwn(routes, name)
    case 'owner':
      return (
        agents.some(({ owners }) => Object.values(owners ?? {}).includes(name)) ||
        [...Object.values(routes), ...Object.values(credential.providers)].some(({ owner }) => owner === name)
      )
    case 'trust-domain':
      return agents.some(({ id }) => id.split('/')[2] === name)
    default:
      return false
  }
}
