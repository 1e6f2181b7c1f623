import * as fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { readBundle } from '../../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import { EngineFailure, type Entrypoint } from '../../../src/decide/engine.ts'
import { PolicyInstance, type Mould } from '../../../src/decide/instance.ts'
import { readResult } from '../../../src/decide/result.ts'
import { openPolicy, type PolicyHost, type PolicyOptions } from '../../../src/decide/module.ts'
import {
  allowedInput,
  builtinsPolicyBytes,
  defaultPolicyBytes,
  filesOf,
  openHost,
  packBundle,
  patched,
  quietLog,
} from '../../support/policy-rig.ts'

const hosts: PolicyHost[] = []

function open(bytes: Uint8Array = defaultPolicyBytes, options: Partial<PolicyOptions> = {}): PolicyHost {
  const host = openHost(bytes, options)
  hosts.push(host)
  return host
}

function mould(bytes: Uint8Array): Mould {
  const bundle = readBundle(bytes)
  return {
    module: new WebAssembly.Module(bundle.wasm),
    data: bundle.data,
    initialPages: 32,
    maxPages: 1024,
    clock: () => 1000,
    print: () => undefined,
  }
}

/** The allowed input with whole parts of it replaced or gone, or any object. */
const anyInput = fc.oneof(
  fc.record(
    Object.fromEntries(
      Object.entries(allowedInput()).map(([key, value]) => [
        key,
        fc.oneof({ weight: 4, arbitrary: fc.constant(value) }, fc.jsonValue({ maxDepth: 3 })),
      ]),
    ),
    { requiredKeys: [] },
  ),
  fc.dictionary(fc.string(), fc.jsonValue()),
)

const allowed = JSON.stringify(allowedInput())

afterEach(() => {
  for (const host of hosts.splice(0)) host.close()
})

describe('evaluating', () => {
  it('answers the document of the first result, parsed', () => {
    expect(open().evaluate('countersign/decision', allowed)).toEqual({ v: 1, effect: 'allow', reasons: [], obligations: [], labels: {} })
  })

  it('gives the same result for the same input, every time', () => {
    const host = open()
    const once = JSON.stringify(host.evaluate('countersign/decision', '{}'))
    for (let n = 0; n < 50; n++) expect(JSON.stringify(host.evaluate('countersign/decision', '{}'))).toBe(once)
  })

  it('hands out an answer it gave before as the same document, which nobody can change', () => {
    const host = open()
    const first = host.evaluate('countersign/decision', allowed) as { effect: string; reasons: object[] }
    expect(host.evaluate('countersign/decision', allowed)).toBe(first)
    expect(() => first.reasons.push({})).toThrow(TypeError)
    expect(() => (first.effect = 'deny')).toThrow(TypeError)
  })

  it('judges a parsed body of 256 KiB, and the next input is none the wiser', () => {
    const host = open()
    const input = allowedInput()
    const text = JSON.stringify({
      ...input,
      request: {
        ...Object(input['request']),
        body: { kind: 'json', parsed: 'ü'.repeat(130_000), sha256: 'ab', size: 260_002, judged: true },
      },
    })
    expect(host.evaluate('countersign/decision', text)).toMatchObject({ effect: 'allow' })
    expect(host.evaluate('countersign/decision', '{}')).toMatchObject({ effect: 'deny' })
    expect(host.replaced).toBe(0)
  })

  it('gives one moment to the whole of an evaluation and another to the next', () => {
    let now = 5
    const host = open(builtinsPolicyBytes, { clock: () => now++ })
    const asked = '{"call":"time.now_ns","args":[]}'
    const before = now
    expect(host.evaluate('countersign/decision', asked)).toEqual({ effect: 'deny', gives: [0] })
    host.evaluate('countersign/decision', asked)
    expect(now).toBe(before + 2)
  })

  it('does not take __proto__ for anything but a name', () => {
    const text = allowed.replace('"headers":{', '"headers":{"__proto__":"x","constructor":"y",')
    expect(open().evaluate('countersign/decision', text)).toMatchObject({ effect: 'allow' })
    expect(Object.getPrototypeOf({})).toBe(Object.prototype)
  })

  it('gives a well-formed decision for any input', () => {
    const host = open()
    fc.assert(
      fc.property(anyInput, fc.constantFrom<Entrypoint>('countersign/decision', 'countersign/task'), (document, entrypoint) => {
        readResult(host.evaluate(entrypoint, JSON.stringify(document)))
      }),
      { numRuns: 300 },
    )
  })

  it('agrees with the SDK on any input', () => {
    const instance = new PolicyInstance(mould(defaultPolicyBytes))
    const numbers = [...instance.entrypoints.values()]
    fc.assert(
      fc.property(anyInput, fc.constantFrom(...numbers), (document, number) => {
        const text = JSON.stringify(document)
        expect(JSON.parse(instance.evaluate(number, text))).toEqual(instance.evaluateBySdk(number, JSON.parse(text)))
      }),
      { numRuns: 300 },
    )
  })
})

describe('hostile input', () => {
  const deep = (levels: number): string => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`

  it('is refused before it reaches the engine', () => {
    const host = open()
    const refused = [
      '',
      'null',
      '[]',
      '"x"',
      '{',
      '{"a":"',
      '{"a":"\\',
      '{"a":"\\"}',
      '{} ',
      '{}{}',
      '{"a":1}}',
      '{"a":"\ud800"}',
      '{"a":"\udc00\ud800"}',
      '{"a":"\\ud800"}',
      '{"a":"\\uDC00"}',
      '{"a":"\\ud800\\u0041"}',
      '{"a":"\\ud800\\ud800"}',
      deep(256),
      `{"a":"${'x'.repeat(512 * 1024)}"}`,
    ]
    // the same in strings long enough to be searched, behind a text whose bytes may still lie there
    const long = 'x'.repeat(200)
    expect(host.evaluate('countersign/decision', `{"a":"${long}${long}","b":"\\ud83d\\ude00"}`)).toMatchObject({ effect: 'deny' })
    refused.push(
      `{"a":"${long}`,
      `{"a":"${long}\\"}`,
      `{"a":"${long}\\ud800"}`,
      `{"a":"${long}\\ud83d`,
      `{"a":"${long}"}}`,
      `{"a":"${long}",[`,
    )
    for (const text of refused) expect(() => host.evaluate('countersign/decision', text), text.slice(0, 40)).toThrow(EngineFailure)
    expect(host.replaced).toBe(0)
  })

  it('is no more than what it must be', () => {
    const host = open()
    const taken = ['{"a":"\\ud83d\\ude00"}', '{"a":"\u{1f600}"}', '{"a":"\\\\ud800"}', '{"a":"[{\\"]"}', '{"a":"\\u0000"}', deep(255)]
    const long = 'x'.repeat(200)
    taken.push(
      `{"a":"${long}\\"]}","b":"${long}"}`,
      `{"a":"${long}\\\\"}`,
      `{"a":"${long}\\ud83d\\ude00","b":{}}`,
      `{"${long}[":"${'é'.repeat(100)}{"}`,
    )
    for (const text of taken) expect(host.evaluate('countersign/decision', text), text.slice(0, 40)).toMatchObject({ effect: 'deny' })
    expect(host.replaced).toBe(0)
  })

  it('never costs an instance when it is text of JSON', () => {
    const host = open()
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary', depthSize: 'large' }), (value) => {
        expect(host.evaluate('countersign/decision', JSON.stringify({ request: value, task: value }))).toMatchObject({ effect: 'deny' })
      }),
      { numRuns: 200 },
    )
    expect(host.replaced).toBe(0)
  })

  it('that is not even JSON inside is no input to the engine, and denied', () => {
    expect(open().evaluate('countersign/decision', '{"v":01,nonsense}')).toMatchObject({ effect: 'deny' })
  })
})

describe('an evaluation that throws', () => {
  const aborting = '{"a":"\\ud800"}'

  it('ruins its instance after some hundred times', () => {
    const instance = new PolicyInstance(mould(defaultPolicyBytes))
    const number = instance.entrypoints.get('countersign/decision') ?? -1
    let ruined = 0
    for (let n = 0; n < 3000; n++) {
      try {
        instance.evaluate(number, aborting)
      } catch {
        ruined++
      }
    }
    expect(ruined).toBe(3000)
    expect(() => instance.evaluate(number, allowed)).toThrow(/memory access out of bounds/)
  })

  const conflicting = '{"call":"conflict"}'
  const sound = '{"call":"hex.encode","args":["a"]}'

  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  it('is followed by spares that were made when nothing waited: no call makes an instance', async () => {
    const host = open(builtinsPolicyBytes)
    await turn()
    for (let n = 0; n < 50; n++) {
      const made = instancesMadeBy(() => {
        // two in one turn, as two calls that come in together
        for (let call = 0; call < 2; call++) expect(() => host.evaluate('countersign/decision', conflicting)).toThrow(EngineFailure)
        expect(host.evaluate('countersign/decision', sound)).toEqual({ effect: 'deny', gives: ['61'] })
      })
      expect(made, `turn ${n}`).toBe(0)
      await turn()
    }
    expect(host.replaced).toBe(100)
  })

  it('costs the thousandth time what it cost at first', async () => {
    const host = open(builtinsPolicyBytes)
    const times: number[] = []
    for (let n = 0; n < 1000; n++) {
      await turn()
      expect(() => host.evaluate('countersign/decision', conflicting)).toThrow(EngineFailure)
      const began = performance.now()
      host.evaluate('countersign/decision', sound)
      times.push(performance.now() - began)
    }
    const median = (from: number, to: number): number =>
      times.slice(from, to).toSorted((one, other) => one - other)[(to - from) >> 1] ?? NaN
    expect(median(900, 1000)).toBeLessThan(2 * median(0, 100) + 0.1)
  })

  it('is what an input gets that needs more memory than there may be', () => {
    const host = open(defaultPolicyBytes, { maxMemoryPages: 160 })
    const large = `{"a":[${'1,'.repeat(250_000)}1]}`
    for (let n = 0; n < 3; n++) expect(() => host.evaluate('countersign/decision', large)).toThrow(EngineFailure)
    expect(host.evaluate('countersign/decision', allowed)).toMatchObject({ effect: 'allow' })
  })

  it('is what a policy gets that calls what the host refused to lend', () => {
    // Reached only by an instance made without activation: a bundle that asks for it is refused.
    const instance = new PolicyInstance(mould(withModule(builtinsPolicyBytes, 'crypto.sha256', 'crypto.sha999')))
    expect(() =>
      instance.evaluate(instance.entrypoints.get('countersign/decision') ?? -1, '{"call":"crypto.sha999","args":["a"]}'),
    ).toThrow(/does not have/)
  })
})

describe('memory', () => {
  it('that grew far is retired with its instance', () => {
    const host = open()
    const large = `{"a":[${'1,'.repeat(250_000)}1]}`
    expect(host.evaluate('countersign/decision', large)).toMatchObject({ effect: 'deny' })
    expect(host.replaced).toBe(1)
    expect(host.evaluate('countersign/decision', allowed)).toMatchObject({ effect: 'allow' })
  })
})

describe('activation', () => {
  const refused = (bytes: Uint8Array, message: RegExp): void => {
    expect(() => open(bytes)).toThrow(BundleFault)
    expect(() => open(bytes)).toThrow(message)
  }

  it('says which revision is in force', () => {
    const bundle = readBundle(defaultPolicyBytes)
    const host = openPolicy(bundle, { clock: () => 1, log: quietLog() })
    hosts.push(host)
    expect([host.revision, host.digest]).toEqual([bundle.revision, bundle.digest])
  })

  it('refuses a bundle that claims every package', () => {
    for (const roots of [[''], ['/'], [], ['countersign', '']]) {
      refused(withFile(defaultPolicyBytes, '.manifest', JSON.stringify({ roots, wasm: [] })), /claims every package/)
    }
  })

  it('refuses a module that is none, or imports what no policy needs', () => {
    refused(withFile(defaultPolicyBytes, 'policy.wasm', 'wasm?'), /not a module/)
    refused(withModule(defaultPolicyBytes, 'opa_abort', 'opa_abert'), /imports env\.opa_abert/)
  })

  it('refuses a module of another interface', () => {
    refused(withModule(defaultPolicyBytes, 'opa_value_dump', 'opa_value_dumb'), /does not export opa_value_dump/)
    refused(withModule(defaultPolicyBytes, [0x7f, 0x00, 0x41, 0x03, 0x0b], [0x7f, 0x00, 0x41, 0x09, 0x0b]), /ABI 1\.9/)
  })

  it('refuses a policy that calls a builtin the host does not lend, by name', () => {
    refused(withModule(builtinsPolicyBytes, 'crypto.sha256', 'crypto.sha999'), /calls crypto\.sha999/)
  })

  it('refuses a policy without one of the entrypoints', () => {
    refused(withModule(defaultPolicyBytes, 'countersign/task', 'countersign/tusk'), /does not answer countersign\/task/)
  })

  it('refuses a policy that allows what says nothing', () => {
    refused(withModule(builtinsPolicyBytes, 'deny', 'okay'), /must deny \{\}, it says "okay"/)
  })

  it('refuses a policy that needs more memory than it may have', () => {
    expect(() => open(defaultPolicyBytes, { maxMemoryPages: 31 })).toThrow(/cannot be instantiated/)
    const unseen = withFile(defaultPolicyBytes, 'data.json', '{"countersign":{"seen":false}}')
    expect(() => open(unseen, { maxMemoryPages: 40 })).toThrow(/cannot judge/)
  })

  it('refuses a policy whose worst case is longer than its budget', () => {
    open(defaultPolicyBytes)
    expect(() => open(defaultPolicyBytes, { budgetMs: 0 })).toThrow(/ms for the largest input/)
  })
})

/** How many instances of a module are made while `work` runs. */
function instancesMadeBy(work: () => void): number {
  const { Instance } = WebAssembly
  let made = 0
  const counting = class extends Instance {
    constructor(...given: ConstructorParameters<typeof Instance>) {
      super(...given)
      made++
    }
  }
  Object.assign(WebAssembly, { Instance: counting })
  try {
    work()
  } finally {
    Object.assign(WebAssembly, { Instance })
  }
  return made
}

function withFile(bytes: Uint8Array, path: string, content: string | Uint8Array): Uint8Array {
  return packBundle({ ...filesOf(bytes), [path]: content })
}

function withModule(bytes: Uint8Array, from: string | readonly number[], to: string | readonly number[]): Uint8Array {
  const binary = (text: string | readonly number[]): Uint8Array => (typeof text === 'string' ? Buffer.from(text) : Uint8Array.from(text))
  return withFile(bytes, 'policy.wasm', patched(readBundle(bytes).wasm, binary(from), binary(to)))
}
