import { describe, expect, test } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import type { Decision } from '../../../src/decide/decide.ts'
import type { Entry } from '../../../src/record/record.ts'
import type { EntrySummary } from '../../../src/record/entry.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { sketchDecision, sketchOutcome, sketchOwnLease, sketchPermit } from '../../support/decision.ts'
import { rigPerTest } from '../../support/ledger-rig.ts'
import { sketchAgent, sketchCaller, sketchQuestion, sketchRow, sketchTarget } from '../../support/question.ts'

const rigged = rigPerTest()

describe('a permitted call', () => {
  test('has exactly two lines: the decision before the effect, the outcome with the lease after it', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const id = await rig.permitted(recorder)
    await recorder.close()
    const own = rig.lines().filter((line) => line.decision_id === id)
    expect(own.map((line) => line.custom.countersign.kind)).toEqual(['decision', 'outcome'])
    expect(own[0]).toMatchObject({
      timestamp: '2026-09-21T14:13:20.000Z',
      labels: { id: 'side-1', version: '0.1.0' },
      bundles: { countersign: { revision: 'r1' } },
      path: 'countersign/decision',
      input: { v: 1, request: { id } },
      result: { effect: 'allow' },
      requested_by: '127.0.0.1',
      metrics: { timer_rego_query_eval_ns: 21_000 },
      custom: {
        countersign: {
          caller: 'spiffe://acme.example/ns/support/sa/refund-agent',
          method: 'jwt-svid',
          confirmed: 'bearer',
          task: sketchRow().id,
          root: 'agent:spiffe://acme.example/ns/support/sa/refund-agent',
          route: 'crm',
          tool: 'crm.customer.read',
          resource: 'customer:42',
          downstream: 'crm.acme.example',
          effect: 'allow',
          rules: [],
          controls: [],
          owners: sketchAgent().owners,
          body: { kind: 'none', sha256: null, size: 0, judged: true },
        },
      },
    })
    expect(own[1]?.custom.countersign).toMatchObject({
      status: 200,
      ended: 'complete',
      bytes_in: 512,
      bytes_out: 0,
      dialled: '127.0.0.1:443',
      lease: { id: sketchOwnLease().id, provider: 'crm', digest: sketchOwnLease().digest, revocation: 'expiry', standing: false },
    })
  })

  test('names caller, tool, downstream and human in both lines', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const human = { subject: 'u-17 "\u2028', issuer: 'https://login.acme.example' }
    const caller = sketchCaller({ method: 'oidc', confirmed: 'dpop', issuer: 'https://issuer.acme.example' })
    const call = rig.call()
    const question = sketchQuestion({ call, caller, task: { row: sketchRow({ onBehalfOf: human }), agent: sketchAgent() } })
    const entry = recorder.call(call)
    entry.identified(caller)
    entry.tasked(question.task)
    entry.matched(question.target)
    entry.permitted(sketchPermit(sketchDecision(question)))
    await entry.commit()
    entry.close(sketchOutcome())
    await recorder.close()
    const lines = [...rig.ofKind('decision'), ...rig.ofKind('outcome')].map((line) => line.custom.countersign)
    expect(lines).toHaveLength(2)
    for (const line of lines)
      expect(line).toMatchObject({
        caller: caller.id,
        trust_domain: 'acme.example',
        method: 'oidc',
        confirmed: 'dpop',
        issuer: 'https://issuer.acme.example',
        tool: 'crm.customer.read',
        downstream: 'crm.acme.example',
        human,
        root: `user:${human.subject}`,
      })
  })

  test('of a refusal names of the four what was known by then', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const question = sketchQuestion()
    const known = ['caller', 'human', 'tool', 'downstream'] as const
    for (const [marks, names] of [
      [1, ['caller']],
      [2, ['caller', 'human']],
      [3, known],
    ] as const) {
      const entry = recorder.call(rig.call())
      entry.identified(question.caller)
      if (marks > 1) entry.tasked(question.task)
      if (marks > 2) entry.matched(question.target)
      await entry.refuse(new Refusal('decide.unavailable'))
      const line = rig.ofKind('refusal').at(-1)?.custom.countersign ?? {}
      expect(known.filter((name) => name in line)).toEqual(names)
      expect(line).toMatchObject({ confirmed: 'bearer', issuer: null, ...(marks > 1 ? { human: null } : {}) })
    }
    await recorder.close()
  })

  test('never has its credential in a line', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    await rig.permitted(recorder)
    await recorder.close()
    expect(rig.text()).not.toContain('the-credential-itself')
  })

  test('records the final decision, not the one before it was held', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const call = rig.call()
    const question = sketchQuestion({ call })
    const entry = recorder.call(call)
    entry.identified(question.caller)
    entry.tasked(question.task)
    entry.matched(question.target)
    entry.decided(sketchDecision(question, { effect: 'ask', revision: 'before' }))
    entry.permitted(sketchPermit(sketchDecision(question, { revision: 'after' })))
    await entry.commit()
    expect(rig.ofKind('decision')[0]).toMatchObject({ bundles: { countersign: { revision: 'after' } }, result: { effect: 'allow' } })
  })

  test('names rules, the union of their controls, and what observe mode turned into allow', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const call = rig.call({ headers: [['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01']] })
    const body = { kind: 'json', parsed: { a: 1 }, bytes: null, sha256: 'ab', size: 7, judged: true } as const
    const onBehalfOf = { subject: 'u-17', issuer: 'https://login.acme.example' }
    const task = { row: sketchRow({ onBehalfOf }), agent: sketchAgent() }
    const question = sketchQuestion({ call, task, target: sketchTarget({ body }) })
    const reason = (rule: string, controls: string[]) => ({ rule, severity: 'high', controls, message_agent: '', detail: {} }) as const
    const reasons = [reason('a.rule', ['NHI5', 'ASI02']), reason('b.rule', ['ASI02'])]
    const entry = recorder.call(call)
    entry.identified(question.caller)
    entry.tasked(task)
    entry.matched(question.target)
    entry.permitted(sketchPermit(sketchDecision(question, { observed: 'deny', reasons })))
    await entry.commit()
    expect(rig.ofKind('decision')[0]).toMatchObject({
      erased: ['/input/request/body/parsed'],
      trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
      custom: { countersign: { observed: 'deny', rules: ['a.rule', 'b.rule'], controls: ['ASI02', 'NHI5'], root: 'user:u-17' } },
    })
  })

  test('flags a standing credential', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const entry = rig.judged(recorder)
    await entry.commit()
    entry.leased(sketchOwnLease({ standing: true }))
    entry.close(sketchOutcome())
    await recorder.close()
    expect(rig.ofKind('outcome')[0]?.custom.countersign).toMatchObject({ standing: true, lease: { standing: true } })
  })

  test('closes once, whatever is called after', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const entry = rig.judged(recorder)
    await entry.commit()
    entry.close(sketchOutcome())
    entry.close(sketchOutcome())
    await entry.refuse(new Refusal('forward.timeout'))
    await recorder.close()
    expect(rig.ofKind('outcome')).toHaveLength(1)
  })

  test('that fails after its commit has an outcome line with the code, written before the refusal is answered', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const entry = rig.judged(recorder)
    await entry.commit()
    const refusal = new Refusal('forward.timeout', { detail: 'no head in 60 s' })
    expect(await entry.refuse(refusal)).toBe(refusal)
    expect(rig.ofKind('outcome')[0]?.custom.countersign).toMatchObject({
      status: null,
      ended: 'refused',
      code: 'forward.timeout',
      refused: 504,
    })
    expect(rig.ofKind('refusal')).toHaveLength(0)
  })

  test.each([
    ['cut', () => new Refusal('task.ended')],
    ['client-gone', () => Object.assign(new Error('gone'), { name: 'ClientGone' })],
  ])('whose work was aborted ended as %s', async (ended, reason) => {
    const rig = rigged()
    const recorder = await rig.open()
    const abort = new AbortController()
    const entry = rig.judged(recorder, rig.call({ signal: abort.signal }))
    await entry.commit()
    abort.abort(reason())
    await entry.refuse(Refusal.from(abort.signal.reason))
    expect(rig.ofKind('outcome')[0]?.custom.countersign).toMatchObject({ ended })
  })

  test('that was cut when its answer had begun says why, though the agent never hears of it', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const abort = new AbortController()
    const entry = rig.judged(recorder, rig.call({ signal: abort.signal }))
    await entry.commit()
    abort.abort(new Refusal('decide.denied', { reasons: ['not any more'], detail: 'a.rule' }))
    entry.close(sketchOutcome({ ended: 'cut' }))
    await recorder.close()
    const why = { code: 'decide.denied', reasons: ['not any more'], detail: 'a.rule' }
    expect(rig.ofKind('outcome')[0]?.custom.countersign).toMatchObject({ status: 200, ended: 'cut', ...why })
  })
})

describe('a refused call', () => {
  test('of a known caller has one line before its answer, with everything known by then', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const entry = rig.known(recorder)
    await entry.refuse(new Refusal('task.missing', { reasons: ['name a task'], detail: 'two live tasks' }))
    const [line] = rig.ofKind('refusal')
    expect(line).toMatchObject({
      path: 'countersign/refusal',
      input: { v: 1, request: { method: 'GET', host: '127.0.0.1:7420', path: '/customers/42' } },
      custom: {
        countersign: {
          caller: sketchCaller().id,
          code: 'task.missing',
          refused: 403,
          fault: 'agent',
          reasons: ['name a task'],
          detail: 'two live tasks',
        },
      },
    })
  })

  test('that policy judged keeps input and result', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const call = rig.call()
    const question = sketchQuestion({ call })
    const entry = recorder.call(call)
    entry.identified(question.caller)
    entry.tasked(question.task)
    entry.matched(question.target)
    entry.decided(sketchDecision(question, { effect: 'deny' }))
    await entry.refuse(new Refusal('decide.denied'))
    expect(rig.ofKind('refusal')[0]).toMatchObject({
      path: 'countersign/decision',
      input: { request: { id: call.id } },
      result: { effect: 'deny' },
      custom: { countersign: { effect: 'deny', code: 'decide.denied' } },
    })
  })

  test('that was judged again stands beside what policy said last', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const question = sketchQuestion({ call: rig.call() })
    const entry = rig.matched(recorder, question)
    entry.decided(sketchDecision(question))
    entry.rejudged(sketchDecision(question, { effect: 'deny' }))
    await entry.refuse(new Refusal('decide.denied'))
    expect(rig.ofKind('refusal')[0]).toMatchObject({
      result: { effect: 'deny' },
      custom: { countersign: { effect: 'deny', code: 'decide.denied' } },
    })
  })

  test('keeps neither its query nor the text of a bug', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const entry = recorder.call(rig.call({ target: '/customers?key=hunter2' }))
    entry.identified(sketchCaller())
    await entry.refuse(Refusal.from(new TypeError('cannot read hunter2')))
    expect(rig.ofKind('refusal')[0]?.custom.countersign).toMatchObject({ code: 'internal', cause: 'TypeError' })
    expect(rig.text()).not.toContain('hunter2')
  })

  test('is answered record.failed when its line cannot be written, and refuse does not reject', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    rig.trouble = (call) => (call === 'write' ? 'ENOSPC' : null)
    const entry = rig.judged(recorder)
    await expect(entry.commit()).rejects.toMatchObject({ code: 'record.failed' })
    expect(await entry.refuse(new Refusal('record.failed'))).toMatchObject({ code: 'record.failed' })
    expect(await rig.known(recorder).refuse(new Refusal('task.missing'))).toMatchObject({ code: 'record.failed', status: 503 })
  })

  test('cannot put a second line into the ledger, whatever its text', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const hostile = 'x\n{"decision_id":"forged"}\r\n\u2028\u2029\u001b[2J\u009b2J"}}}'
    const before = rig.lines().length
    const entry = recorder.call(Object.assign(rig.call(), { method: hostile, host: hostile, peer: hostile }))
    entry.identified(sketchCaller({ id: `spiffe://acme.example/${hostile}` }))
    await entry.refuse(new Refusal('match.unroutable', { reasons: [hostile], detail: hostile }))
    await recorder.event({ kind: 'task.opened', by: hostile, task: hostile, detail: { hostile, custom: { countersign: { seq: 1 } } } })
    expect(rig.lines()).toHaveLength(before + 2)
    expect(rig.ofKind('refusal')[0]?.custom.countersign['detail']).toBe(hostile)
    // oxlint-disable-next-line no-control-regex
    expect(rig.text().replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
  })

  test('has fields of bounded size', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const long = 'x'.repeat(100_000)
    const entry = recorder.call(Object.assign(rig.call({ target: `/${long}` }), { method: long, host: long, peer: long }))
    entry.identified(sketchCaller({ id: long }))
    await entry.refuse(new Refusal('match.unroutable', { reasons: Array.from({ length: 100 }, () => long), detail: long }))
    await recorder.event({ kind: 'x', by: 'clock', detail: { long } })
    for (const line of rig.text().split('\n')) expect(line.length).toBeLessThan(20_000)
  })
})

describe('metrics', () => {
  test('hear of each finished call once, with route, tool, effect, code, status and times', async () => {
    const rig = rigged()
    const seen: EntrySummary[] = []
    let now = 0
    const recorder = await rig.open({ observe: (summary) => seen.push(summary), now: () => (now += 2) })
    await rig.permitted(recorder)
    await rig.known(recorder).refuse(new Refusal('task.missing'))
    expect(seen).toMatchObject([
      { route: 'crm', tool: 'crm.customer.read', effect: 'allow', code: null, status: 200 },
      { route: 'crm', tool: null, effect: null, code: 'task.missing', status: 403 },
    ])
    expect(seen[0]?.stageMs).toEqual({ identify: 2, task: 2, match: 2, decide: 2, approve: 2, commit: 2, credential: 2, forward: 2 })
  })
})

describe('a policy that masks', () => {
  const hides = (rules: readonly unknown[]) => ({ revision: 'r1', answers: () => true, evaluate: () => rules })

  test('masks the decision line before it is hashed, by the policy that judged the call', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const question = sketchQuestion({ call: rig.call() })
    const entry = rig.matched(recorder, question)
    entry.permitted(
      sketchPermit(
        entry.decided(
          sketchDecision(question, {
            engine: hides(['/input/secret']),
            inputText: '{"v":1,"secret":"hunter2"}',
          }),
        ),
      ),
    )
    await entry.commit()
    entry.close(sketchOutcome())
    await recorder.close()
    const [line] = rig.lines().filter(({ decision_id: id }) => id === question.call.id)
    expect(line).toMatchObject({ input: { v: 1 }, erased: ['/input/secret'] })
    expect(rig.text()).not.toContain('hunter2')
    expect((await verifyLedger(rig.dir, recorder.publicKey())).ok).toBe(true)
  })

  test.each([
    ['/input/tool/resource', null, ['not theirs']],
    ['/input', null, ['not theirs']],
    ['/result/reasons', 'customer:42', undefined],
    [{ op: 'upsert', path: '/result/reasons/0/message_agent', value: '***' }, 'customer:42', undefined],
    [{ op: 'upsert', path: '/input/tool/resource', value: '***' }, null, ['not theirs']],
    [7, null, undefined],
  ])('does not say again beside them what it masked in input and result: %j', async (rule, resource, reasons) => {
    const rig = rigged()
    const recorder = await rig.open()
    const decided = (): Decision => {
      const question = sketchQuestion({ call: rig.call(), target: sketchTarget() })
      return sketchDecision(question, {
        engine: hides([rule]),
        inputText: '{"v":1,"tool":{"resource":"customer:42"}}',
        resultText: '{"v":1,"reasons":[{"message_agent":"not theirs"}]}',
      })
    }
    const judged = (decision: Decision): Entry => {
      const { call, caller, task, target } = decision.question
      const entry = recorder.call(call)
      entry.identified(caller)
      entry.tasked(task)
      entry.matched(target)
      entry.decided(decision)
      return entry
    }
    await judged(decided()).refuse(new Refusal('decide.denied', { reasons: ['not theirs'] }))
    const permitted = judged(decided())
    await permitted.commit()
    permitted.close(sketchOutcome())
    await recorder.close()
    const said = [...rig.ofKind('refusal'), ...rig.ofKind('decision'), ...rig.ofKind('outcome')].map(({ custom }) => custom.countersign)
    expect(said.map((one) => one['resource'])).toEqual([resource, resource, resource])
    expect(said[0]?.['reasons']).toEqual(reasons)
  })

  test('masks a refusal that came before any judgement by the policy in force, and withholds it when there is none', async () => {
    for (const [policy, expected] of [
      [hides(['/input/request/path']), { input: { v: 1, request: {} }, erased: ['/input/request/path'] }],
      [null, { input: null, erased: ['/input'] }],
    ] as const) {
      const rig = rigged()
      const recorder = await rig.open({ policy: () => policy })
      const call = rig.call()
      await recorder.call(call).refuse(new Refusal('identify.missing'))
      await recorder.close()
      const [line] = rig.lines().filter(({ decision_id: id }) => id === call.id)
      expect(line).toMatchObject(expected)
      expect(line?.custom.countersign['masking']).toBe(policy === null ? 'failed' : undefined)
    }
  })
})
