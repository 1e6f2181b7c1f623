import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readBundle } from '../../../src/decide/bundle/bundle.ts'
import { EngineFailure } from '../../../src/decide/engine.ts'
import type { Framed } from '../../../src/decide/frame.ts'
import { mostInputText } from '../../../src/decide/input-text.ts'
import { buildInput, type InputText } from '../../../src/decide/input.ts'
import type { PolicyHost } from '../../../src/decide/module.ts'
import { repeatDigest } from '../../../src/decide/repeat.ts'
import type { JudgedBody, Target } from '../../../src/match/match.ts'
import type { Facts } from '../../../src/state/state.ts'
import { builtinCalls } from '../../support/builtin-calls.ts'
import { allSettings, changedPieces, framedInputs, framedOf, held, instancesOf, pairs } from '../../support/memo-rig.ts'
import { builtinsPolicyBytes, defaultPolicyBytes, openHost } from '../../support/policy-rig.ts'
import { schemaInputs } from '../../support/policy-inputs.ts'
import { sketchCaller, sketchFacts, sketchQuestion } from '../../support/question.ts'

const bundle = readBundle(defaultPolicyBytes)

describe('an answer that is given again', () => {
  it.each([
    ['without settings', undefined],
    ['with every rule switched on', allSettings],
  ])('is what an evaluation of the default policy answers, whatever differs: %s', async (_, settings) => {
    const { plain, watched } = await instancesOf(bundle, settings)
    const instance = watched()
    let given = 0
    fc.assert(
      fc.property(pairs(framedInputs), ({ one, others }) => {
        given += held(plain, instance, one, others)
      }),
      { numRuns: 150 },
    )
    // else nothing was tried
    expect(given).toBeGreaterThan(100)
  })

  it.each([
    ['task.budget.spent', [195, 198, 199, 200, 201].map((calls) => ({ calls }))],
    ['context.now', [1998, 1999, 2000, 2001]],
    ['sequence.repeats', [8, 9, 10, 11]],
    ['tool.resource', ['customer:', 'customer:1', 'customer', 'order:7', 'order:70', 'orders', null]],
    ['request.body', ['none', 'json', 'stream'].flatMap((kind) => [0, 1, 2].map((size) => ({ kind, judged: size !== 1, size })))],
  ])('is told apart at every bound of %s', async (place, values: readonly unknown[]) => {
    const { plain, watched } = await instancesOf(bundle)
    const [framed] = framedInputs
    const at = framed?.frame.places.findIndex((one) => one.join('.') === place) ?? -1
    const each = values.map((value) => changedPieces(framed!, [[at, value]]))
    const instance = watched()
    const given = each.map((one) => held(plain, instance, one, each))
    // each for itself at least
    expect(Math.min(...given)).toBeGreaterThan(0)
  })

  it('is what an evaluation answers where inputs are nothing like what a rule expects', async () => {
    const { plain, watched } = await instancesOf(bundle, allSettings)
    const instance = watched()
    fc.assert(
      fc.property(
        schemaInputs('input'),
        fc.array(fc.tuple(fc.nat(40), fc.jsonValue({ maxDepth: 2 })), { maxLength: 6 }),
        (input, other) => {
          if (typeof input !== 'object' || input === null || Array.isArray(input)) return
          const one = framedOf(input)
          if (one.own.length === 0) return
          held(plain, instance, one, [one, ...other.map((change) => changedPieces(one, [change]))])
        },
      ),
      { numRuns: 150 },
    )
  })

  it('is what an evaluation answers where builtins of the host are called, and none where the time is asked for', async () => {
    const { plain, watched } = await instancesOf(readBundle(builtinsPolicyBytes))
    const instance = watched()
    const frame = { texts: ['{"call":', ',"args":', '}'], places: [['call'], ['args']] }
    const framed = ({ call, args }: { readonly call: string; readonly args: readonly unknown[] }): Framed => ({
      frame,
      own: [JSON.stringify(call), JSON.stringify(args)],
    })
    let given = 0
    fc.assert(
      fc.property(fc.tuple(builtinCalls(), builtinCalls()), ([one, other]) => {
        given += held(plain, instance, framed(one), [framed(one), framed(other), framed({ ...one, args: other.args })])
      }),
      { numRuns: 150 },
    )
    expect(given).toBeGreaterThan(100)
    const asked = framed({ call: 'time.now_ns', args: [] })
    expect(held(plain, instance, asked, [asked])).toBe(0)
  })
})

describe('a host that gives answers again', () => {
  const question = sketchQuestion()
  const setting = { mode: 'enforce', modes: [], environment: 'test' } as const
  const call = (at: number, sketch: Partial<Facts['task']> = {}, now = 1000, target: Partial<Target> = {}): InputText => {
    const facts = sketchFacts({ step: at, counts: { 'crm.customer.read': at }, spent: { calls: at }, ...sketch })
    const asked = {
      ...question,
      call: { ...question.call, id: `c_${at}` },
      target: { ...question.target, resource: `customer:${at}`, ...target },
    }
    return buildInput(asked, { facts, now, revision: 'r' }, setting)
  }
  const judged = (host: PolicyHost, { engine, framed }: InputText): unknown => host.evaluate('countersign/decision', engine, framed)
  const plainly = (host: PolicyHost, { engine }: InputText): unknown => host.evaluate('countersign/decision', engine)
  /** Calls of one frame until answers are given again. */
  const learnt = async (host: PolicyHost, one = call): Promise<void> => {
    for (let at = 0; at < 10; at++) judged(host, one(at))
    await host.settled()
  }

  it('answers the calls of a task without evaluating each, and as an evaluation would', async () => {
    const host = openHost(defaultPolicyBytes)
    await learnt(host)
    expect(host.given).toBe(0)
    for (let at = 10; at < 100; at++) expect(judged(host, call(at))).toEqual(plainly(host, call(at)))
    expect(host.given).toBe(90)
    host.close()
  })

  it('answers calls of one caller with ever another token too', async () => {
    const host = openHost(defaultPolicyBytes)
    const renewed = (at: number): InputText => {
      const facts = sketchFacts({ step: at, spent: { calls: at } })
      const asked = {
        ...question,
        caller: sketchCaller({ expires: 1_790_000_300_000 + at, proof: `sha256:${at}`, claims: { jti: String(at) } }),
      }
      return buildInput(asked, { facts, now: 1000, revision: 'r' }, setting)
    }
    await learnt(host, renewed)
    for (let at = 10; at < 30; at++) expect(judged(host, renewed(at))).toEqual(plainly(host, renewed(at)))
    expect(host.given).toBe(20)
    host.close()
  })

  it('evaluates again as soon as a fact, the time, a body or an approval is another than it knows', async () => {
    const host = openHost(defaultPolicyBytes)
    await learnt(host)
    const stream: JudgedBody = { kind: 'stream', parsed: undefined, bytes: null, sha256: null, size: null, judged: false }
    const others = [
      call(1, { spent: { calls: 200 } }),
      call(1, { repeats: { [repeatDigest(question)]: 10 } }),
      call(1, {}, question.task.row.expires),
      call(1, {}, 1000, { resource: 'order:1' }),
      call(1, {}, 1000, { debit: { calls: 2 } }),
      call(1, {}, 1000, { body: stream }),
    ]
    for (const one of others) {
      const before = host.given
      expect(judged(host, one)).toEqual(plainly(host, one))
      expect(host.given).toBe(before)
    }
    expect(JSON.stringify(judged(host, others[0]!))).toContain('budget.exceeded')
    host.close()
  })

  it('knows nothing of another policy, or of other settings, that came into force', async () => {
    const before = openHost(defaultPolicyBytes)
    await learnt(before)
    judged(before, call(11))
    expect(before.given).toBe(1)
    const frozen = openHost(defaultPolicyBytes, { settings: { freeze: [{ tools: ['crm.*'] }] } })
    expect(judged(frozen, call(12))).toMatchObject({ effect: 'deny' })
    await learnt(frozen)
    expect(judged(frozen, call(12))).toMatchObject({ effect: 'deny' })
    expect([before.given, frozen.given]).toEqual([1, 1])
    before.close()
    frozen.close()
  })

  it('takes no document that an evaluation would refuse, looked at or not', async () => {
    const host = openHost(defaultPolicyBytes)
    const body = (parsed: unknown): Partial<Target> => ({
      body: { kind: 'json', parsed, bytes: Buffer.from(''), sha256: 'ab', size: 2, judged: true },
    })
    await learnt(host, (at) => call(at, {}, 1000, body({ at })))
    expect(judged(host, call(11, {}, 1000, body(['any', { other: 'document' }])))).toMatchObject({ effect: 'allow' })
    expect(host.given).toBe(1)
    let deep: unknown = 1
    for (let depth = 0; depth < 254; depth++) deep = [deep]
    for (const parsed of ['\ud800', { a: '\udc00x' }, deep, 'x'.repeat(mostInputText)]) {
      const one = call(12, {}, 1000, body(parsed))
      expect(() => plainly(host, one)).toThrow(EngineFailure)
      expect(() => judged(host, one)).toThrow(EngineFailure)
    }
    host.close()
  })

  it('answers calls with a document without writing it, as an evaluation would', async () => {
    const host = openHost(defaultPolicyBytes)
    const sent = (at: number): InputText => {
      const parsed = { at, note: 'é'.repeat(at) }
      const bytes = Buffer.from(JSON.stringify(parsed))
      return call(at, {}, 1000, { body: { kind: 'json', parsed, bytes, sha256: `ab${at}`, size: bytes.length, judged: true } })
    }
    await learnt(host, sent)
    for (let at = 10; at < 30; at++) {
      const one = sent(at)
      expect(host.known('countersign/decision', one.brief!)?.document).toEqual(plainly(host, one))
    }
    expect(host.given).toBe(20)
    expect(sent(1).brief?.own.join()).not.toContain('note')
    const escaped = call(1, {}, 1000, { body: bodyOf('"\\ud800"') })
    expect(escaped.brief).toBeUndefined()
    host.close()
  })

  it('evaluates every input of a policy whose functions have no names, for nobody knows what they look at', async () => {
    const host = openHost({ ...bundle, wasm: withoutNames(bundle.wasm) })
    await learnt(host)
    for (let at = 10; at < 30; at++) expect(judged(host, call(at))).toMatchObject({ effect: 'allow' })
    await host.settled()
    expect(host.given).toBe(0)
    host.close()
  })

  it('answers as evaluations do through whatever becomes of a task', async () => {
    const facts = fc.record({
      spent: fc.record({ calls: fc.constantFrom(0, 1, 50, 198, 199, 200) }),
      sensitivity: fc.constantFrom([], ['personal'], ['secret']),
      failures: fc.nat(9),
      diverged: fc.boolean(),
    })
    const calls = fc.tuple(facts, fc.nat(60), fc.constantFrom(1000, 1_790_000_999_999, 1_790_001_000_000), fc.boolean())
    const host = openHost(defaultPolicyBytes, { settings: { taint: { decay: { personal: 500 } } } })
    await fc.assert(
      fc.asyncProperty(fc.array(calls, { minLength: 10, maxLength: 30 }), async (all) => {
        for (const [task, at, now, resource] of all) {
          const one = call(at, task, now, resource ? { resource: null } : {})
          expect(judged(host, one)).toEqual(plainly(host, one))
        }
        await host.settled()
      }),
      { numRuns: 40 },
    )
    expect(host.given).toBeGreaterThan(50)
    host.close()
  })
})

function bodyOf(text: string): JudgedBody {
  return { kind: 'json', parsed: JSON.parse(text), bytes: Buffer.from(text), sha256: 'ab', size: text.length, judged: true }
}

/** A module without its custom sections. */
function withoutNames(wasm: Uint8Array): Uint8Array {
  const parts = [wasm.subarray(0, 8)]
  for (let at = 8; at < wasm.length;) {
    let size = 0
    let next = at + 1
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[next++] ?? 0
      size += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) break
    }
    if (wasm[at] !== 0) parts.push(wasm.subarray(at, next + size))
    at = next + size
  }
  return Buffer.concat(parts)
}
