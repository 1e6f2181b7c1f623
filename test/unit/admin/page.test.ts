import { hash } from 'node:crypto'
import { assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Answer } from '../../../src/admin/answer.ts'
import { approvalPage, listPage, type Reader } from '../../../src/admin/approval-html.ts'
import { killsPage } from '../../../src/admin/kill-html.ts'
import { choosePage, confirmPage, formPage, type Opening } from '../../../src/admin/open-html.ts'
import { faultPage, onward, type Shell } from '../../../src/admin/page-shell.ts'
import type { Role } from '../../../src/admin/roles.ts'
import { taskPage, tasksPage, type TaskSheet } from '../../../src/admin/task-html.ts'
import type { TreeNode } from '../../../src/admin/task-tree.ts'
import type { KillRow } from '../../../src/state/kills.ts'
import type { Intent } from '../../../src/state/state.ts'
import type { Agent } from '../../../src/task/agents.ts'
import type { ApprovalAnswer, ApprovalRow, Shown } from '../../../src/state/approvals.ts'

/** Every text of an approval, all alike. */
function rowOf(text: string): ApprovalRow {
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

const shellOf = (text: string, roles: readonly Role[] = ['approver']): Shell => ({
  name: text,
  roles,
  csrf: 'c',
  told: { what: text, odd: false },
})
const readerOf = (text: string, mayBreak = true): Reader => ({
  who: { method: 'oidc', name: text, groups: [] },
  shell: shellOf(text),
  mayBreak,
  now: 0,
})
const textOf = (answer: Answer): string => ('text' in answer ? answer.text : '')
/** The tags and the names of their attributes, without what stands in between. */
const skeleton = (page: string): string[] => [...page.matchAll(/<\/?[^>]*>/g)].map(([tag]) => tag.replaceAll(/"[^"]*"/g, '""'))
const intentOf = (text: string): Intent => ({
  purpose: text,
  tools: [text, 'two'],
  resources: [text, 'two'],
  data: [text],
  egress: [text],
  budget: { [text]: 1 },
  prompt: null,
})
const agentOf = (text: string): Agent => ({
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
const nodeOf = (text: string): TreeNode => ({
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
const sheetOf = (text: string): TaskSheet => ({
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
  now: 0,
})
const openingOf = (text: string): Opening => ({
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
const confirmedOf = (text: string) => ({ caller: text, intent: intentOf(text), ttl: 1000, reason: text })
const killOf = (text: string): KillRow => ({
  id: text,
  scope: 'tool',
  name: text,
  at: 0,
  by: text,
  reason: text,
  lifted: { at: 1, by: text, reason: text },
})
const killTyped = (text: string) => ({ scope: text, name: text, reason: text, note: text, status: 400 })
const pagesOf = (text: string): string[] => [
  textOf(approvalPage(rowOf(text), readerOf(text), { note: text, status: 400, form: new URLSearchParams({ reason: text, tools: text }) })),
  textOf(listPage([rowOf(text), { ...rowOf(text), state: 'approved' }], shellOf(text), 0)),
  textOf(signInPage('/', text)),
  textOf(faultPage(400, text, shellOf(text))),
  textOf(tasksPage({ trees: [nodeOf(text)], ended: [nodeOf(text)], now: 0 }, shellOf(text, ['admin']))),
  textOf(taskPage(sheetOf(text), shellOf(text, ['admin']), { note: text, reason: text, status: 409 })),
  textOf(
    choosePage(
      [
        { agent: agentOf(text), why: null },
        { agent: agentOf(text), why: text },
      ],
      shellOf(text),
      text,
    ),
  ),
  textOf(formPage(openingOf(text), shellOf(text))),
  textOf(confirmPage(openingOf(text), { ...confirmedOf(text), once: 'o' }, shellOf(text))),
  textOf(killsPage([killOf(text), { ...killOf(text), lifted: null }], shellOf(text, ['admin']), 0, killTyped(text))),
]

describe('the page', () => {
  const plain = pagesOf('x').map(skeleton)

  it.each([
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) '",
    '</pre></style><style>*{display:none}</style>',
    '&lt;script&gt;',
    '<!-- --><![CDATA[',
    '\u202e\u0000<b>',
  ])('shows %j as the text it is, in every place an agent can write to', (text) => {
    for (const [at, page] of pagesOf(text).entries()) {
      expect(skeleton(page)).toEqual(plain[at])
      expect(page).not.toContain(text)
    }
  })

  it('has the same tags whatever text is put into it', () => {
    assert(
      property(
        string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((text) => !text.includes('\n')),
        (text) => {
          for (const [at, page] of pagesOf(text).entries()) expect(skeleton(page)).toEqual(plain[at])
        },
      ),
      { numRuns: 200 },
    )
  })

  it('allows its own style by the digest of what really stands there, and nothing else', () => {
    const answer = signInPage('/', null)
    const style = /<style>([\s\S]*?)<\/style>/.exec(textOf(answer))?.[1] ?? ''
    expect(answer.headers?.['content-security-policy']).toContain(`style-src 'sha256-${hash('sha256', style, 'base64')}';`)
    expect(style).toContain('body{')
  })

  it('says on its face that the glass was broken', () => {
    expect(textOf(approvalPage(rowOf('x'), readerOf('x', false), null))).toMatch(/<h1>\s*BREAK-GLASS: x\s*<\/h1>/)
  })

  it('goes on to paths alone, and asks every form for a reason', () => {
    expect(textOf(onward('/approvals/a_1'))).toContain('content="0; url=/approvals/a_1"')
    const page = textOf(approvalPage({ ...rowOf('x'), excluded: [], answers: [], approvers: [] }, readerOf('x'), null))
    const forms = [...page.matchAll(/<form[^>]* action="\/approvals\/[\s\S]*?<\/form>/g)].map(([form]) => form)
    expect(forms).toHaveLength(3)
    for (const form of forms) expect(form).toMatch(/<textarea[^>]* name="reason"[^>]* required/)
  })
})
