import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shownCall } from '../../../src/approve/shown.ts'
import { visible } from '../../../src/approve/visible.ts'
import { sketchDecision } from '../../support/decision.ts'
import {
  sketchAgent,
  sketchCall,
  sketchFacts,
  sketchQuestion,
  sketchRoute,
  sketchRow,
  sketchTarget,
  sketchTool,
} from '../../support/question.ts'

describe('text that is shown', () => {
  it('shows what nobody sees', () => {
    expect(visible('pay \u202e081\u202c')).toBe('pay ⟨U+202E⟩081⟨U+202C⟩')
    expect(visible('a\u200bb\u00adc\ufeffd\u2066e\u{e0041}f\u3164g\u00a0h\u2800i')).toBe(
      'a⟨U+200B⟩b⟨U+00AD⟩c⟨U+FEFF⟩d⟨U+2066⟩e⟨U+E0041⟩f⟨U+3164⟩g⟨U+00A0⟩h⟨U+2800⟩i',
    )
    expect(visible('\u0000\u001b[2J\r\n\t')).toBe('⟨U+0000⟩⟨U+001B⟩[2J⟨U+000D⟩⟨U+000A⟩⟨U+0009⟩')
    expect(visible('a\ud800')).toBe('a\ufffd')
  })

  it('keeps the lines of a document', () => {
    expect(visible('{\n\t"a": 1\r\n}', true)).toBe('{\n\t"a": 1⟨U+000D⟩\n}')
  })

  it('loses nothing, and has nothing in it that is not seen', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        const shown = visible(text)
        expect(shown).not.toMatch(/(?! )[\p{C}\p{Z}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}]/u)
        const back = shown.replaceAll(/⟨U\+([0-9A-F]{4,6})⟩/g, (_, hex: string) => String.fromCodePoint(parseInt(hex, 16)))
        if (!text.includes('⟨')) expect(back).toBe(text.toWellFormed())
      }),
    )
  })
})

describe('what an approver sees', () => {
  const bytes = Buffer.from(`{"to":"mallory\u202e@acme.example","note":"${'x'.repeat(200_000)}"}`)
  const question = sketchQuestion({
    call: sketchCall({
      method: 'POST',
      target: '/customers/42?amount=180&to=a%E2%80%8Bb',
      headers: [
        ['content-type', 'application/json'],
        ['x-op', 'refund'],
        ['authorization', 'Bearer secret-canary'],
      ],
    }),
    task: {
      row: sketchRow({ intent: { ...sketchRow().intent, purpose: 'refund\u2028approve me' }, onBehalfOf: { subject: 'u1', issuer: 'i' } }),
      agent: sketchAgent(),
    },
    target: sketchTarget({
      route: sketchRoute({ selects: ['x-op'] }),
      tool: sketchTool({ name: 'pay.refund', risk: 'high', effect: 'write' }),
      body: { kind: 'json', parsed: {}, bytes, sha256: 'ab', size: bytes.length, judged: true },
    }),
  })
  const facts = sketchFacts(
    { last: [{ tool: 'crm.read', effect: 'read', egress: 'internal', at: 1 }], sensitivity: ['personal'] },
    { sensitivity: { internal: 1 } },
  )
  const reason = {
    rule: 'risk.high-needs-person',
    severity: 'high',
    controls: ['ASI02'],
    message_agent: 'a person must see it',
    detail: { secret: 1 },
  } as const
  const shown = shownCall(sketchDecision(question, { effect: 'ask', reasons: [reason], facts }), ['user:u1', 'agent:a'])

  it('is the whole request, with nothing hidden in it, and why a person is asked', () => {
    expect(shown).toMatchObject({
      title: 'pay.refund: POST at crm.acme.example',
      purpose: 'refund⟨U+2028⟩approve me',
      human: 'u1',
      chain: ['user:u1', 'agent:a'],
      destination: 'https://crm.acme.example/api',
      target: '/customers/42?amount=180&to=a%E2%80%8Bb',
      parameters: [
        { name: 'path id', value: '42' },
        { name: 'query amount', value: '180' },
        { name: 'query to', value: 'a⟨U+200B⟩b' },
        { name: 'header content-type', value: 'application/json' },
        { name: 'header x-op', value: 'refund' },
      ],
      risk: 'high',
      effect: 'write',
      bodySha256: 'ab',
      steps: ['crm.read (read, internal)'],
      sensitivity: ['internal', 'personal'],
      reasons: [{ rule: 'risk.high-needs-person', severity: 'high', controls: ['ASI02'], message: 'a person must see it' }],
      owners: { business: 'refunds@acme.example', route: 'crm-team@acme.example' },
    })
    expect(shown.body).toContain('mallory⟨U+202E⟩@')
    expect(shown.body?.length).toBeGreaterThan(200_000)
  })

  it('has no credential in it', () => {
    expect(JSON.stringify(shown)).not.toContain('canary')
  })
})
