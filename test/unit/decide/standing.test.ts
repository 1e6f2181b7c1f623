import * as fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { readBundle } from '../../../src/decide/bundle/bundle.ts'
import { EngineFailure } from '../../../src/decide/engine.ts'
import { encodeInput } from '../../../src/decide/input-text.ts'
import { buildInput } from '../../../src/decide/input.ts'
import { PolicyInstance } from '../../../src/decide/instance.ts'
import { standingAt, standingPlace, withoutStanding } from '../../../src/decide/standing.ts'
import { allowedInput, defaultPolicyBytes, openHost } from '../../support/policy-rig.ts'
import { sketchFacts, sketchQuestion } from '../../support/question.ts'

const bundle = readBundle(defaultPolicyBytes)

function instance(): PolicyInstance {
  const module = new WebAssembly.Module(bundle.wasm)
  return new PolicyInstance({ module, data: bundle.data, initialPages: 32, maxPages: 1024, clock: () => 1000, print: () => undefined })
}

type Parts = Record<'request' | 'caller' | 'agent' | 'task' | 'tool', Record<string, unknown>>

/** A call of one of many agents and tasks, with a body that its agent wrote. */
function call(agent: number, task: number, tool: string, parsed: unknown): Record<string, unknown> {
  const input = allowedInput()
  const parts = input as Parts
  return {
    ...input,
    request: { ...parts.request, body: { kind: 'json', sha256: 'ab', size: 2, judged: true, parsed } },
    caller: { ...parts.caller, spiffe_id: `spiffe://acme.example/${agent}`, claims: { serial: 12345678901234567890n.toString(), agent } },
    agent: { ...parts.agent, id: `spiffe://acme.example/${agent}`, lifecycle: agent % 5 === 4 ? 'suspended' : 'live' },
    task: {
      ...parts.task,
      id: `t_${task}`,
      intent: { ...(parts.task['intent'] as object), tools: [`crm.${task % 3}`, 'crm.customer.read'], purpose: `${task}` },
    },
    tool: { ...parts.tool, name: tool },
  }
}

describe('what inputs have in common', () => {
  const text = JSON.stringify(allowedInput())
  const at = standingPlace(text)

  it('begins with the caller at the top and ends with the intent of the task', () => {
    const standing = standingAt(text, at)
    expect(text.slice(at).startsWith(standing?.text ?? '?')).toBe(true)
    expect(standing?.values.map(({ path }) => path)).toEqual([['caller'], ['agent'], ['task', 'intent']])
    const { caller, agent, task, ...rest } = allowedInput() as Parts
    const { intent, ...others } = task
    expect(standing?.values.map((value) => JSON.parse(value.text))).toEqual([caller, agent, intent])
    expect(JSON.parse(withoutStanding(text, at, standing!))).toEqual({ ...rest, task: others })
  })

  it('is found in what the builder of inputs writes', () => {
    const { engine } = buildInput(sketchQuestion(), { facts: sketchFacts(), now: 1, revision: 'r' }, {
      mode: 'enforce',
      modes: [],
      environment: 'test',
    } as never)
    expect(standingAt(engine, standingPlace(engine))).not.toBeNull()
  })

  it('is nothing where an input is in another order', () => {
    const { caller, agent, task, ...rest } = allowedInput() as Parts
    const others = [
      {},
      { caller },
      { v: 1, caller, task, agent },
      { v: 1, caller, agent },
      { v: 1, agent, caller, task },
      { v: 1, caller, agent, task: { budget: {}, ...task } },
      { v: 1, caller, agent, task: { x: { intent: task['intent'], y: 1 } } },
      { v: 1, caller, agent, task: { intent: task['intent'] } },
      { v: 1, caller, agent, task: { id: 1 }, tool: { intent: {}, x: 1 } },
    ]
    for (const other of others) {
      const written = JSON.stringify(other)
      const place = standingPlace(written)
      expect(place < 1 ? null : standingAt(written, place), written).toBeNull()
    }
    expect(standingPlace(JSON.stringify(rest))).toBeLessThan(1)
  })

  it('is not taken for it inside a body or a string', () => {
    const inside = JSON.stringify({ v: 1, request: { body: { parsed: JSON.parse(text) } } })
    expect(encodeInput(inside, standingPlace(inside))).toBeNull()
    const quoted = `{"v":"x","w":" caller":{"a":1}}`
    expect(encodeInput('{"v":1,"caller":{}}', 7)).not.toBeNull()
    for (const place of [2, 6, 10]) expect(encodeInput('{"v":["caller"],"w":{}}', place), `${place}`).toBeNull()
    expect(standingPlace(quoted)).toBeLessThan(1)
    // where a place in the text is no place in its bytes, or a quote may be none
    expect(encodeInput('{"é":1,"caller":{}}', 8)).toBeNull()
    expect(encodeInput('{"\\"":1,"caller":{}}', 8)).toBeNull()
  })
})

describe('an engine that keeps it', () => {
  const host = openHost(defaultPolicyBytes)
  const plain = instance()
  const number = plain.entrypoints.get('countersign/decision') ?? -1
  afterAll(() => host.close())
  const expected = (input: string): unknown => JSON.parse(plain.evaluate(number, input))[0].result

  it('answers as one that does not, whoever calls in whatever order and whatever stands in a body', () => {
    const one = call(1, 1, 'crm.customer.read', null)
    const parsed = fc.oneof(
      fc.constant(one),
      fc.constant({ caller: one['caller'], agent: one['agent'], task: one['task'], x: 1 }),
      fc.jsonValue(),
      fc.constant('"caller":{'),
      fc.constant('é'),
    )
    const calls = fc.array(fc.tuple(fc.nat(11), fc.nat(3), fc.constantFrom('crm.customer.read', 'crm.0', 'crm.1', 'mail.send'), parsed), {
      minLength: 1,
      maxLength: 40,
    })
    fc.assert(
      fc.property(calls, (made) => {
        for (const [agent, task, tool, body] of made) {
          // the same call several times, so that its part is kept for some of them
          const input = JSON.stringify(call(agent, task, tool, body))
          for (let n = 0; n < 6; n++) expect(host.evaluate('countersign/decision', input)).toEqual(expected(input))
        }
      }),
      { numRuns: 40 },
    )
    expect(host.replaced).toBe(0)
  })

  it('gives the digits of numbers as they were', () => {
    const own = instance()
    const input = JSON.stringify(allowedInput()).replace('"claims":{}', '"claims":{"n":12345678901234567890.10}')
    const at = standingPlace(input)
    own.kept?.keep(standingAt(input, at)!)
    const kept = own.kept?.find(input, at) ?? null
    expect(kept?.standing.values[0]?.text).toContain('12345678901234567890.10')
    const joined = encodeInput(withoutStanding(input, at, kept!.standing), at)
    expect(own.evaluate(number, joined!, kept)).toBe(plain.evaluate(number, input))
  })

  it('finds a part only in an input that has it letter for letter', () => {
    const own = instance()
    const input = JSON.stringify(allowedInput())
    const at = standingPlace(input)
    own.kept?.keep(standingAt(input, at)!)
    expect(own.kept?.find(input, at)).not.toBeNull()
    for (const other of [
      input.replace('"live"', '"lives"'),
      input.replace('refund', 'Refund'),
      input.replace('"2000"', '"2001"').replace('"expires":2000', '"expires":2001'),
    ])
      expect(own.kept?.find(other, standingPlace(other))).toBeNull()
  })

  it('does not grow with the agents that come and go', () => {
    const fresh = openHost(defaultPolicyBytes)
    for (let n = 0; n < 4000; n++) fresh.evaluate('countersign/decision', JSON.stringify(call(n, n, 'crm.customer.read', null)))
    const own = instance()
    const before = own.memoryBytes
    const places: number[] = []
    for (let n = 0; n < 200; n++) {
      const input = JSON.stringify(call(n, n, 'crm.customer.read', null))
      own.kept?.keep(standingAt(input, standingPlace(input))!)
      places.push(own.kept?.floor ?? 0)
    }
    expect(own.memoryBytes).toBe(before)
    expect(new Set(places.filter((_, at) => at % 8 === 7)).size).toBeLessThan(20)
    expect(fresh.replaced).toBe(0)
    fresh.close()
  })

  it('refuses what is no JSON where it would have been no input', () => {
    const input = JSON.stringify(allowedInput())
    const broken = input.replace('"sequence":{', '"sequence":{"x" 1,')
    for (let n = 0; n < 8; n++) host.evaluate('countersign/decision', input)
    const answers = Array.from({ length: 2 }, () => {
      try {
        return (host.evaluate('countersign/decision', broken) as { effect: string }).effect
      } catch (error) {
        expect(error).toBeInstanceOf(EngineFailure)
        return 'refused'
      }
    })
    expect(answers.every((answer) => answer === 'deny' || answer === 'refused')).toBe(true)
  })
})
