import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { pseudonymized, pseudonymsOf } from '../../../src/record/pseudonym.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { sketchDecision, sketchOutcome, sketchPermit } from '../../support/decision.ts'
import { rigPerTest, type LedgerRig } from '../../support/ledger-rig.ts'
import { sketchAgent, sketchQuestion, sketchRow } from '../../support/question.ts'

const rigged = rigPerTest()
const key = Buffer.alloc(32, 7)
const pseudonym = pseudonymsOf(key)
const human = { subject: 'kim@acme.example', issuer: 'https://login.acme.example' }
const input = JSON.stringify({
  v: 1,
  task: { on_behalf_of: human },
  delegation: { root: `user:${human.subject}`, chain: [] },
  tool: { resource: 'customer:42' },
})
const asks = (rules: readonly unknown[]) => ({ revision: 'r1', answers: () => true, evaluate: () => rules })

async function permitted(
  rig: LedgerRig,
  rules: readonly unknown[],
  options: Parameters<LedgerRig['open']>[0] = { pseudonym },
): Promise<void> {
  const recorder = await rig.open(options)
  const task = { row: sketchRow({ onBehalfOf: human }), agent: sketchAgent() }
  const question = sketchQuestion({ call: rig.call(), task })
  const entry = rig.matched(recorder, question)
  entry.permitted(sketchPermit(entry.decided(sketchDecision(question, { engine: asks(rules), inputText: input }))))
  await entry.commit()
  entry.close(sketchOutcome())
  await recorder.close()
  expect((await verifyLedger(rig.dir, recorder.publicKey())).ok).toBe(true)
}

describe('a pseudonym', () => {
  test('is the HMAC of the text under the key of the deployment: the same for the same, another for another', () => {
    expect(pseudonym('kim')).toBe(`hmac-sha256:${createHmac('sha256', key).update('kim').digest('hex')}`)
    expect(pseudonym('kim')).not.toBe(pseudonym('kim '))
    expect(pseudonymsOf(Buffer.alloc(32, 8))('kim')).not.toBe(pseudonym('kim'))
    expect(() => pseudonymsOf(Buffer.alloc(16))).toThrow(RangeError)
  })

  test('takes the place of every value that could be guessed, numbers too', () => {
    expect(pseudonymized({ a: ['x', 7, true, null], b: { c: 'x' } }, pseudonym)).toEqual({
      a: [pseudonym('x'), pseudonym('7'), pseudonym('true'), null],
      b: { c: pseudonym('x') },
    })
  })
})

describe('a policy that asks for pseudonyms', () => {
  test('has the person of a call told from others in all its lines, and named in none', async () => {
    const rig = rigged()
    await permitted(rig, [
      { op: 'hmac', path: '/input/task/on_behalf_of/subject' },
      { op: 'hmac', path: '/input/delegation/root' },
      { op: 'hmac', path: '/input/tool/resource' },
    ])
    expect(rig.text()).not.toContain('kim@acme')
    const [decision] = rig.ofKind('decision')
    expect(decision).toMatchObject({
      input: {
        task: { on_behalf_of: { subject: pseudonym(human.subject), issuer: human.issuer } },
        delegation: { root: pseudonym(`user:${human.subject}`) },
        tool: { resource: pseudonym('customer:42') },
      },
      masked: ['/input/task/on_behalf_of/subject', '/input/delegation/root', '/input/tool/resource'],
    })
    for (const line of [...rig.ofKind('decision'), ...rig.ofKind('outcome')])
      expect(line.custom.countersign).toMatchObject({
        human: { subject: pseudonym(human.subject), issuer: human.issuer },
        root: pseudonym(`user:${human.subject}`),
        resource: pseudonym('customer:42'),
      })
  })

  test.each(['/input/task/on_behalf_of/subject', '/input/delegation/root', '/input/task', '/input'])(
    'names the person nowhere when it asks for %s alone, for both are one name',
    async (path) => {
      const rig = rigged()
      await permitted(rig, [{ op: 'hmac', path }])
      const own = [...rig.ofKind('decision'), ...rig.ofKind('outcome')].map(({ custom }) => JSON.stringify(custom))
      for (const text of own) expect(text).not.toContain('kim@acme')
    },
  )

  test('takes away what it removes, also where it hashes it first', async () => {
    const rig = rigged()
    await permitted(rig, [{ op: 'hmac', path: '/input/tool/resource' }, '/input/tool/resource'])
    expect(rig.ofKind('outcome')[0]?.custom.countersign['resource']).toBeNull()
  })

  test('has the line withheld where no key is at hand, and never the name written', async () => {
    const rig = rigged()
    await permitted(rig, [{ op: 'hmac', path: '/input/task' }], {})
    expect(rig.text()).not.toContain('kim@acme')
    expect(rig.ofKind('decision')[0]?.custom.countersign['masking']).toBe('failed')
  })

  test('is asked about events too: their detail is masked, who did it is not', async () => {
    const rig = rigged()
    const recorder = await rig.open({ pseudonym, policy: () => asks([{ op: 'hmac', path: '/input/event/detail/on_behalf_of/subject' }]) })
    await recorder.event({ kind: 'task.opened', by: 'person:lee', task: 't_1', detail: { on_behalf_of: human, parent: null } })
    await recorder.close()
    const [event] = rig.ofKind('event').filter(({ custom }) => custom.countersign['event'] === 'task.opened')
    expect(event?.custom.countersign).toMatchObject({
      by: 'person:lee',
      detail: { on_behalf_of: { subject: pseudonym(human.subject), issuer: human.issuer }, parent: null },
    })
  })

  test('has the detail of an event withheld when it answers rubbish', async () => {
    const rig = rigged()
    const recorder = await rig.open({ pseudonym, policy: () => ({ ...asks([]), evaluate: () => 'x' }) })
    await recorder.event({ kind: 'task.opened', by: 'person:lee', detail: { on_behalf_of: human } })
    await recorder.close()
    expect(rig.text()).not.toContain('kim@acme')
  })
})
