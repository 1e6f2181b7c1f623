/** Pages with one text in every place that somebody else can write to. */
import type { Answer } from '../../src/admin/answer.ts'
import type { Reader } from '../../src/admin/approval-html.ts'
import type { Opening } from '../../src/admin/open-html.ts'
import type { Overview } from '../../src/admin/overview.ts'
import type { Shell } from '../../src/admin/page-shell.ts'
import type { CallExplained, RuleRow } from '../../src/admin/policy-page.ts'
import type { Role } from '../../src/admin/roles.ts'
import type { TaskSheet } from '../../src/admin/task-sheet-html.ts'
import type { TreeNode } from '../../src/admin/task-tree.ts'
import { timelineOf, type Moment } from '../../src/admin/timeline.ts'
import type { PolicyStatus } from '../../src/decide/in-force.ts'
import type { ApprovalAnswer, ApprovalRow, Shown } from '../../src/state/approvals.ts'
import type { KillRow } from '../../src/state/kills.ts'
import type { LeaseRow } from '../../src/state/leases.ts'
import type { Intent } from '../../src/state/state.ts'
import type { Agent } from '../../src/task/agents.ts'
import type { Registered } from '../../src/task/registrations.ts'

/** Every text of an approval, all alike. */
export function rowOf(text: string): ApprovalRow {
  const shown: Shown = {
    title: text,
    purpose: text,
    agent: text,
    caller: text,
    human: text,
    chain: [text],
    tool: text,
    route: text,
    destination: text,
    method: text,
    target: text,
    parameters: [
      {
        name: text,
        value: text,
      },
    ],
    resource: text,
    risk: text,
    effect: text,
    data: [text],
    egress: text,
    body: text,
    bodySha256: text,
    steps: [text],
    sensitivity: [text],
    owners: { [text]: text },
    reasons: [
      {
        rule: text,
        severity: text,
        controls: [text],
        message: text,
      },
    ],
  }
  const answer: ApprovalAnswer = {
    by: text,
    method: 'oidc',
    groups: [text],
    verdict: 'approve',
    reason: text,
    at: 0,
    breakGlass: true,
    objective: null,
  }
  return {
    id: 'a_1',
    matter: 'call',
    state: 'pending',
    task: text,
    caller: text,
    call: text,
    digest: text,
    tool: text,
    route: text,
    shown,
    approvers: [text],
    quorum: 2,
    single: false,
    excluded: [text],
    revision: text,
    opened: 0,
    expires: 1,
    used: 0,
    answers: [answer],
    objective: {
      tools: [text],
      calls: 1,
      until: 1,
    },
    granted: 1,
    closed: {
      at: 1,
      by: text,
      reason: text,
    },
  }
}

export const shellOf = (text: string, roles: readonly Role[] = ['approver']): Shell => ({
  name: text,
  roles,
  csrf: 'c',
  told: { what: text, odd: false },
})
export const readerOf = (text: string, mayBreak = true): Reader => ({
  who: { method: 'oidc', name: text, groups: [] },
  shell: shellOf(text),
  mayBreak,
  barred: null,
  lent: { provider: text, scopes: [text], audiences: [text], ttl: 1000, standing: true },
  load: { answered: 9, approved: 3 },
  now: 0,
})
export const textOf = (answer: Answer): string => ('text' in answer ? answer.text : '')
/** The tags and the names of their attributes, without what stands in between. */
export const skeleton = (page: string): string[] => [...page.matchAll(/<\/?[^>]*>/g)].map(([tag]) => tag.replaceAll(/"[^"]*"/g, '""'))
export const intentOf = (text: string): Intent => ({
  purpose: text,
  tools: [text, 'two'],
  resources: [text, 'two'],
  data: [text],
  egress: [text],
  budget: { [text]: 1 },
  prompt: null,
})
export const agentOf = (text: string): Agent => ({
  id: `spiffe://${text}/*`,
  purpose: text,
  owners: null,
  autonomy: 'bounded',
  lifecycle: 'live',
  approved: { model: null, toolchain: null, until: null },
  intent: intentOf(text),
  ttl: 1000,
  implicit: null,
  labels: {},
  barred: null,
  environment: null,
  reviewers: [],
  validUntil: null,
  hosting: 'own',
})
export const nodeOf = (text: string): TreeNode => ({
  id: text,
  state: text,
  caller: text,
  purpose: text,
  depth: 0,
  expires: '1970-01-01T00:00:00Z',
  budget: { [text]: { spent: 1, most: 2 } },
  sensitivity: [text],
  paused: { by: text, reason: text },
  ended: null,
  offered: [{ id: text, to: text, expires: '1970-01-01T00:00:00Z' }],
  children: [],
})
/** Lines as the ledger has them, with this text in every place that it may stand in. */
export const momentsOf = (text: string): readonly Moment[] => {
  const line = (own: object, input?: object): string =>
    JSON.stringify({ decision_id: 'c_1', timestamp: '1970-01-01T00:00:00Z', input, custom: { countersign: { task: 't_1', ...own } } })
  const call = { tool: text, resource: text, rules: [text], approved_by: [text], effect: text }
  const input = { request: { method: text, path: text }, tool: { data: [text] } }
  const detail = { cause: text, reason: text, name: text, provider: text, scopes: [text], tool: text, to: text, verdict: text, id: text }
  const lines = [
    line({
      kind: 'outcome',
      status: 200,
      ended: 'complete',
      duration_ms: 3,
      bytes_in: 4,
      lease: { provider: text },
      raised: [`${text}-data`],
    }),
    line({ kind: 'decision', ...call }, input),
    line({ kind: 'refusal', ...call, code: text, asked: { approval: text } }, input),
    line({ kind: 'event', event: 'lease.issued', by: text, detail: { ...detail, expires: 1 } }),
    line({ kind: 'event', event: `x${text}`, by: text, detail }),
    'no line',
  ]
  return timelineOf(lines, 't_1')
}
const leaseOf = (text: string): LeaseRow => ({
  id: text,
  key: text,
  task: text,
  caller: text,
  tool: text,
  destination: text,
  provider: text,
  scopes: [text],
  audience: text,
  state: 'revoking',
  issued: 0,
  expires: 1,
  revision: text,
  revocation: 'issuer',
  digest: text,
  sealed: null,
  ending: { since: 0, cause: text },
})
export const overviewOf = (text: string): Overview => ({
  notReady: [text],
  kills: 1,
  calls: 1,
  policy: statusOf(text),
  standing: 1,
  ledger: { position: 7, checkpoint: { at: 0, lines: 6 } },
  lagging: [{ sink: text, behind: 3 }],
})
export const statusOf = (text: string): PolicyStatus => ({
  policy: { revision: text, digest: text, source: text, kept: true, signedBy: text, order: null, activated: 0 },
  mark: null,
  confirmed: 0,
  age: 1,
  lapsed: text,
  fault: { reason: 'bundle', message: text, sha256: null, revision: text, source: text },
})
export const registeredOf = (text: string): Registered => ({
  agent: { ...agentOf(text), owners: { business: text, security: text, incident: text } },
  digest: text,
  file: null,
  row: {
    id: text,
    declared: null,
    lifecycle: 'live',
    acceptances: [{ role: 'business', by: text, at: 0, digest: text }],
    changed: { at: 0, by: text, reason: text },
  },
})
export const ruleOf = (text: string): RuleRow => ({
  id: text,
  title: text,
  effect: text,
  severity: text,
  level: text,
  observable: true,
  controls: [text],
})
export const explainedOf = (text: string): CallExplained => ({
  is: 'explained',
  effect: text,
  fault: text,
  revision: `${text} now`,
  recorded: { id: text, time: text, revision: text, effect: text, end: text },
  rules: [
    {
      id: text,
      effect: text,
      severity: text,
      controls: [text],
      title: text,
      description: text,
      message: text,
      found: text,
      facts: [text],
      remediation: text,
    },
  ],
  ways: [[text]],
  tried: 3,
  bodyless: true,
})
export const sheetOf = (text: string): TaskSheet => ({
  row: {
    id: 't_1',
    caller: text,
    openedBy: text,
    agent: text,
    implicit: false,
    state: 'paused',
    intent: intentOf(text),
    onBehalfOf: { subject: text, issuer: text },
    subjectToken: null,
    opened: 0,
    expires: 1,
    limit: 1,
    session: null,
    revision: text,
    paused: { by: 'person', at: 0, reason: text },
    ended: null,
    parent: null,
    root: text,
    depth: 0,
  },
  tree: nodeOf(text),
  approvals: [rowOf(text)],
  waiting: text,
  token: text,
  timeline: { moments: momentsOf(text), more: true },
  only: null,
  brought: [text],
  leases: [leaseOf(text)],
  evidence: true,
  now: 0,
})
export const openingOf = (text: string): Opening => ({
  agent: agentOf(text),
  catalogue: [{ name: text, route: text, effect: text, risk: text }],
  form: new URLSearchParams({
    purpose: text,
    tools: text,
    more_tools: text,
    resources: text,
    reason: text,
    ttl: text,
    caller: text,
    [`budget.${text}`]: text,
  }),
  faults: [
    { field: null, message: text },
    { field: 'purpose', message: text },
    { field: 'tools', message: text },
  ],
  status: 400,
})
export const confirmedOf = (text: string) => ({ caller: text, intent: intentOf(text), ttl: 1000, reason: text })
export const killOf = (text: string): KillRow => ({
  id: text,
  scope: 'tool',
  name: text,
  at: 0,
  by: text,
  reason: text,
  lifted: { at: 1, by: text, reason: text },
})
export const killTyped = (text: string) => ({ scope: text, name: text, reason: text, note: text, status: 400 })
