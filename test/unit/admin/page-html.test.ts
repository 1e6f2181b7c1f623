import { hash } from 'node:crypto'
import { assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Answer } from '../../../src/admin/answer.ts'
import { approvalPage, listPage, onward, signInPage } from '../../../src/admin/page-html.ts'
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
    state: 'pending',
    matter: 'call',
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

const textOf = (answer: Answer): string => ('text' in answer ? answer.text : '')
/** The tags and the names of their attributes, without what stands in between. */
const skeleton = (page: string): string[] => [...page.matchAll(/<\/?[^>]*>/g)].map(([tag]) => tag.replaceAll(/"[^"]*"/g, '""'))
const pagesOf = (text: string): string[] => [
  textOf(approvalPage(rowOf(text), { name: text, csrf: 'c' }, true, text)),
  textOf(listPage([rowOf(text), { ...rowOf(text), state: 'approved' }], { name: text, csrf: 'c' })),
  textOf(signInPage('/', text)),
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
    expect(textOf(approvalPage(rowOf('x'), { name: 'x', csrf: 'c' }, false, null))).toContain('<h1>BREAK-GLASS: x</h1>')
  })

  it('goes on to paths alone, and asks every form for a reason', () => {
    expect(textOf(onward('/approvals/a_1'))).toContain('content="0; url=/approvals/a_1"')
    const page = textOf(approvalPage(rowOf('x'), { name: 'x', csrf: 'c' }, true, null))
    expect(page.match(/<form method="post" action="\/approvals\//g)?.length).toBe(page.match(/name="reason" required/g)?.length)
  })
})
