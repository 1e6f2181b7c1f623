import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readBundle } from '../../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import {
  compact,
  kid,
  makeSigner,
  otherScheme,
  part,
  secretSigner,
  signed,
  tokenFor,
  trustIn,
  type Files,
} from '../../support/bundle-signer.ts'
import { packBundle, packTar } from '../../support/policy-rig.ts'

const signer = makeSigner('RS256')
const trust = trustIn(signer, { scope: 'production' })
const claims = { scope: 'production', iat: 1_795_000_000 }

const plain: Files = {
  '.manifest': '{"revision":"r7","roots":["countersign"],"wasm":[{"entrypoint":"countersign/decision","module":"/policy.wasm"}]}',
  'policy.wasm': '\0asm and so on',
  'data.json': '{"countersign":{"limit":1.0,"names":["a","b"]}}',
  'countersign/decision.rego': 'package countersign.decision\n',
  'countersign/roles/data.json': '{"clerk":["read"],"head":["read","refund"]}',
}
const good = signed(plain, { signer, claims })

const without = (name: string): Files => Object.fromEntries(Object.entries(good).filter(([path]) => path !== name))
const changed = (name: string, change: (text: string) => string): Files => ({ ...good, [name]: change(String(good[name])) })
const signatures = (...tokens: unknown[]): Files => ({ ...plain, '.signatures.json': JSON.stringify({ signatures: tokens }) })
const token = tokenFor(plain, { signer, claims })
const [header = '', payload = '', signature = ''] = token.split('.')
const files: Readonly<Record<string, unknown>>[] = JSON.parse(Buffer.from(payload, 'base64url').toString()).files

/** Made again by the very key, but for one thing. */
const resigned = (more: { header?: object; claims?: object }): Files =>
  signatures(compact({ alg: 'RS256', kid, ...more.header }, { files, ...claims, ...more.claims }, signer))

const flipped = (text: string): string => text.replace(/[a-z]/, (letter) => (letter === 'x' ? 'y' : 'x'))

/** What was done, what comes of it, and why it is refused. */
const tampered: Readonly<Record<string, readonly [Files, RegExp]>> = {
  'one byte of the module': [changed('policy.wasm', flipped), /policy.wasm is not what/],
  'one byte of a policy source': [changed('countersign/decision.rego', flipped), /decision\.rego is not what/],
  'one byte of the data': [changed('data.json', (text) => text.replace('"a"', '"c"')), /data\.json is not what/],
  'one byte of data in a folder': [
    changed('countersign/roles/data.json', (text) => text.replace('refund', 'refunds')),
    /roles\/data\.json is not what/,
  ],
  'the revision in the manifest': [changed('.manifest', (text) => text.replace('r7', 'r8')), /\.manifest is not what/],
  'the roots in the manifest': [
    changed('.manifest', (text) => text.replace('["countersign"]', '["countersign","system"]')),
    /\.manifest is not what/,
  ],
  'a number written otherwise': [changed('data.json', (text) => text.replace('1.0', '1.00')), /data\.json is not what/],
  'a member more in the data': [changed('data.json', (text) => text.replace('{"limit"', '{"more":1,"limit"')), /data\.json is not what/],
  'the order of a list': [changed('data.json', (text) => text.replace('"a","b"', '"b","a"')), /data\.json is not what/],
  'a file more': [{ ...good, 'countersign/more.rego': 'package countersign.more\n' }, /not among the files/],
  'data more, in a folder': [{ ...good, 'countersign/more/data.json': '{}' }, /not among the files/],
  'a file less': [without('countersign/decision.rego'), /signed and is not in/],
  'the data left out': [without('data.json'), /signed and is not in/],
  'a file by another name': [
    { ...without('countersign/decision.rego'), 'countersign/other.rego': plain['countersign/decision.rego'] ?? '' },
    /not among the files/,
  ],
  'a folder by another name': [
    {
      ...without('countersign/roles/data.json'),
      'countersign/role/data.json': plain['countersign/roles/data.json'] ?? '',
    },
    /not among the files/,
  ],
  'JSON data as YAML': [{ ...without('data.json'), 'data.yaml': plain['data.json'] ?? '' }, /not among the files/],
  'two files that changed places': [
    {
      ...good,
      'data.json': good['countersign/roles/data.json'] ?? '',
      'countersign/roles/data.json': good['data.json'] ?? '',
    },
    /is not what/,
  ],
  'no signature': [plain, /not signed/],
  'an empty list of signatures': [signatures(), /exactly one JWT/],
  'no list of signatures': [{ ...plain, '.signatures.json': '{}' }, /exactly one JWT/],
  'two signatures': [signatures(token, token), /exactly one JWT/],
  'a signature that is no text': [signatures({ token }), /exactly one JWT/],
  'the signature of another bundle': [
    signed(plain, { signer, claims, files: { ...plain, 'policy.wasm': 'another' } }),
    /policy\.wasm is not what/,
  ],
  'another key of the same name': [signed(plain, { signer: makeSigner('RS256'), claims }), /does not verify/],
  'alg none and no signature': [signatures(`${part(JSON.stringify({ alg: 'none', kid }))}.${payload}.`), /is not RS256/],
  'alg none and the signature': [signatures(`${part(JSON.stringify({ alg: 'none', kid }))}.${payload}.${signature}`), /is not RS256/],
  'the public key as the secret of an HMAC': [signed(plain, { signer: secretSigner('HS256', signer.text), claims }), /is not RS256/],
  'PS256 by the key for RS256': [signed(plain, { signer: otherScheme(signer, 'PS256'), claims }), /is not RS256/],
  'RS512 by the key for RS256': [signed(plain, { signer: otherScheme(signer, 'RS512'), claims }), /is not RS256/],
  'the right signature that says another algorithm': [resigned({ header: { alg: 'PS256' } }), /is not RS256/],
  'the name of a key that is not configured': [resigned({ header: { kid: 'other' } }), /not configured/],
  'no name of a key': [resigned({ header: { kid: '' } }), /names no key/],
  'an extension of the header': [resigned({ header: { crit: ['b64'], b64: false } }), /extensions/],
  'an edited payload': [
    signatures([header, part(Buffer.from(payload, 'base64url').toString().replace('production', 'productive')), signature].join('.')),
    /./,
  ],
  'an edited header': [
    signatures([part(JSON.stringify({ alg: 'RS256', kid, typ: 'jwt' })), payload, signature].join('.')),
    /does not verify/,
  ],
  'a payload of the same bytes in another spelling': [signatures([header, `${payload}=`, signature].join('.')), /not base64url/],
  'a cut signature': [signatures(`${header}.${payload}.${part(Buffer.from(signature, 'base64url').subarray(0, -6))}`), /does not verify/],
  'an empty signature': [signatures(`${header}.${payload}.`), /does not verify/],
  'no third part': [signatures(`${header}.${payload}`), /three parts/],
  'a fourth part': [signatures(`${token}.${signature}`), /three parts/],
  'one bit of the signature': [
    signatures(`${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`),
    /does not verify/,
  ],
  'no scope': [resigned({ claims: { scope: undefined } }), /scope/],
  'another scope': [resigned({ claims: { scope: 'staging' } }), /scope/],
  'a scope that is a list': [resigned({ claims: { scope: ['production'] } }), /scope/],
  'hashes of MD5': [signed(plain, { signer, claims, hash: 'MD5' }), /with a hash that is not/],
  'hashes of SHA-1': [signed(plain, { signer, claims, hash: 'SHA-1' }), /with a hash that is not/],
  'a hash without the name of its algorithm': [
    resigned({ claims: { files: files.map(({ name, hash }) => ({ name, hash })) } }),
    /with a hash that is not/,
  ],
  'hashes that are empty': [resigned({ claims: { files: files.map((file) => ({ ...file, hash: '' })) } }), /is not what/],
  'a payload without files': [resigned({ claims: { files: [] } }), /not among the files/],
  'a file that was signed and is not there': [resigned({ claims: { files: [...files, { ...files[0], name: 'gone.rego' }] } }), /gone/],
  'a file that was signed twice': [resigned({ claims: { files: [...files, files[0]] } }), /signed twice/],
  'names with a leading slash': [
    resigned({ claims: { files: files.map((file) => ({ ...file, name: `/${String(file['name'])}` })) } }),
    /not among the files/,
  ],
  'the signature of a plugin': [{ ...plain, '.signatures.json': JSON.stringify({ signatures: [token], plugin: 'custom' }) }, /plugin/],
}

describe('a signed bundle', () => {
  it('[Countersign: bundle tampering] is read as it was signed', () => {
    expect(readBundle(packBundle(good), trust)).toMatchObject({ revision: 'r7', signature: { keyId: kid, issued: 1_795_000_000_000 } })
  })

  it('[Countersign: bundle tampering] is refused in each of more than twenty ways to change it', () => {
    const ways = Object.entries(tampered)
    expect(ways.length).toBeGreaterThan(50)
    for (const [way, [content, why]] of ways) {
      expect(() => readBundle(packBundle(content), trust), way).toThrow(BundleFault)
      expect(() => readBundle(packBundle(content), trust), way).toThrow(why)
    }
  })

  it('[Countersign: bundle tampering] is refused for its signature and nothing else: unverified, what was changed would be read', () => {
    const unreadable = Object.entries(tampered).filter(([, [content]]) => {
      try {
        return readBundle(packBundle(content)) === null
      } catch {
        return true
      }
    })
    expect(unreadable.map(([way]) => way)).toEqual(['two files that changed places'])
  })

  it('[Countersign: bundle tampering] is refused with any bit of any file turned', () => {
    for (const name of Object.keys(plain)) {
      const bytes = Buffer.from(good[name] ?? '')
      for (let bit = 0; bit < bytes.length * 8; bit += 7) {
        const turned = Buffer.from(bytes)
        turned.writeUInt8(turned.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
        expect(() => readBundle(packBundle({ ...good, [name]: turned }), trust), `${name} bit ${bit}`).toThrow(BundleFault)
      }
    }
  })

  it('[Countersign: bundle tampering] is refused when a file comes twice, the changed one first or last', () => {
    const entries = Object.entries(good)
    const more = ['data.json', '{}'] as const
    for (const twice of [
      [more, ...entries],
      [...entries, more],
      [...entries, ['/data.json', '{}'] as const],
    ]) {
      expect(() => readBundle(gzipSync(packTar(twice)), trust)).toThrow(/there twice/)
    }
    expect(() => readBundle(gzipSync(packTar([...entries, ['sub/.signatures.json', '{}']])), trust)).toThrow(BundleFault)
  })

  it('[Countersign: bundle tampering] keeps its content digest however it is packed, laid out or signed, and loses it with what it says', () => {
    const { content } = readBundle(packBundle(good), trust)
    const spread = {
      ...signed(plain, { signer, claims: { ...claims, iat: 5 } }),
      'data.json': ' {"countersign": {"names":["a","b"],\n"limit":1.0}}',
    }
    const again = readBundle(gzipSync(packTar(Object.entries(spread).toReversed()), { level: 1 }), trust)
    expect(again.content).toBe(content)
    expect(again.digest).not.toBe(readBundle(packBundle(good)).digest)
    for (const name of ['policy.wasm', 'data.json', 'countersign/decision.rego', 'countersign/roles/data.json', '.manifest']) {
      const other = name.endsWith('.rego') || name.endsWith('.wasm') ? 'other' : String(plain[name]).replace(/b"|r7|refund"/, '7"')
      expect(readBundle(packBundle({ ...plain, [name]: other.replace('"7"",', '"7",') })).content, name).not.toBe(content)
    }
  })
})
