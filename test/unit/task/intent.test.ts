import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { narrow, readLine, within } from '../../../src/task/intent.ts'
import { minute, sketchAgent, sketchIntent } from '../../support/task-rig.ts'

const agent = sketchAgent()
const ask = (body: Record<string, unknown>) => narrow({ purpose: 'refund order 1042', ...body }, agent)

function reasonsOf(body: Record<string, unknown>): readonly string[] {
  const answer = ask(body)
  return 'reasons' in answer ? answer.reasons : []
}

describe('an asked intent', () => {
  it('is what the agent was registered for where it says nothing', () => {
    expect(ask({})).toEqual({ asked: { intent: sketchIntent({ purpose: 'refund order 1042' }), ttl: agent.ttl } })
  })

  it('may be narrower everywhere', () => {
    const prompt = `sha256:${'0a'.repeat(32)}`
    const asked = {
      tools: ['crm.order.read', 'crm.order.*'],
      resources: ['order:1042'],
      data: ['internal'],
      egress: [],
      budget: { calls: 3, refunds_eur: 0 },
    }
    expect(ask({ ...asked, ttl: '10m', prompt })).toEqual({
      asked: { intent: { purpose: 'refund order 1042', ...asked, prompt }, ttl: 10 * minute },
    })
    expect(ask({ ttl: 1500, budget: { calls: 1 } })).toMatchObject({
      asked: { ttl: 1500, intent: { budget: { calls: 1, refunds_eur: 200 } } },
    })
  })

  it.each([
    ['a tool it was not registered for', { tools: ['crm.order.read', 'payments.refund.create'] }, 'tools[1]'],
    ['a wider pattern', { tools: ['*'] }, 'tools[0]'],
    ['the beginning of a name it has', { tools: ['mail.*'] }, 'tools[0]'],
    ['a resource outside', { resources: ['invoice:1'] }, 'resources[0]'],
    ['a class outside', { data: ['secret'] }, 'data[0]'],
    ['a class by pattern', { data: ['p*'] }, 'data[0]'],
    ['an egress outside', { egress: ['public'] }, 'egress[0]'],
    ['a budget above', { budget: { calls: 201 } }, 'above'],
    ['a meter it does not have', { budget: { dollars: 1 } }, 'meter'],
    ['a meter that every object has', { budget: { constructor: 1 } }, 'meter'],
    ['a negative budget', { budget: { calls: -1 } }, 'at least 0'],
    ['a budget that is text', { budget: { calls: '5' } }, 'at least 0'],
    ['a budget that is a list', { budget: [5] }, 'object'],
    ['a longer life', { ttl: '31m' }, 'longer'],
    ['a life that is no duration', { ttl: '10 minutes' }, 'duration'],
    ['a life of no time', { ttl: 0 }, 'duration'],
    ['an unknown key', { tool: ['crm.order.read'] }, 'only purpose'],
    ['a list that is text', { tools: 'crm.order.read' }, 'list'],
    ['a * in the middle', { tools: ['crm.*.read'] }, 'at the end'],
    ['an endless list', { tools: Array.from({ length: 129 }, () => 'crm.a') }, 'at most'],
    ['a prompt that is no digest', { prompt: 'please' }, 'sha256'],
    ['no purpose', { purpose: undefined }, 'purpose'],
    ['an empty purpose', { purpose: '  ' }, 'purpose'],
    ['a purpose that is too long', { purpose: 'x'.repeat(501) }, 'purpose'],
  ])('is refused for %s', (_, body, reason) => {
    expect(reasonsOf(body).join()).toContain(reason)
  })

  it('is refused with every reason at once', () => {
    expect(reasonsOf({ purpose: '', tools: ['x'], ttl: '9d' })).toHaveLength(3)
  })

  it('that is accepted is always within the agent, and no reason repeats what was asked', () => {
    const name = fc.oneof(fc.constantFrom('crm.a', 'crm.*', 'mail.send', '*', 'order:1', 'order:*', 'personal', 'internal'), fc.string())
    const body = fc.record(
      {
        purpose: fc.string({ unit: 'binary' }),
        tools: fc.array(name),
        resources: fc.array(name),
        data: fc.array(name),
        egress: fc.array(name),
        budget: fc.dictionary(fc.constantFrom('calls', 'refunds_eur', '__proto__', 'x'), fc.oneof(fc.double(), fc.string())),
        ttl: fc.oneof(fc.integer(), fc.string()),
      },
      { requiredKeys: ['purpose'] },
    )
    fc.assert(
      fc.property(body, (asked) => {
        const answer = narrow(asked, agent)
        if ('asked' in answer) {
          expect(within(answer.asked.intent, agent.intent)).toBe(true)
          expect(answer.asked.ttl).toBeLessThanOrEqual(agent.ttl)
        } else {
          const marker = 'Zq9'
          const marked = narrow({ ...asked, purpose: `${marker}\u0007`, tools: [marker], budget: { [marker]: 1 } }, agent)
          expect(JSON.stringify(marked)).not.toContain(marker)
        }
      }),
    )
  })
})

describe('a purpose is one line that is safe to show', () => {
  it.each([
    ['an escape sequence', '\u001b[2Jgone'],
    ['a line break', 'a\nb'],
    ['a NUL', 'a\0b'],
    ['a C1 control', 'a\u009bb'],
    ['a line separator', 'a\u2028b'],
    ['a bidirectional override', 'a\u202eb'],
    ['an isolate', 'a\u2066b'],
    ['a lone surrogate', 'a\ud800b'],
    ['a byte order mark', '\ufeffa'],
  ])('so %s is refused', (_, text) => {
    expect(readLine(text, 500)).toBeNull()
  })

  it('and any other text is kept as it came', () => {
    for (const text of ['<script>alert(1)</script>', "'; DROP TABLE tasks; --", '__proto__', 'Rückerstattung 🧾 ${x}', '%s%n']) {
      expect(readLine(text, 500)).toBe(text)
    }
  })
})

describe('a task opened earlier is within its agent', () => {
  const outer = sketchIntent()

  it.each([
    ['when nothing changed', {}, true],
    ['when the agent may do more', { tools: ['*'], budget: { calls: 500, refunds_eur: 500, bytes: 1 } }, true],
    ['not when a tool was taken away', { tools: ['crm.order.*', 'mail.send'] }, false],
    ['not when a class was taken away', { data: ['public'] }, false],
    ['not when a budget was cut', { budget: { calls: 199, refunds_eur: 200 } }, false],
    ['not when a meter was taken away', { budget: { calls: 200 } }, false],
  ])('%s', (_, change, expected) => {
    expect(within(outer, sketchIntent(change))).toBe(expected)
  })

  it('not when calls were unbounded and no longer are', () => {
    expect(within(sketchIntent({ budget: {} }), outer)).toBe(false)
  })
})
