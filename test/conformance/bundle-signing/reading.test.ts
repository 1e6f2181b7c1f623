import { describe, expect, it } from 'vitest'
import { readBundle, readFiles } from '../../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import type { Files } from '../../support/bundle-signer.ts'
import { packBundle } from '../../support/policy-rig.ts'

const manifest = (more: object = {}): string => JSON.stringify({ roots: ['countersign', 'lib/eu'], wasm: [], ...more })
const plain: Files = { '.manifest': manifest(), 'policy.wasm': '\0asm' }
const dataOf = (files: Files): string => Buffer.from(readBundle(packBundle({ ...plain, ...files })).data).toString()
const refused = (files: Files, why: RegExp): void => {
  expect(() => readBundle(packBundle({ ...plain, ...files })), String(why)).toThrow(BundleFault)
  expect(() => readBundle(packBundle({ ...plain, ...files })), String(why)).toThrow(why)
}

describe('reading a bundle', () => {
  it('[OPA bundles §file format] joins data at the top and in folders, and keeps every digit', () => {
    const files = {
      'data.json': '{"countersign":{"limit":9007199254740993,"roles":{"clerk":["read"]}}}',
      'countersign/roles/data.json': '{"head":{"most":1.50}}',
      'countersign/names/data.json': '["\\u00e9","<&>"]',
      'lib/eu/data.yaml': 'vat: 0.20\ncountries: [at, de]\n',
    }
    const whole =
      '{"countersign":{"limit":9007199254740993,"names":["é","<&>"],"roles":{"clerk":["read"],"head":{"most":1.50}}},"lib":{"eu":{"countries":["at","de"],"vat":0.2}}}'
    expect(dataOf(files)).toBe(whole)
    expect(dataOf(Object.fromEntries(Object.entries(files).toReversed()))).toBe(whole)
    expect(dataOf({})).toBe('{}')
  })

  it('[OPA bundles §file format] refuses data files that speak of the same thing', () => {
    const one = { 'data.json': '{"countersign":{"roles":{"clerk":1}}}' }
    refused({ ...one, 'countersign/roles/data.json': '{"clerk":1}' }, /"clerk", of which another/)
    refused({ ...one, 'countersign/roles/clerk/data.json': '{"a":1}' }, /"clerk", of which another/)
    refused({ ...one, 'countersign/data.json': '{"roles":[]}' }, /"roles", of which another/)
    refused({ ...one, 'data.yaml': 'countersign:\n  roles:\n    clerk: 2\n' }, /"clerk", of which another/)
    refused({ 'data.json': '[]' }, /data\.json is not an object/)
    refused({ 'data.json': '7' }, /data\.json is not an object/)
    refused({ '.hidden/data.json': '{}' }, /hidden folder/)
  })

  it('[OPA bundles §file format] bounds the depth of a document and the length of its numbers', () => {
    const nested = (levels: number): string => `{"countersign":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
    expect(dataOf({ 'data.json': nested(256) })).toBe(nested(256))
    refused({ 'data.json': nested(257) }, /more than 256 levels/)
    const long = (digits: number): string => `{"countersign":${'1'.repeat(digits)}}`
    expect(dataOf({ 'data.json': long(512) })).toBe(long(512))
    refused({ 'data.json': long(513) }, /more than 512 characters/)
  })

  it('[OPA bundles §file format] refuses every other file', () => {
    for (const path of [
      'README.md',
      'a/.manifest',
      'x.manifest',
      '.manifest.pb',
      'a/policy.wasm',
      'plan.json',
      'a/.signatures.json',
      'roles.json',
      'a/mydata.json',
    ]) {
      refused({ [path]: '{}' }, /the bundle holds/)
    }
  })

  it('[OPA bundles §delta] refuses a delta, at the top or in a folder', () => {
    refused({ 'patch.json': '{"data":[]}' }, /delta/)
    refused({ 'a/patch.json': '{"data":[]}' }, /delta/)
  })

  it('[OPA bundles §manifest] refuses roots that overlap', () => {
    for (const roots of [
      ['a', 'a'],
      ['a', 'a/b'],
      ['a/b', '/a/'],
      ['a', ''],
      ['', '/'],
    ])
      refused({ '.manifest': manifest({ roots }) }, /overlap/)
    for (const roots of [
      ['a', 'b'],
      ['a/b', 'a/c'],
      ['ab', 'a'],
      ['a/b', 'a/bc'],
    ]) {
      expect(readBundle(packBundle({ ...plain, '.manifest': manifest({ roots }) })).manifest.roots).toEqual(roots)
    }
    expect(readBundle(packBundle({ ...plain, '.manifest': manifest({ roots: ['/a/b/'] }) })).manifest.roots).toEqual(['a/b'])
  })

  it('[OPA bundles §manifest] refuses data and entrypoints outside the roots', () => {
    for (const outside of [
      '{"other":1}',
      '{"lib":1}',
      '{"lib":{"us":1}}',
      '{"lib":{}, "countersignx":{}}',
      '{"countersign/x":1}',
      '{"lib":{"eu2":1}}',
    ]) {
      refused({ 'data.json': outside }, /outside the roots/)
    }
    for (const inside of ['{"lib":{}}', '{"lib":{"eu":1}}', '{"countersign":null}']) expect(dataOf({ 'data.json': inside })).toBe(inside)
    const named = (...entrypoints: readonly string[]): Files => ({
      '.manifest': manifest({ wasm: entrypoints.map((entrypoint) => ({ entrypoint, module: '/policy.wasm' })) }),
    })
    refused(named('countersign/decision', 'other/decision'), /"other\/decision" lies outside/)
    refused(named('countersign/decision', 'countersign/decision'), /twice/)
    expect(dataOf(named('countersign/decision', 'lib/eu/vat'))).toBe('{}')
  })

  it('[OPA bundles §manifest] leaves alone what it does not know, and refuses what OPA would take for what it knows', () => {
    expect(dataOf({ '.manifest': manifest({ rego_version: 1, file_rego_versions: { '/a.rego': 0 }, future: {} }) })).toBe('{}')
    refused({ '.manifest': manifest({ Roots: [''] }) }, /"Roots": it is written roots/)
    refused({ '.manifest': manifest({ metadata: { countersign: 7 } }) }, /metadata\.countersign/)
    refused({ '.manifest': `${manifest()} {}` }, /not JSON/)
  })

  it('[OPA bundles §file format] reads of YAML what every reader reads alike', () => {
    const yaml =
      'a: text\nb: "7"\nc: 7\nd: 1.50\ne: 1e3\nf: [true, null, ~]\ng: |\n  one\n  two\nh: {i: 1.2.3, j: 10.0.0.0/8, k: 2001-01-01}\nl: é\nm:\n'
    expect(dataOf({ 'countersign/data.yml': yaml })).toBe(
      '{"countersign":{"a":"text","b":"7","c":7,"d":1.5,"e":1000,"f":[true,null,null],"g":"one\\ntwo\\n","h":{"i":"1.2.3","j":"10.0.0.0/8","k":"2001-01-01"},"l":"é","m":null}}',
    )
    expect(dataOf({ 'countersign/data.yaml': '{"n": 1.50}' })).toBe('{"countersign":{"n":1.50}}')
    for (const word of [
      'yes',
      'No',
      'on',
      'OFF',
      'y',
      'TRUE',
      'Null',
      '012',
      '0x1f',
      '0o17',
      '1_000',
      '12:30',
      '+1',
      '.5',
      '5.',
      '.inf',
      '-.NaN',
      '=',
      '<<',
      '-0',
      '-0.0',
      '1e999',
      '18446744073709551616',
    ]) {
      refused({ 'countersign/data.yaml': `a: ${word}\n` }, /countersign\/data\.yaml: /)
      expect(dataOf({ 'countersign/data.yaml': `a: "${word}"\n` })).toBe(`{"countersign":{"a":"${word}"}}`)
    }
    for (const text of [
      'a: &x 1\n',
      'a: &x [1]\nb: *x\n',
      'a: !!str 1\n',
      'a: !x {}\n',
      'a: 1\na: 2\n',
      '7: a\n',
      'true: a\n',
      '? [a]\n: b\n',
      'a: 1\n---\nb: 1\n',
      'a: [\n',
      '\ufeffa: 1\n',
      '%YAML 1.1\n---\na: 1\n',
      '<<: {a: 1}\n',
      `${'['.repeat(300)}${']'.repeat(300)} #\n`,
    ]) {
      refused({ 'countersign/data.yaml': text }, /countersign\/data\.yaml: /)
    }
    refused({ 'countersign/data.yaml': ' '.repeat(256 * 1024 + 1) }, /larger than 256 KiB/)
  })

  it('[OPA bundles §file format] reads a folder as it reads an archive, within the same bounds', () => {
    const files = (more: Files = {}): Map<string, Uint8Array> =>
      new Map(
        Object.entries({ ...plain, 'data.json': '{"countersign":{"a":1.0}}', ...more }).map(([path, text]) => [path, Buffer.from(text)]),
      )
    const { digest, ...folder } = readFiles(files())
    const { digest: _, ...archive } = readBundle(packBundle(Object.fromEntries(files())))
    expect({ ...folder, revision: '', wasm: '' }).toEqual({ ...archive, revision: '', wasm: '' })
    expect(folder.revision).toBe(digest.slice(0, 12))
    for (const path of ['/data.json', './data.json', 'a/../data.json', 'a//data.json', '', 'ü.rego']) {
      expect(() => readFiles(files({ [path]: '{}' })), path).toThrow(/not a path of a policy file/)
    }
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_unused, index) => [`${index}.rego`, '']))
    expect(() => readFiles(files(many))).toThrow(/more than 1000 files/)
    expect(() => readFiles(files().set('policy.wasm', Buffer.alloc(65 * 1024 * 1024)))).toThrow(/larger than 64 MiB/)
  })
})
