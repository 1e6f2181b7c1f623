import * as fc from 'fast-check'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readBundle, readFiles } from '../../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import { orderOf } from '../../../src/decide/bundle/order.ts'
import { compact, kid, makeSigner, trustIn } from '../../support/bundle-signer.ts'
import { defaultPolicyBytes, filesOf, packBundle, packTar, patched } from '../../support/policy-rig.ts'

const files = filesOf(defaultPolicyBytes)
const changed = (change: Readonly<Record<string, string | Uint8Array>>): Uint8Array => packBundle({ ...files, ...change })

describe('reading a bundle', () => {
  it('gives the module, the manifest and the revision of the committed policy', () => {
    const bundle = readBundle(defaultPolicyBytes)
    expect(bundle.manifest.roots).toEqual(['countersign'])
    expect(bundle.manifest.entrypoints).toEqual([
      'countersign/continue',
      'countersign/decision',
      'countersign/response',
      'countersign/task',
    ])
    expect(bundle.revision).toMatch(/^[0-9a-f]{12}$/)
    expect(bundle.digest).toMatch(/^[0-9a-f]{64}$/)
    expect(Buffer.from(bundle.wasm.subarray(0, 4)).toString('latin1')).toBe('\0asm')
    expect(Buffer.from(bundle.data).toString().trim()).toBe('{}')
  })

  it('takes names with and without a leading slash', () => {
    const slashed = Object.fromEntries(Object.entries(files).map(([path, bytes]) => [`/${path}`, bytes]))
    expect(readBundle(packBundle(slashed)).wasm).toEqual(readBundle(defaultPolicyBytes).wasm)
  })

  it('keeps data as it was written, digit by digit', () => {
    const bundle = readBundle(changed({ 'data.json': '{"countersign": {"n": 9007199254740993}}' }))
    expect(Buffer.from(bundle.data).toString()).toBe('{"countersign":{"n":9007199254740993}}')
  })

  it('takes the beginning of the digest for the revision when the manifest names none', () => {
    const bundle = readBundle(changed({ '.manifest': '{"roots":["countersign"],"wasm":[]}' }))
    expect(bundle.revision).toBe(bundle.digest.slice(0, 12))
  })

  it('refuses what is not a whole bundle of known files', () => {
    const { 'policy.wasm': _, ...withoutModule } = files
    const { '.manifest': __, ...withoutManifest } = files
    const refused: readonly (readonly [Uint8Array, RegExp])[] = [
      [Buffer.from('not gzip'), /cannot be unpacked/],
      [gzipSync('x'.repeat(600)), /cannot be unpacked/],
      [packBundle(withoutModule), /no compiled module/],
      [packBundle(withoutManifest), /no manifest/],
      [changed({ 'patch.json': '{}' }), /delta/],
      [changed({ 'extra.txt': '' }), /extra\.txt/],
      [changed({ 'roles/data.json': '{}' }), /"roles", outside the roots/],
      [changed({ 'data.json': '[]' }), /not an object/],
      [changed({ 'data.json': '{' }), /not JSON/],
      [changed({ '.manifest': 'null' }), /not an object/],
      [changed({ '.manifest': '{"roots":"x","wasm":[]}' }), /roots/],
      [changed({ '.manifest': '{"revision":7,"wasm":[]}' }), /revision/],
      [changed({ '.manifest': '{"roots":["countersign"]}' }), /no entrypoints/],
      [changed({ '.manifest': '{"wasm":[{"entrypoint":"a","module":"/other.wasm"}]}' }), /another module/],
    ]
    for (const [bytes, message] of refused) expect(() => readBundle(bytes)).toThrow(message)
  })

  it('refuses more than 64 MiB unpacked, before it is unpacked', () => {
    expect(() => readBundle(gzipSync(Buffer.alloc(65 * 1024 * 1024)))).toThrow(BundleFault)
  })
})

describe('reading an archive', () => {
  const entry = ['policy.wasm', 'x'] as const

  it('refuses names that climb, repeat, or are none', () => {
    for (const path of ['../policy.wasm', 'a/../policy.wasm', 'a//b', './../x', 'a\\b', 'a\nb', 'ü']) {
      expect(() => readBundle(gzipSync(packTar([[path, '']]))), path).toThrow(BundleFault)
    }
    expect(() => readBundle(gzipSync(packTar([entry, ['/policy.wasm', 'y']])))).toThrow(/there twice/)
  })

  it('refuses links, devices and extended headers', () => {
    for (const kind of ['1', '2', '3', '4', '6', '7', 'x', 'g', 'L', 'K']) {
      expect(() => readBundle(gzipSync(packTar([entry], kind))), kind).toThrow(/neither a plain file nor a folder/)
    }
  })

  it('refuses a header that was changed, a file that is cut, and bytes after the end', () => {
    const tar = packTar([entry])
    expect(() => readBundle(gzipSync(patched(tar, 'policy.wasm', 'policy.wasn')))).toThrow(/checksum/)
    expect(() => readBundle(gzipSync(tar.subarray(0, 512)))).toThrow(/cut short/)
    expect(() => readBundle(gzipSync(Buffer.concat([tar, Buffer.from('more')])))).toThrow(/after the end/)
  })

  it('refuses a thousand files and one', () => {
    const many = Array.from({ length: 1001 }, (_, index) => [`${index}.rego`, ''] as const)
    expect(() => readBundle(gzipSync(packTar(many)))).toThrow(/1000 entries/)
  })

  it('throws nothing but BundleFault, whatever bytes it is given', () => {
    const tar = gunzipSync(defaultPolicyBytes).subarray(0, 4096)
    fc.assert(
      fc.property(fc.nat({ max: 4095 }), fc.nat({ max: 255 }), (at, byte) => {
        const bytes = Buffer.from(tar)
        bytes[at] = byte
        expect(() => readBundle(gzipSync(bytes, { level: 1 }))).toThrow(BundleFault)
      }),
    )
  })
})

describe('hostile content', () => {
  const signer = makeSigner('EdDSA')
  const trust = trustIn(signer)
  const json = fc.oneof(
    fc.jsonValue({ depthSize: 'large' }).map((value) => JSON.stringify(value)),
    fc.string({
      unit: fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        '"',
        ':',
        ',',
        '\\',
        'u',
        '0',
        '-',
        '1',
        'e',
        '.',
        ' ',
        '&a',
        '*a',
        '- ',
        '\n',
        '!',
        '?',
        '|',
        '\ud800',
      ),
    }),
    fc.string({ unit: 'binary' }),
  )
  const token = fc.oneof(
    fc
      .tuple(
        fc.record({ alg: fc.constantFrom('EdDSA', 'none', 7), kid: fc.constantFrom(kid, 'x', null) }, { requiredKeys: [] }),
        fc.object(),
      )
      .map(([header, claims]) => compact(header, claims, signer)),
    fc
      .record({ files: fc.jsonValue(), scope: fc.jsonValue(), iat: fc.jsonValue(), keyid: fc.jsonValue() }, { requiredKeys: [] })
      .map((claims) => compact({ alg: 'EdDSA', kid }, claims, signer)),
    fc.array(fc.oneof(json, fc.base64String()), { maxLength: 4 }).map((parts) => parts.join('.')),
  )
  const signatures = fc.oneof(
    json,
    fc.array(fc.oneof(token, fc.jsonValue()), { maxLength: 2 }).map((list) => JSON.stringify({ signatures: list })),
  )
  const path = fc.oneof(
    fc.constantFrom(
      'data.json',
      'data.yaml',
      'a/data.json',
      'a/b/data.yml',
      '.manifest',
      'policy.wasm',
      '__proto__/data.json',
      'constructor/data.json',
    ),
    fc.string(),
  )
  const manifest = fc
    .record({ revision: fc.jsonValue(), roots: fc.jsonValue(), wasm: fc.jsonValue(), metadata: fc.jsonValue() }, { requiredKeys: [] })
    .map((value) => JSON.stringify(value))
  const content = fc
    .tuple(fc.array(fc.tuple(path, json), { maxLength: 4 }), manifest, signatures)
    .map(
      ([some, own, signature]) =>
        new Map(
          Object.entries({ ...Object(Object.fromEntries(some)), '.manifest': own, 'policy.wasm': 'x', '.signatures.json': signature }).map(
            ([name, text]) => [name, Buffer.from(String(text))] as const,
          ),
        ),
    )

  it('throws nothing but BundleFault, verified or not', () => {
    fc.assert(
      fc.property(content, fc.constantFrom(null, trust), (hostile, by) => {
        try {
          readFiles(hostile, by)
        } catch (error) {
          expect(error).toBeInstanceOf(BundleFault)
        }
      }),
      { numRuns: 1500 },
    )
  })

  it('costs little when it is deep, long or never closed', () => {
    for (const text of [
      '['.repeat(1e6),
      '{"a":'.repeat(1e6),
      '"\\'.repeat(1e6),
      '1'.repeat(1e6),
      ' '.repeat(1e6),
      '- '.repeat(1e5),
      'a: &a '.repeat(3e4),
      '? '.repeat(1e5),
    ]) {
      for (const name of ['data.json', 'data.yaml', '.signatures.json', '.manifest']) {
        const hostile = new Map(
          Object.entries({ '.manifest': '{"wasm":[]}', 'policy.wasm': 'x', [name]: text }).map(([at, all]) => [at, Buffer.from(all)]),
        )
        expect(() => readFiles(hostile, name === '.signatures.json' ? trust : null), `${name}: ${text.slice(0, 9)}`).toThrow(BundleFault)
      }
    }
  })

  it('does not take __proto__ for anything but a name', () => {
    const bundle = readBundle(
      changed({
        'data.json': '{"countersign":{"__proto__":{"a":1}}}',
        '.manifest':
          '{"roots":["countersign"],"wasm":[],"__proto__":{"revision":"x"},"metadata":{"__proto__":{"countersign":{"serial":9}}}}',
      }),
    )
    expect(Buffer.from(bundle.data).toString()).toBe('{"countersign":{"__proto__":{"a":1}}}')
    expect([bundle.manifest.revision, orderOf(bundle)]).toEqual(['', null])
    expect(Object.getPrototypeOf({})).toBe(Object.prototype)
  })
})
