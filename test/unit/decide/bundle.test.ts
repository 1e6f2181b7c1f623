import * as fc from 'fast-check'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readBundle } from '../../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import { defaultPolicyBytes, filesOf, packBundle, packTar, patched } from '../../support/policy-rig.ts'

const files = filesOf(defaultPolicyBytes)
const changed = (change: Readonly<Record<string, string | Uint8Array>>): Uint8Array => packBundle({ ...files, ...change })

describe('reading a bundle', () => {
  it('gives the module, the manifest and the revision of the committed policy', () => {
    const bundle = readBundle(defaultPolicyBytes)
    expect(bundle.manifest.roots).toEqual(['countersign'])
    expect(bundle.manifest.entrypoints).toEqual(['countersign/decision', 'countersign/task'])
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
