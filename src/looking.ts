/** What the page reads of a running sidecar besides its tasks and approvals. */
import { resolve } from 'node:path'
import type { Lent } from './admin/answer-html.ts'
import type { Overview } from './admin/overview.ts'
import type { CallExplained, FiredRow, PolicyPartOptions, RuleRow } from './admin/policy-page.ts'
import { controlsOf, type CatalogueRule } from './author/catalogue.ts'
import { listDifference, type Change } from './author/change.ts'
import { lacksBody, type Explanation, type Fact, type FiredRule } from './author/explain.ts'
import { standingSecrets } from './config/standing.ts'
import { makePolicyDesk } from './policy-desk.ts'
import type { Told } from './ports.ts'
import { backwards } from './record/backwards.ts'
import { readStored } from './record/stored-line.ts'
import { linesOfTask, type OfTask } from './record/of-task.ts'
import type { ApprovalRow } from './state/approvals.ts'
import type { TaskRow } from './state/state.ts'

/** Most lines of one task on its page. */
const mostLines = 600
/** A sink that is this far behind is named, seconds. */
const longestLag = 60
/** How far from the end a checkpoint is looked for. */
const nearEnd = 2000

export function ledgerFolder({ wiring }: Pick<Told, 'wiring'>): string {
  const { folder, config } = wiring.loaded
  return resolve(folder, config.record.ledger.path)
}

/** The lines of a task, newest first. */
export function historyOf(told: Told, { id, opened }: TaskRow): Promise<OfTask> {
  return linesOfTask(ledgerFolder(told), id, { since: opened, most: mostLines, watch: told.foundation.recorder })
}

/** What the calls of an approval are lent at the most, as the provider of their route offers it; null: nothing. */
export function lentTo({ wiring }: Told, { route }: ApprovalRow): Lent | null {
  const { forward } = wiring.loaded.config
  const name = Object.hasOwn(forward.routes, route) ? forward.routes[route]?.credential : undefined
  const provider = name === undefined ? undefined : wiring.providers.get(name)
  if (name === undefined || provider === undefined) return null
  const { scopes, audiences, ttl } = provider.offer
  return { provider: name, scopes, audiences, ttl, standing: provider.standing }
}

/** How it does, for the home page. */
export async function overviewOf(told: Told): Promise<Overview> {
  const { state, policy, recorder } = told.foundation
  return {
    notReady: told.notReady(),
    kills: state.kills.engaged,
    calls: told.inFlight,
    policy: policy.status(),
    standing: standingSecrets(told.wiring.loaded.config).length,
    ledger: { position: recorder.position().seq, checkpoint: await lastCheckpoint(told) },
    lagging: recorder
      .sinks()
      .flatMap(({ name, lagLines, lagSeconds }) => (lagSeconds > longestLag ? [{ sink: name, behind: lagLines }] : [])),
  }
}

async function lastCheckpoint(told: Told): Promise<Overview['ledger']['checkpoint']> {
  let passed = 0
  for await (const { bytes } of backwards(ledgerFolder(told), { watch: told.foundation.recorder })) {
    const stored = bytes.includes('"kind":"checkpoint"') ? readStored(bytes.toString()) : null
    if (stored?.kind === 'checkpoint') return { at: stored.time, lines: stored.seq - 1 }
    if (++passed === nearEnd) return null
  }
  return null
}

/** What the page says of policy. */
export function policyLooks(told: Told): PolicyPartOptions {
  const { policy, recorder, clock } = told.foundation
  const desk = makePolicyDesk({
    loaded: () => told.wiring.loaded,
    revision: () => policy.revision,
    ledger: { dir: ledgerFolder(told), watch: recorder },
  })
  return {
    clock,
    view: () => {
      const { mode, modes } = told.wiring.loaded.config.decide
      return { status: policy.status(), mode, modes }
    },
    rules: async () => (await desk.rules()).rules.map((rule) => ruleRow(rule)),
    explain: async (call) => {
      try {
        const found = await desk.explain(call)
        if (found.is !== 'explained') return found
        const { explanation } = found.told
        return explanation === null ? { is: 'unknown' } : explainedOf(explanation)
      } catch (error) {
        return { is: 'failed', why: error instanceof Error ? error.message : 'unknown' }
      }
    },
  }
}

function ruleRow(rule: CatalogueRule): RuleRow {
  const { id, title, effect, severity, level, observable } = rule
  return { id, title, effect, severity, level, observable, controls: controlsOf(rule) }
}

function explainedOf(explanation: Explanation): CallExplained {
  const { effect, fault, policy, recorded, rules, allowing } = explanation
  return {
    is: 'explained',
    effect,
    fault,
    revision: policy.revision,
    recorded: recorded && { ...recorded, end: endOf(recorded) },
    rules: rules.map((rule) => firedRow(rule)),
    ways: allowing === null ? null : allowing.ways.map((way) => way.map((change) => changeText(change))),
    tried: allowing?.tried ?? 0,
    bodyless: lacksBody(explanation),
  }
}

function endOf({ code, observed }: NonNullable<Explanation['recorded']>): string {
  if (code !== null) return `refused as ${code}`
  return observed === null ? 'let through' : `let through in observe mode, would have been ${observed}`
}

function firedRow({ id, effect, severity, controls, title, description, message, detail, facts, remediation }: FiredRule): FiredRow {
  const found = Object.keys(detail).length === 0 ? '' : short(detail)
  return { id, effect, severity, controls, title, description, message, found, facts: facts.map((fact) => factText(fact)), remediation }
}

function factText({ fact, state, value }: Fact): string {
  return `${fact}: ${state === 'missing' ? 'missing in the input' : state === 'hidden' ? 'not in the record' : short(value)}`
}

function changeText(change: Change): string {
  const lists = Array.isArray(change.from) ? listDifference(change) : null
  if (lists === null) return `${change.fact}: ${change.from === undefined ? 'missing' : short(change.from)} → ${short(change.to)}`
  return `${change.fact}: ${[...lists.added.map((text) => `+ ${text}`), ...lists.removed.map((text) => `- ${text}`)].join(', ')}`
}

const mostShort = 240

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > mostShort ? `${text.slice(0, mostShort)}…` : text
}
