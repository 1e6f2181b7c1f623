import { describe, expect, it } from 'vitest'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import { Overdue, within } from '../../../src/decide/deadline.ts'
import { entrypoints } from '../../../src/decide/engine.ts'
import { mostInputText } from '../../../src/decide/input-text.ts'
import { makeSlow } from '../../../src/decide/slow.ts'
import { worstInputs } from '../../../src/decide/worst-case.ts'
import { jsonCaps, readJson } from '../../../src/match/json.ts'
import { allowedInput, builtinsPolicyBytes, defaultPolicyBytes, filesOf, openHost, packBundle, quietLog } from '../../support/policy-rig.ts'
import { constant, forever, wasmModule } from '../../support/wasm-module.ts'

/** The default policy with more in its manifest. */
function withMetadata(countersign: unknown, bytes = defaultPolicyBytes): Uint8Array {
  const files = filesOf(bytes)
  const manifest = JSON.parse(Buffer.from(files['.manifest'] ?? '').toString())
  return packBundle({ ...files, '.manifest': JSON.stringify({ ...manifest, metadata: { countersign } }) })
}

describe('self-tests', () => {
  const deny = { entrypoint: 'countersign/decision', input: { v: 1 }, effect: 'deny' }
  const refused = (list: unknown, message: RegExp): void => {
    expect(() => openHost(withMetadata({ selftest: list }))).toThrow(BundleFault)
    expect(() => openHost(withMetadata({ selftest: list }))).toThrow(message)
  }

  it('that come out as they say let the bundle judge', () => {
    openHost(withMetadata({ selftest: [deny, { ...deny, entrypoint: 'countersign/task' }] })).close()
    openHost(withMetadata({ serial: 3 })).close()
  })

  it('that come out otherwise are named', () => {
    refused([deny, { ...deny, effect: 'allow' }], /selftest 1: countersign\/decision says deny, its author "allow"/)
  })

  it('hold without an operator’s settings, which may refuse more', () => {
    const settings = { freeze: [{ from: 0, until: 4_000_000_000_000, effects: ['read'], effect: 'deny', reason: 'all year' }] }
    const host = openHost(defaultPolicyBytes, { settings })
    expect(host.evaluate('countersign/decision', JSON.stringify(allowedInput()))).toMatchObject({ effect: 'deny' })
    host.close()
  })

  it('hold at least one deny', () => {
    refused([], /no deny/)
    refused([{ ...deny, effect: 'allow' }], /no deny/)
  })

  it('try what has an effect and is answered', () => {
    refused([deny, { ...deny, entrypoint: 'system/log/mask' }], /selftest 1 names no entrypoint/)
    refused([{ ...deny, entrypoint: 'countersign/nothing' }], /does not answer countersign\/nothing/)
  })

  it('are not satisfied by an answer that is no decision', () => {
    expect(() => openHost(withMetadata({ selftest: [deny] }, builtinsPolicyBytes))).toThrow(/says no well-formed decision/)
  })
})

describe('settings', () => {
  const policy = (data: string, settings: Record<string, unknown>) =>
    openHost(packBundle({ ...filesOf(builtinsPolicyBytes), 'data.json': data }), { settings })
  const seen = (data: string, settings: Record<string, unknown>): unknown => {
    const host = policy(data, settings)
    const answer = host.evaluate('countersign/decision', '{"call":"settings"}') as { gives: unknown[] }
    host.close()
    return answer.gives[0]
  }

  it('stand where rules read them, each key instead of the bundle’s', () => {
    expect(seen('{}', { limit: 5, list: ['a'] })).toEqual({ limit: 5, list: ['a'] })
    expect(seen('{"countersign":{"settings":{"limit":{"a":1},"kept":true}}}', { limit: { b: 2 } })).toEqual({ limit: { b: 2 }, kept: true })
    expect(seen('{"countersign":{"settings":{"limit":1}}}', {})).toEqual({ limit: 1 })
  })

  it('leave the rest of the data as it was, digit for digit', () => {
    const data =
      ' { "countersign" : {"other":[1,{"a":"}\\"]"},12345678901234567890.10], "settings":{"kept":"\\u007b,:","big":9007199254740993} } } '
    expect(seen(data, { __proto__: null, own: 1 })).toEqual({ kept: '{,:', big: 9007199254740992, own: 1 })
    // the engine has all digits; only reading its answer loses them
    const host = policy(data, { own: 1 })
    expect(host.evaluate('countersign/decision', '{"call":"setting","args":["big"]}')).toEqual({
      effect: 'deny',
      gives: ['9007199254740993'],
    })
    host.close()
  })

  it('have a digest of their canonical text', () => {
    const one = policy('{}', { a: 1, b: 2 })
    const other = policy('{}', { b: 2, a: 1 })
    const none = openHost(builtinsPolicyBytes)
    expect(one.settingsDigest).toMatch(/^[0-9a-f]{64}$/)
    expect(other.settingsDigest).toBe(one.settingsDigest)
    expect(none.settingsDigest).toBeNull()
    for (const host of [one, other, none]) host.close()
  })

  it('are refused where they cannot stand', () => {
    expect(() => policy('{"countersign":1}', { a: 1 })).toThrow(/countersign of data.json is not an object/)
    expect(() => policy('{"countersign":{"settings":[]}}', { a: 1 })).toThrow(/countersign.settings of data.json is not an object/)
    expect(() => policy('{}', { a: NaN })).toThrow(BundleFault)
    const files = { ...filesOf(builtinsPolicyBytes), '.manifest': '{"roots":["countersign/decision","countersign/task"],"wasm":[]}' }
    expect(() => openHost(packBundle(files), { settings: { a: 1 } })).toThrow(/no root countersign/)
  })
})

describe('the worst inputs', () => {
  it('are as long as an input may be, and no longer', () => {
    for (const entrypoint of entrypoints) {
      for (const input of worstInputs(entrypoint)) {
        expect(input.length).toBeLessThan(mostInputText)
        if (entrypoint === 'countersign/decision') expect(input.length).toBeGreaterThan(mostInputText * 0.8)
        expect(() => JSON.parse(input), entrypoint).not.toThrow()
      }
    }
  })

  it('hold bodies that the reader of bodies takes at its caps, so that a call can be as bad', () => {
    for (const input of worstInputs('countersign/decision')) {
      const { parsed } = JSON.parse(input).request.body
      expect(readJson(Buffer.from(JSON.stringify(parsed)), jsonCaps).beyond).toBeNull()
    }
  })

  it('keep the rest within what an input may hold besides its body', () => {
    for (const input of worstInputs('countersign/decision')) {
      const { request, ...rest } = JSON.parse(input)
      expect(JSON.stringify({ ...rest, request: { ...request, body: null } }).length).toBeLessThan(65_536)
    }
  })
})

describe('the budget', () => {
  const bundle = (body: readonly number[]): Uint8Array =>
    packBundle({ '.manifest': '{"roots":["countersign"],"wasm":[]}', 'policy.wasm': wasmModule({ bodies: { opa_eval: body } }) })
  /** Counts down from `turns` when the input is longer than 1 KiB. */
  const slow = (turns: number): number[] => {
    const whenLong = [0x20, 0x04, ...constant(1024), 0x4b, 0x04, 0x40]
    const loop = [...constant(turns), 0x21, 0x00, 0x03, 0x40, 0x20, 0x00, ...constant(1), 0x6b, 0x22, 0x00, 0x0d, 0x00, 0x0b]
    return [...whenLong, ...loop, 0x0b, ...constant(8192)]
  }

  it('lets a policy pass that is short at its worst', () => {
    openHost(bundle(slow(10))).close()
  })

  it('refuses one that takes longer, and says how long', () => {
    expect(() => openHost(bundle(slow(400_000_000)), { budgetMs: 20 })).toThrow(
      /countersign\/decision (takes \d+ ms for the largest input; it must take less than 20 ms|cannot judge .*interrupted)/,
    )
  })

  it('interrupts one that never ends for a large input', () => {
    expect(() => openHost(bundle([0x20, 0x04, ...constant(1024), 0x4b, 0x04, 0x40, ...forever, 0x0b, ...constant(8192)]))).toThrow(
      /interrupted/,
    )
  })

  it('is measured once for a bundle', () => {
    const log = quietLog()
    for (let n = 0; n < 3; n++) openHost(bundle(slow(11)), { log }).close()
    expect(log.lines.filter(({ message }) => message.includes('was measured'))).toHaveLength(1)
  })
})

describe('what is run within a time', () => {
  it('gives what it gives, and throws what it throws', () => {
    expect(within(1000, () => [1])).toEqual([1])
    expect(() =>
      within(1000, () => {
        throw new RangeError('own')
      }),
    ).toThrow(RangeError)
  })

  it('is interrupted', () => {
    expect(() =>
      within(20, () => {
        for (;;);
      }),
    ).toThrow(Overdue)
    expect(within(1000, () => 'next')).toBe('next')
  })
})

describe('a slow evaluation', () => {
  it('is counted each time and told once a minute and entrypoint', () => {
    const told: object[] = []
    const counted: string[] = []
    let now = 1_000_000
    const slow = makeSlow({
      budget: 50,
      clock: () => now,
      log: { warn: (fields) => void told.push(fields) },
      count: (entrypoint) => void counted.push(entrypoint),
    })
    expect(slow.above).toBe(50e6)
    for (let n = 0; n < 3; n++) slow.found('countersign/decision', 'r', 60e6)
    slow.found('countersign/task', 'r', 60e6)
    now += 60_000
    slow.found('countersign/decision', 'r', 70e6)
    expect(counted).toHaveLength(5)
    expect(told).toMatchObject([
      { code: 'CS1711', entrypoint: 'countersign/decision', ms: 60, budget: 50 },
      { code: 'CS1711', entrypoint: 'countersign/task' },
      { code: 'CS1711', entrypoint: 'countersign/decision', ms: 70 },
    ])
  })
})
