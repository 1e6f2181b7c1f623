import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LogWriter, readLogLine, safe, type LogLine } from '../../../src/cli/log-line.ts'
import { wideHeader } from '../../../src/cli/log-wide.ts'

function line(own: Record<string, unknown>, event: Record<string, unknown> = {}): LogLine {
  const stored = { decision_id: 'c_1', timestamp: '2026-11-22T10:14:02.118000Z', ...event, custom: { countersign: { seq: 1, ...own } } }
  const read = readLogLine(JSON.stringify(stored))
  if (read === null) throw new Error('not a ledger line')
  return read
}

const caller = 'spiffe://acme.example/ns/support/sa/refund-agent'
const decision = {
  kind: 'decision',
  caller,
  task: 't_01JD0000000000000000000A7Q',
  route: 'crm',
  tool: 'crm.order.read',
  downstream: 'crm.acme.example',
}
const request = { input: { request: { method: 'GET', path: '/orders/1042' } } }
const plain = (): LogWriter => new LogWriter({ colour: false, wide: false })

describe('the compact line', () => {
  test('is one for a decision and its outcome, with the lease and how it will end', () => {
    const writer = plain()
    expect(writer.push(line(decision, request))).toBe(null)
    const lease = { id: 'l_01JD0000000000000000000B8R', provider: 'crm', revocation: 'issuer', standing: false }
    const printed = writer.push(line({ ...decision, kind: 'outcome', status: 200, ended: 'complete', duration_ms: 8.04, lease }))
    expect(printed).toBe(
      '10:14:02.118  ✓  refund-agent    t_01JD…0A7Q     GET crm.order.read  → crm.acme.example  lease l_01JD…0B8R (crm, revoke at issuer)  200  8.0 ms',
    )
  })

  test('says for whom, and how the caller was proven when that is more or less than a token', () => {
    const human = { subject: 'u-17', issuer: 'https://login.acme.example' }
    const printed = (own: Record<string, unknown>, wide = false): string =>
      new LogWriter({ colour: false, wide }).push(line({ ...decision, kind: 'refusal', code: 'decide.denied', ...own }, request)) ?? ''
    expect(printed({ human, method: 'jwt-svid', confirmed: 'bearer' })).toContain('→ crm.acme.example  for u-17  decide.denied')
    expect(printed({ human: null, method: 'ambient', confirmed: 'none' })).toContain('→ crm.acme.example  ambient  decide.denied')
    expect(printed({ method: 'x509-svid', confirmed: 'mtls' })).toContain('→ crm.acme.example  mtls  decide.denied')
    expect(printed({ method: 'jwt-svid', confirmed: 'dpop' })).toContain('→ crm.acme.example  dpop  decide.denied')
    expect(printed({ method: 'jwt-svid', confirmed: 'bearer' })).toContain('→ crm.acme.example  decide.denied')
    expect(printed({ method: 'jwt-svid', confirmed: 'bearer' }, true)).toMatch(/ jwt-svid\/bearer .* decide\.denied /)
    // the outcome alone says it too, and what a person is called cannot move the cursor
    expect(printed({ kind: 'outcome', human: { subject: '\u001b[2Jroot', issuer: '' }, status: 200 })).toContain('for ?[2Jroot')
  })

  test('marks a refusal and a question to a person, with rules and short control ids', () => {
    const refusal = {
      ...decision,
      kind: 'refusal',
      code: 'decide.denied',
      rules: ['data.beyond-destination'],
      controls: ['AML.T0086', 'ASI02', 'NHI5'],
    }
    expect(plain().push(line(refusal, request))).toContain(
      '✗  refund-agent    t_01JD…0A7Q     GET crm.order.read  → crm.acme.example  data.beyond-destination (ASI02 NHI5)',
    )
    expect(plain().push(line({ ...refusal, code: 'approve.required' }, request))).toContain('⏸')
  })

  test('says how a call ended that did not complete, and that a credential is standing', () => {
    const writer = plain()
    writer.push(line(decision, request))
    const lease = { id: 'l_1', provider: 'mail', revocation: 'discard', standing: true }
    const printed = writer.push(line({ ...decision, kind: 'outcome', status: null, ended: 'cut', code: 'task.ended', lease }))
    expect(printed).toMatch(/✗.*task\.ended.*discarded here, standing.*cut/)
  })

  test('says of an event to whom, what was answered and why', () => {
    const printed = (event: string, detail: unknown): string =>
      plain().push(line({ kind: 'event', event, by: 'person:ada', task: 't_1', detail })) ?? ''
    expect(printed('approval.answered', { verdict: 'approve', reason: 'it is owed', quorum: 1 })).toMatch(
      /approval\.answered {2}approve {2}"it is owed"$/,
    )
    expect(printed('task.handed-on', { to: caller, purpose: 'look up order 7' })).toMatch(
      /handed-on {2}to refund-agent {2}"look up order 7"$/,
    )
    expect(printed('lease.revoked', { id: 'l_1', cause: 'completed' })).toMatch(/lease\.revoked {2}"completed"$/)
    expect(printed('task.opened', null)).toMatch(/task\.opened$/)
    expect(printed('task.revoked', { cause: '\u001b[2Jgone' })).toContain('"?[2Jgone"')
  })

  test('shows an outcome whose decision was not seen, events, and passes checkpoints over', () => {
    expect(plain().push(line({ ...decision, kind: 'outcome', status: 204, ended: 'complete' }))).toContain('204')
    expect(plain().push(line({ kind: 'event', event: 'task.opened', by: caller, task: 't_1' }))).toContain('task.opened')
    expect(plain().push(line({ kind: 'checkpoint' }))).toBe(null)
  })
})

describe('what an agent wrote', () => {
  test.each(['\u001b[31mred', '\u001b]0;title\u0007', '\r\nfake line', '\u202egnp', '\u2028', '\u009b2J'])(
    'never moves the cursor: %j',
    (hostile) => {
      for (const wide of [false, true]) {
        const writer = new LogWriter({ colour: true, wide })
        const hurt = line(
          { kind: 'refusal', code: 'match.unroutable', caller: `spiffe://acme.example/${hostile}`, task: hostile, detail: hostile },
          { input: { request: { method: hostile, path: hostile } } },
        )
        const printed = writer.push(hurt) ?? ''
        // what is left of escape sequences is our own colours
        expect(printed.replaceAll(/\u001b\[\d{1,2}m/g, '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
        expect(printed).not.toContain('\u001b[31mred')
      }
    },
  )

  test('is made safe however it is spelled: as it is, or as escapes', () => {
    const escaped = (text: string): string =>
      `"${Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 6 })), fc.boolean(), (text, asIs) => {
        const spelled = asIs ? JSON.stringify(text) : escaped(text)
        expect(readLogLine(`{"input":{"a":[${spelled}]},"custom":{"countersign":{}}}`)?.event.input).toEqual({ a: [safe(text)] })
      }),
    )
  })
})

test.each(['', 'x', '[]', '{}', 'null', '{"custom":{}}', '{"custom":{"countersign":1}}'])('%j is not a ledger line', (text) => {
  expect(readLogLine(text)).toBe(null)
})

describe('a call that has not ended', () => {
  test('is shown once it is overdue, and to its end, even where that is not what was asked for', () => {
    const writer = new LogWriter({ colour: false, wide: false, keep: ({ decision: said }) => said === 'allow' })
    expect(writer.push(line(decision, request), 1000)).toBe(null)
    expect(writer.overdue(999)).toEqual([])
    expect(writer.overdue(1000)).toEqual([expect.stringMatching(/✓.*GET crm\.order\.read.*not ended$/)])
    expect(writer.overdue(2000)).toEqual([])
    expect(writer.push(line({ ...decision, kind: 'outcome', status: null, ended: 'cut', code: 'kill.engaged' }))).toMatch(
      /✗.*kill\.engaged.*cut/,
    )
  })

  test('is asked for with both its lines: by the rules that judged it and by how it ended', () => {
    const outcome = line({ ...decision, kind: 'outcome', status: null, ended: 'cut', code: 'task.ended' })
    const wanted = (keep: (facts: LogLine['facts']) => boolean): boolean => {
      const writer = new LogWriter({ colour: false, wide: false, keep })
      writer.push(line({ ...decision, rules: ['a.b'] }, request))
      return writer.push(outcome) !== null
    }
    expect(wanted(({ rules, decision: said }) => rules.includes('a.b') && said === 'deny')).toBe(true)
    expect(wanted(({ decision: said }) => said === 'allow')).toBe(false)
  })
})

test('the wide line has a column for each thing, in words', () => {
  const writer = new LogWriter({ colour: false, wide: true })
  writer.push(line({ ...decision, resource: 'order 7', rules: ['a.b'], controls: ['ASI02'] }, request))
  const lease = { id: 'l_1', provider: 'crm', revocation: 'issuer', standing: false }
  const row = writer.push(line({ ...decision, kind: 'outcome', status: 200, ended: 'complete', duration_ms: 8.04, lease })) ?? ''
  const [names, cells] = [wideHeader.split(/ {2,}/), row.split(/ {2,}/)]
  const cell = (name: string): string | undefined => cells[names.indexOf(name)]
  expect(cells).toHaveLength(names.length)
  expect([
    cell('DECISION'),
    cell('RESOURCE'),
    cell('RULES'),
    cell('LEASE'),
    cell('STATUS'),
    cell('MS'),
    cell('CODE'),
    cell('CALLER'),
  ]).toEqual(['allow', 'order_7', 'a.b', 'l_1', '200', '8.04', '-', caller])
})
