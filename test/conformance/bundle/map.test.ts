import { writeFileSync } from 'node:fs'
import { beforeEach, describe, expect, test } from 'vitest'
import { readBundleMap } from '../../../src/identify/bundle/bundles.ts'
import { MalformedKeys } from '../../../src/identify/jwt/keys.ts'
import { ask, askPeer, BundleRig, Domain } from '../../support/bundle-rig.ts'
import { TestClock } from '../../support/identity-rig.ts'

const clock = new TestClock()
const acme = new Domain('acme.example', clock)
const partner = new Domain('partner.example', clock)

function mapOf(...bundles: readonly (readonly [string, string])[]): string {
  return `{"trust_domains":{${bundles.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}}`
}

describe('[Trust Domain and Bundle §5.1.1] trust_domains', () => {
  test('gives each bundle under its own name, with its own sequence', () => {
    const sequence = '"spiffe_sequence":9007199254740993'
    const read = readBundleMap(mapOf([acme.name, acme.bundle()], [partner.name, partner.bundle().replace('"spiffe_sequence":1', sequence)]))
    expect([...read.keys()]).toEqual(['acme.example', 'partner.example'])
    expect(read.get('acme.example')).toMatchObject({ authorities: [acme.authority.certificate], sequence: 1n })
    expect(read.get('partner.example')).toMatchObject({ authorities: [partner.authority.certificate], sequence: 9007199254740993n })
  })

  test('may be empty', () => {
    expect(readBundleMap('{"trust_domains":{}}').size).toBe(0)
  })

  test.each(['{}', '{"trust_domains":null}', '{"trust_domains":[]}', '{"trust_domains":"x"}', '[]', '', acme.bundle()])(
    'must be there and be an object: %s',
    (text) => {
      expect(() => readBundleMap(text)).toThrow(MalformedKeys)
    },
  )

  test('the refresh hints of the bundles inside count for nothing', () => {
    const read = readBundleMap(mapOf([acme.name, acme.bundle({ spiffe_refresh_hint: 1 })]))
    expect(read.get('acme.example')?.refreshHint).toBeNull()
  })
})

describe('[Trust Domain and Bundle §6.3] a trust domain named twice refuses the map', () => {
  test.each([
    ['plainly', mapOf([acme.name, acme.bundle()], [acme.name, partner.bundle()])],
    [
      'with escapes',
      mapOf([acme.name, acme.bundle()]).replace('"trust_domains":{', String.raw`"trust_domains":{"\u0061cme.example":{"keys":[]},`),
    ],
    ['in a second trust_domains', mapOf([acme.name, acme.bundle()]).replace('{', '{"trust_domains":{},')],
  ])('%s', (_, text) => {
    expect(() => readBundleMap(text)).toThrow(MalformedKeys)
  })
})

describe('[Trust Domain and Bundle §5; Trust Domain and Bundle App. B.1] a source that reads a map', () => {
  let rig: BundleRig
  beforeEach(() => {
    rig = new BundleRig()
    return () => rig.close()
  })

  test('takes the bundle of its trust domain and no other', async () => {
    const [own, other] = [rig.domain('acme.example'), rig.domain('partner.example')]
    const path = rig.file(mapOf([own.name, own.bundle()], [other.name, other.bundle()]))
    const { source } = await rig.source({ trust_domain: other.name, from: { file: path, map: true } })
    expect(source.authorities?.(other.name)).toEqual([other.authority.certificate])
    expect(source.authorities?.(own.name)).toBeNull()
    expect(await askPeer(source, other.peer('/agent'), rig.clock.now())).toBeNull()
  })

  test('believes nobody of it any more when the map no longer names it', async () => {
    const own = rig.domain('acme.example')
    const path = rig.file(mapOf([own.name, own.bundle({ spiffe_sequence: 5 })]))
    const opened = await rig.source({ trust_domain: own.name, from: { file: path, map: true } })
    expect(await ask(opened.source, own.issuer.mint())).toBeNull()
    writeFileSync(path, mapOf([partner.name, partner.bundle()]))
    await opened.poll()
    expect(await ask(opened.source, own.issuer.mint())).toMatchObject({ code: 'identify.rejected' })
    expect(await askPeer(opened.source, own.peer('/agent'), rig.clock.now())).toMatchObject({ code: 'identify.rejected' })
  })

  test('takes a single bundle for no map, and a map for no single bundle', async () => {
    const own = rig.domain('acme.example')
    for (const from of [
      { file: rig.file(own.bundle()), map: true },
      { file: rig.file(mapOf([own.name, own.bundle()])), map: false },
    ])
      expect((await rig.source({ trust_domain: own.name, from })).source.ready()).toBe(false)
  })
})

describe('[Trust Domain and Bundle App. B.1] a map is taken as a whole or not at all', () => {
  test.each([
    ['a bundle without keys', [partner.name, '{}'], 'partner.example'],
    ['a bundle that is none', [partner.name, '[]'], 'partner.example'],
    ['a name in upper case', ['Partner.example', partner.bundle()], 'no trust domain'],
    ['a name with a scheme', ['spiffe://partner.example', partner.bundle()], 'no trust domain'],
    ['a name of nothing', ['', partner.bundle()], 'no trust domain'],
  ] as const)('%s refuses it', (_, bad, why) => {
    expect(() => readBundleMap(mapOf([acme.name, acme.bundle()], bad))).toThrow(why)
  })

  test('a trust domain called __proto__ is one like any other', () => {
    expect([...readBundleMap(mapOf(['__proto__', acme.bundle()])).keys()]).toEqual(['__proto__'])
  })
})
