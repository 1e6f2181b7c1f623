import { describe, expect, it } from 'vitest'
import { readBundle, readFiles, type Bundle } from '../../../src/decide/bundle/bundle.ts'
import { canonicalText } from '../../../src/decide/bundle/canonical-tree.ts'
import { readTree } from '../../../src/decide/bundle/json-tree.ts'
import { algorithms, readKey, type Verification } from '../../../src/decide/bundle/key.ts'
import { compact, kid, makeSigner, signed, tokenFor, trustIn, type Files } from '../../support/bundle-signer.ts'
import { packBundle } from '../../support/policy-rig.ts'

const signer = makeSigner('ES256')
const trust = trustIn(signer)
const plain: Files = {
  '.manifest': '{"roots":["countersign"],"wasm":[{"entrypoint":"countersign/decision","module":"/policy.wasm"}]}',
  'policy.wasm': '\0asm',
  'data.json': '{"countersign":{"b":1.50,"a":[1e3,-0,12345678901234567890]}}',
}
const list: readonly object[] = JSON.parse(Buffer.from(tokenFor(plain, { signer }).split('.')[1] ?? '', 'base64url').toString()).files

const read = (files: Files, by: Verification = trust): Bundle => readBundle(packBundle(files), by)
const tokens = (signatures: unknown, more: object = {}): Files => ({
  ...plain,
  '.signatures.json': JSON.stringify({ signatures, ...more }),
})
const by = (header: object, claims: object = {}): Files =>
  tokens([compact({ alg: 'ES256', ...header }, { files: list, ...claims }, signer)])
const data = (text: string): Files => ({ ...signed(plain, { signer }), 'data.json': text })

describe('the signature', () => {
  it('[OPA bundle signing §signatures] is one JWT, and the plugin is none or the default', () => {
    const token = tokenFor(plain, { signer })
    expect(read(tokens([token])).signature).toEqual({ keyId: kid, issued: null })
    expect(read(tokens([token], { plugin: '_default' })).signature).not.toBeNull()
    for (const none of [[], [token, token], [null], token, {}]) expect(() => read(tokens(none))).toThrow(/exactly one JWT/)
    expect(() => read(tokens([token], { plugin: 'vault' }))).toThrow(/plugin/)
  })

  it('[OPA bundle signing §verification configured] is not looked at without verification, and has to be there with it', () => {
    expect(readBundle(packBundle(tokens(['nonsense']))).signature).toBeNull()
    expect(readBundle(packBundle(tokens(['nonsense'])), null).signature).toBeNull()
    expect(() => read(plain)).toThrow(/not signed/)
    expect(() => read(signed(plain, { signer }), { keys: [], keyId: null, scope: null })).toThrow(/not configured/)
  })

  it('[OPA bundle signing §alg] verifies by each algorithm', () => {
    for (const algorithm of algorithms) {
      const own = makeSigner(algorithm)
      expect(read(signed(plain, { signer: own }), trustIn(own)).signature?.keyId, algorithm).toBe(kid)
      expect(() => read(signed(plain, { signer: makeSigner(algorithm) }), trustIn(own)), algorithm).toThrow(/does not verify/)
    }
  })

  it('[OPA bundle signing §alg] is by the algorithm of the key and no other; stricter than OPA, the header has to say so', () => {
    for (const alg of ['HS256', 'RS256', 'ES384', 'none', 'es256', 7, null, undefined]) {
      expect(() => read(by({ alg, kid })), String(alg)).toThrow(/is not ES256/)
    }
  })

  it('[OPA bundle signing §kid] is by the key that is configured, before the one of the header, before the one of the claims', () => {
    const other = makeSigner('ES256')
    const keys = [...trust.keys, readKey({ id: 'other', text: other.text, algorithm: null, scope: null })]
    const any = { keys, keyId: null, scope: null }
    expect(read(by({ kid }, { keyid: 'other' }), any).signature?.keyId).toBe(kid)
    expect(read(by({}, { keyid: kid }), any).signature?.keyId).toBe(kid)
    expect(read(by({ kid: '' }, { keyid: kid }), any).signature?.keyId).toBe(kid)
    expect(read(by({ kid: 'other' }), { ...any, keyId: kid }).signature?.keyId).toBe(kid)
    expect(() => read(by({ kid: 'other' }, { keyid: kid }), any)).toThrow(/does not verify/)
    expect(() => read(by({ kid }), { ...any, keyId: 'other' })).toThrow(/does not verify/)
    expect(() => read(by({ kid }), { ...any, keyId: 'third' })).toThrow(/"third", which is not configured/)
    expect(() => read(by({}), any)).toThrow(/names no key/)
    for (const odd of [7, null, [kid]]) expect(() => read(by({ kid: odd }), any)).toThrow(/not a text/)
  })

  it('[OPA bundle signing §scope] has exactly the scope that is configured, else that of its key, else none', () => {
    const keys = [readKey({ id: kid, text: signer.text, algorithm: null, scope: 'write' })]
    const scoped = (scope: string | null): Verification => ({ keys, keyId: null, scope })
    const [none, write, deploy] = [by({ kid }), by({ kid }, { scope: 'write' }), by({ kid }, { scope: 'deploy' })]
    expect([read(none), read(write, scoped(null)), read(deploy, scoped('deploy'))]).toHaveLength(3)
    for (const files of [none, deploy, by({ kid }, { scope: '' }), by({ kid }, { scope: 'WRITE' }), by({ kid }, { scope: null })]) {
      expect(() => read(files, scoped(null))).toThrow(/scope/)
    }
    expect(() => read(write)).toThrow(/scope/)
    expect(() => read(write, scoped('deploy'))).toThrow(/scope/)
  })

  it('[OPA bundle signing §iat] gives the time of its signature in ms and does not judge it', () => {
    for (const [iat, issued] of [
      [1_795_000_000, 1_795_000_000_000],
      [0, 0],
      [9_000_000_000, 9_000_000_000_000],
    ]) {
      expect(read(by({ kid }, { iat })).signature?.issued).toBe(issued)
    }
    for (const iat of ['1795000000', 1.5, -1, 1e300, null]) expect(() => read(by({ kid }, { iat }))).toThrow(/iat/)
  })

  it('[Countersign: bundle signature strictness] is refused with exp or nbf, which nobody would keep', () => {
    for (const claim of ['exp', 'nbf']) expect(() => read(by({ kid }, { [claim]: 1 }))).toThrow(/exp or nbf/)
  })

  it('[Countersign: bundle signature strictness] is refused with names that OPA would read in another case', () => {
    expect(() => read(by({ kid }, { Scope: '' }))).toThrow(/"Scope": it is written scope/)
    expect(() => read(by({ kid }, { FILES: [] }))).toThrow(/"FILES"/)
    expect(() => read(tokens([tokenFor(plain, { signer })], { Signatures: [] }))).toThrow(/"Signatures"/)
  })
})

describe('the files', () => {
  it('[OPA bundle signing §files] are those of the payload, no more and no fewer, by names without a leading slash', () => {
    const good = signed(plain, { signer })
    const slashed = Object.fromEntries(Object.entries(good).map(([path, content]) => [`/${path}`, content]))
    expect(read(slashed).signature?.keyId).toBe(kid)
    expect(() => read({ ...good, 'a.rego': '' })).toThrow(/a\.rego is not among/)
    const { 'data.json': _, ...fewer } = good
    expect(() => read(fewer)).toThrow(/"data\.json" was signed and is not/)
    expect(() => read(by({ kid }, { files: undefined }))).toThrow(/not among/)
    for (const files of [{}, 'data.json', null]) expect(() => read(by({ kid }, { files }))).toThrow(/not a list/)
    for (const file of [null, 'data.json', {}, { name: 7, hash: '', algorithm: 'SHA-256' }]) {
      expect(() => read(by({ kid }, { files: [...list, file] }))).toThrow(/no name or no hash/)
    }
  })

  it('[OPA bundle signing §hash] have the hash of the payload, in either case', () => {
    for (const hash of ['SHA-256', 'SHA-384', 'SHA-512', 'SHA-512-256'])
      expect(read(signed(plain, { signer, hash })).signature).not.toBeNull()
    const upper = list.map((file) => ({ ...file, hash: String(Object(file).hash).toUpperCase() }))
    expect(read(by({ kid }, { files: upper })).signature).not.toBeNull()
  })

  it('[Countersign: bundle signature strictness] are refused by a weak or unknown hash, or signed twice', () => {
    for (const hash of ['MD5', 'SHA-1', 'SHA-224', 'SHA-512-224'])
      expect(() => read(signed(plain, { signer, hash }))).toThrow(/with a hash that/)
    for (const algorithm of ['sha256', 'SHA256', '', 'constructor', undefined]) {
      expect(() => read(by({ kid }, { files: list.map((file) => ({ ...file, algorithm })) }))).toThrow(/with a hash that/)
    }
    expect(() => read(by({ kid }, { files: [...list, list[0]] }))).toThrow(/signed twice/)
  })

  it('[OPA bundle signing §structured files] verify after white space and the order of keys changed', () => {
    const spread = '\n{ "countersign" : {\t"a": [ 1e3, -0,\r\n12345678901234567890 ], "b":1.50 } }\n'
    expect(Buffer.from(read(data(spread)).data).toString()).toBe('{"countersign":{"a":[1e3,-0,12345678901234567890],"b":1.50}}')
    const escaped = '{"counter\\u0073ign":{"b":1.50,"a":[1e3,-0,12345678901234567890]}}'
    expect(read(data(escaped)).content).toBe(read(data(spread)).content)
  })

  it('[OPA bundle signing §structured files] have a canonical form in the order of UTF-8 bytes, with the escapes that Go writes', () => {
    const written = '{"\\ud83d\\ude00":1,"\ue000":2,"b":[],"a":{},"\\u0041":"<\\u0026>\\/\u2028\\u2029\\u0000\\u000A\\u001F\u007f\\""}'
    const canonical = '{"A":"<&>/\\u2028\\u2029\\u0000\\n\\u001f\u007f\\"","a":{},"b":[],"\ue000":2,"\u{1f600}":1}'
    expect(canonicalText(readTree(Buffer.from(written), 'data.json'))).toBe(canonical)
  })

  it('[OPA bundle signing §structured files] do not verify after a number was written otherwise', () => {
    const written = String(plain['data.json'])
    for (const [one, other] of [
      ['1.50', '1.5'],
      ['1e3', '1000'],
      ['1e3', '1E3'],
      ['-0', '0'],
      ['12345678901234567890', '12345678901234567891'],
    ]) {
      expect(() => read(data(written.replace(one ?? '', other ?? ''))), other).toThrow(/not what was signed/)
    }
  })

  it('[Countersign: bundle signature strictness] are refused with a key twice, a lone surrogate or a byte order mark, whatever was signed', () => {
    const odd = [
      '{"countersign":{},"countersign":{}}',
      '{"countersign":"\\ud800"}',
      '\ufeff{}',
      '{"a":1,"\\u0061":2}',
      '{} {}',
      '{"a":01}',
      "{'a':1}",
    ]
    for (const text of odd) expect(() => read(data(text)), text).toThrow(/not JSON/)
  })

  it('[OPA bundle signing §files] of a folder are verified as those of an archive', () => {
    const files = new Map(Object.entries(signed(plain, { signer })).map(([path, content]) => [path, Buffer.from(content)]))
    const folder = readFiles(files, trust)
    expect(folder).toMatchObject({ signature: { keyId: kid }, content: read(signed(plain, { signer })).content })
    expect(() => readFiles(new Map([...files, ['policy.wasm', Buffer.from('\0asn')]]), trust)).toThrow(/not what was signed/)
    expect(readFiles(new Map([...files].toReversed()), trust).digest).toBe(folder.digest)
    expect(readFiles(new Map([...files, ['a.rego', Buffer.from('')]])).digest).not.toBe(folder.digest)
  })
})
