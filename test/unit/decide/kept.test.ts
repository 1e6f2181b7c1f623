import * as fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { readBundle } from '../../../src/decide/bundle/bundle.ts'
import type { Question } from '../../../src/decide/decide.ts'
import { EngineFailure } from '../../../src/decide/engine.ts'
import { framedText, type Frame, type Framed } from '../../../src/decide/frame.ts'
import { encodeInput, mostInputText } from '../../../src/decide/input-text.ts'
import { buildInput } from '../../../src/decide/input.ts'
import { PolicyInstance } from '../../../src/decide/instance.ts'
import { KeptFrames, type Keeping } from '../../../src/decide/kept.ts'
import { defaultPolicyBytes, openHost } from '../../support/policy-rig.ts'
import { sketchCall, sketchCaller, sketchFacts, sketchQuestion, sketchRoute, sketchTool } from '../../support/question.ts'

const bundle = readBundle(defaultPolicyBytes)
const module = new WebAssembly.Module(bundle.wasm)

function instance(): PolicyInstance {
  return new PolicyInstance({ module, data: bundle.data, initialPages: 32, maxPages: 1024, clock: () => 1000, print: () => undefined })
}

const setting = { mode: 'enforce', modes: [], environment: 'test' } as const
const seen = (now = 1) => ({ facts: sketchFacts(), now, revision: 'r' })
const built = (question: Question, now = 1) => buildInput(question, seen(now), setting)

const question = sketchQuestion()
const withCall = (call: Parameters<typeof sketchCall>[0]): Question => ({ ...question, call: sketchCall(call) })

describe('an input in its parts', () => {
  it('is the same text as the whole', () => {
    const { engine, record, framed } = built(question)
    expect(framedText(framed)).toBe(engine)
    expect(record).toBe(engine)
  })

  it('has each piece where its place says', () => {
    const { engine, framed } = built(question)
    const whole: unknown = JSON.parse(engine)
    const at = (place: readonly string[]): unknown =>
      place.reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], whole)
    expect(framed.frame.places).toHaveLength(framed.own.length)
    for (const [index, place] of framed.frame.places.entries())
      expect(JSON.parse(framed.own[index] ?? ''), place.join('.')).toEqual(at(place))
  })

  it('has the body that policy sees as a piece, and leaves it out of the record', () => {
    const body = { kind: 'json', parsed: { a: [1, 'é"'] }, bytes: Buffer.from('{}'), sha256: 'ab', size: 2, judged: true } as const
    const { engine, record, framed } = built({ ...question, target: { ...question.target, body } })
    expect(JSON.parse(engine).request.body.parsed).toEqual({ a: [1, 'é"'] })
    expect(JSON.parse(record).request.body).toEqual({ kind: 'json', sha256: 'ab', size: 2, judged: true })
    expect(framedText(framed)).toBe(engine)
  })

  it('shares its frame with every call that differs in nothing but its pieces', () => {
    const { frame } = built(question).framed
    const other = { ...question, target: { ...question.target, resource: 'customer:7' } }
    // the same caller with another token
    const renewed = { ...question, caller: sketchCaller({ expires: 1, proof: 'sha256:01', claims: { jti: 'é' } }) }
    for (const same of [question, withCall({ target: '/customers/7?x=1' }), other, renewed])
      expect(built(same, 77).framed.frame).toBe(frame)
    const { target, task } = question
    const others: Question[] = [
      withCall({ method: 'HEAD' }),
      { ...question, call: { ...question.call, host: 'crm.example' } },
      { ...question, call: { ...question.call, scheme: 'https' } },
      { ...question, call: { ...question.call, listener: { ...question.call.listener, port: 1 } } },
      { ...question, target: { ...target, tool: sketchTool({ risk: 'high' }) } },
      { ...question, target: { ...target, route: sketchRoute({ name: 'other' }) } },
      { ...question, task: { ...task, row: { ...task.row, expires: task.row.expires + 1 } } },
      { ...question, caller: sketchCaller({ confirmed: 'mtls' }) },
      { ...question, caller: sketchCaller({ method: 'oidc' }) },
      { ...question, caller: sketchCaller({ issuer: 'https://idp.acme.example' }) },
      { ...question, caller: sketchCaller({ acting: { actors: [], verified: false, mayAct: null } }) },
    ]
    for (const one of others) expect(built(one).framed.frame).not.toBe(frame)
    expect(buildInput(question, { ...seen(), revision: 's' }, setting).framed.frame).not.toBe(frame)
    expect(buildInput(question, seen(), { ...setting, mode: 'observe' }).framed.frame).not.toBe(frame)
    expect(buildInput(question, seen(), { ...setting, environment: 'e' }).framed.frame).not.toBe(frame)
    for (const one of others) expect(framedText(built(one).framed)).toBe(built(one).engine)
  })

  it('does not pile frames up for an agent that calls by ever another host', () => {
    const frames = Array.from({ length: 200 }, (_, n) => built({ ...question, call: { ...question.call, host: `h${n}` } }).framed.frame)
    expect(new Set(frames).size).toBe(200)
    const again = built({ ...question, call: { ...question.call, host: 'h199' } }).framed.frame
    expect(again).toBe(frames[199])
    expect(built({ ...question, call: { ...question.call, host: 'h0' } }).framed.frame).not.toBe(frames[0])
  })
})

/** A frame with two places in it, and what stands around them. */
function sketchFrame(name: string): Frame {
  return {
    texts: [`{"v":1,"name":"${name}","task":{"a":[1,{"b":null}],"x":`, `},"long name of a member":{"y":`, `}}`],
    places: [
      ['task', 'x'],
      ['long name of a member', 'y'],
    ],
  }
}

describe('an engine that keeps frames', () => {
  const host = openHost(defaultPolicyBytes)
  const plain = instance()
  const number = plain.entrypoints.get('countersign/decision') ?? -1
  afterAll(() => host.close())

  it('answers as one that does not, whoever calls in whatever order and whatever stands in a body', () => {
    const questions = Array.from({ length: 12 }, (_, n) => {
      const one = sketchQuestion()
      const tool = sketchTool({ risk: n % 3 === 2 ? 'high' : 'low', name: n % 4 === 3 ? 'crm.other' : 'crm.customer.read' })
      const row = { ...one.task.row, id: `t_${n}`, state: n % 5 === 4 ? ('paused' as const) : ('active' as const) }
      return { ...one, task: { ...one.task, row }, target: { ...one.target, tool } }
    })
    const parsed = fc.oneof(
      fc.constant(undefined),
      fc.jsonValue(),
      fc.constant('"caller":{'),
      fc.constant(['é', '\\', '\u0000', '0],"x":[']),
    )
    const calls = fc.array(fc.tuple(fc.nat(11), fc.nat(9), fc.string({ maxLength: 12 }), parsed), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(calls, (made) => {
        for (const [who, now, resource, document] of made) {
          const one = questions[who] ?? question
          const body =
            document === undefined
              ? one.target.body
              : { kind: 'json' as const, parsed: document, bytes: Buffer.from(''), sha256: 'ab', size: 2, judged: true }
          const asked = { ...one, target: { ...one.target, resource: `customer:${resource}`, body } }
          const { engine, framed } = built(asked, now)
          // several times, so that its frame is kept for some of them
          for (let n = 0; n < 3; n++)
            expect(host.evaluate('countersign/decision', engine, framed)).toEqual(
              JSON.parse(plain.evaluate(number, encodeInput(engine)))[0].result,
            )
        }
      }),
      { numRuns: 60 },
    )
    expect(host.replaced).toBe(0)
  })

  it('gives the very bytes that it gives for the whole text, digits of numbers and order of members included', () => {
    const own = instance()
    const frame = sketchFrame('digits')
    const pieces = ['12345678901234567890.10', '{"z":1,"a":[true,null,"é\\n"],"":-0.5e3}']
    own.frames?.keep({ frame, own: ['null', 'null'] })
    const kept = own.frames?.find(frame)
    const framed = own.evaluateFramed(number, kept!, encodeInput(kept!.others(pieces)))
    expect(framed).toBe(plain.evaluate(number, framedText({ frame, own: pieces })))
  })

  it('reads only the pieces that are not as they were', () => {
    const own = instance()
    const frame = sketchFrame('others')
    own.frames?.keep({ frame, own: ['1', '"a"'] })
    const kept = own.frames?.find(frame)
    expect(kept?.others(['1', '"a"'])).toBe('{"":[]}')
    expect(kept?.others(['1', '"b"'])).toBe('{"":["b"]}')
    expect(kept?.others(['2', '"a"'])).toBe('{"":[2]}')
    expect(kept?.others(['2', '"b"'])).toBe('{"":[2,"b"]}')
  })

  it('leaves nothing of one input in the next', () => {
    const { engine, framed } = built(question)
    const denied = built({ ...question, target: { ...question.target, resource: 'vault:1' } })
    for (let n = 0; n < 4; n++) host.evaluate('countersign/decision', engine, framed)
    const answers = [framed, denied.framed, framed, denied.framed, framed].map((one) =>
      JSON.stringify(host.evaluate('countersign/decision', framedText(one), one)),
    )
    expect(new Set(answers).size).toBe(2)
    expect(answers[0]).toBe(answers[4])
    expect(answers[1]).toBe(JSON.stringify(openHost(defaultPolicyBytes).evaluate('countersign/decision', denied.engine)))
  })

  it('keeps a frame that comes back, and not one that never does', () => {
    const own = instance()
    const [once, twice] = [sketchFrame('once'), sketchFrame('twice')]
    expect([own.frames?.due(once), own.frames?.due(twice), own.frames?.due(twice)]).toEqual([false, false, true])
    expect(own.frames?.find(twice)).toBeNull()
  })

  it('pays for frames with the inputs that had theirs kept: a fleet that only comes and goes has few kept', () => {
    const frames = instance().frames!
    let kept = 0
    for (let n = 0; n < 2000; n++) {
      const frame = sketchFrame(`${n}`)
      frames.due(frame)
      if (!frames.due(frame)) continue
      frames.keep({ frame, own: ['1', '2'] })
      kept++
    }
    expect(kept).toBeGreaterThan(30)
    expect(kept).toBeLessThan(80)
  })

  it('does not grow with the frames that come and go', () => {
    const own = instance()
    const before = own.memoryBytes
    const floors: number[] = []
    for (let n = 0; n < 400; n++) {
      own.frames?.keep({ ...built(question).framed, frame: { ...built(question).framed.frame } })
      floors.push(own.frames?.floor ?? 0)
    }
    expect(own.memoryBytes).toBe(before)
    expect(new Set(floors.filter((_, at) => at % 32 === 31)).size).toBe(1)
  })

  it('does not keep a long piece', () => {
    const own = instance()
    const frame = sketchFrame('long')
    own.frames?.keep({ frame, own: [`"${'a'.repeat(100_000)}"`, '1'] })
    const floor = own.frames?.floor ?? 0
    own.frames?.keep({ frame: sketchFrame('short'), own: ['1', '1'] })
    expect((own.frames?.floor ?? 0) - floor).toBeLessThan(4096)
    expect(own.frames?.find(frame)?.others([`"${'a'.repeat(100_000)}"`, '1'])).toHaveLength(100_002 + 7)
  })

  it('refuses an input with a piece that is no JSON, or not one, or too long, and judges on', () => {
    const { engine, framed } = built(question)
    for (let n = 0; n < 4; n++) host.evaluate('countersign/decision', engine, framed)
    const allowed = JSON.stringify(host.evaluate('countersign/decision', engine, framed))
    for (const piece of ['1,2', '', 'x', '1]', '{"a":1}}', '"\ud800"', '['.repeat(300) + ']'.repeat(300)]) {
      const own = framed.own.with(1, piece)
      expect(() => host.evaluate('countersign/decision', engine, { ...framed, own }), piece.slice(0, 10)).toThrow(EngineFailure)
      for (let n = 0; n < 3; n++) expect(JSON.stringify(host.evaluate('countersign/decision', engine, framed))).toBe(allowed)
    }
    expect(() => host.evaluate('countersign/decision', 'a'.repeat(mostInputText + 1), framed)).toThrow(EngineFailure)
  })

  it('keeps nothing in a module that lays its values out in another way', () => {
    const keeping = (change: (view: DataView, root: number) => void): Keeping => {
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
      return {
        parse: (_, at) => (change(new DataView(memory.buffer), at), at),
        end: () => 4096,
        dump: String,
        view: () => new DataView(memory.buffer),
      }
    }
    const elsewhere: ((view: DataView, root: number) => void)[] = [
      () => {},
      (view, root) => view.setUint8(root, 6),
      (view, root) => (view.setUint8(root, 6), view.setUint32(root + 4, 0xffff_fff0, true), view.setUint32(root + 8, 8, true)),
      (view, root) => (view.setUint8(root, 6), view.setUint32(root + 4, 64, true), view.setUint32(root + 8, 0xffff_ffff, true)),
    ]
    for (const change of elsewhere) {
      const frames = new KeptFrames(16, keeping(change))
      const framed: Framed = { frame: sketchFrame('elsewhere'), own: ['1', '2'] }
      frames.keep(framed)
      expect(frames.find(framed.frame)).toBeNull()
      expect(frames.floor).toBe(16)
      for (let n = 0; n < 4; n++) expect(frames.due(framed.frame)).toBe(false)
    }
  })
})
