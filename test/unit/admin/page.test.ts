import { hash } from 'node:crypto'
import { assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { agentPage, agentsPage } from '../../../src/admin/agent-html.ts'
import { approvalPage, listPage } from '../../../src/admin/approval-html.ts'
import { killsPage } from '../../../src/admin/kill-html.ts'
import { choosePage, confirmPage, formPage } from '../../../src/admin/open-html.ts'
import { faultPage, onward } from '../../../src/admin/page-shell.ts'
import { explainPage, policyPage } from '../../../src/admin/policy-html.ts'
import { signInPage } from '../../../src/admin/sign-in-html.ts'
import { tasksPage } from '../../../src/admin/task-html.ts'
import { taskPage } from '../../../src/admin/task-sheet-html.ts'
import {
  agentOf,
  confirmedOf,
  explainedOf,
  killOf,
  killTyped,
  nodeOf,
  openingOf,
  overviewOf,
  readerOf,
  registeredOf,
  rowOf,
  ruleOf,
  sheetOf,
  shellOf,
  skeleton,
  statusOf,
  textOf,
} from '../../support/page-texts.ts'

const pagesOf = (text: string): string[] => [
  textOf(approvalPage(rowOf(text), readerOf(text), { note: text, status: 400, form: new URLSearchParams({ reason: text, tools: text }) })),
  textOf(listPage([rowOf(text), { ...rowOf(text), state: 'approved' }], overviewOf(text), shellOf(text), 0)),
  textOf(signInPage({ path: text, note: text, status: 401, oidc: true })),
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
  textOf(agentsPage([{ one: registeredOf(text), live: 1, last: 0 }], shellOf(text), 0)),
  textOf(agentPage({ one: registeredOf(text) }, [sheetOf(text).row], shellOf(text, ['admin']), 0)),
  textOf(
    policyPage({ status: statusOf(text), mode: 'observe', modes: [{ mode: 'enforce', tool: text }] }, [ruleOf(text)], shellOf(text), 0),
  ),
  textOf(policyPage({ status: statusOf(text), mode: 'observe', modes: [] }, text, shellOf(text), 0)),
  textOf(explainPage(text, explainedOf(text), shellOf(text))),
  textOf(explainPage(text, { is: 'failed', why: text }, shellOf(text))),
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
        // of nothing but white space no row is made
        string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((text) => !text.includes('\n') && text.trim() !== ''),
        (text) => {
          for (const [at, page] of pagesOf(text).entries()) expect(skeleton(page)).toEqual(plain[at])
        },
      ),
      { numRuns: 200 },
    )
  })

  it('allows its own style by the digest of what really stands there, and nothing else', () => {
    const answer = signInPage({ path: '/', note: null, status: 401, oidc: false })
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
    expect(forms).toHaveLength(4)
    for (const form of forms) expect(form).toMatch(/<textarea[^>]* name="reason"[^>]* required/)
  })
})
