import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { readBundle, readFiles } from '../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../src/decide/bundle/fault.ts'
import { algorithms, readKey, type Verification } from '../../src/decide/bundle/key.ts'
import { makeSigner, signed, trustIn, type Files, type Signer } from '../support/bundle-signer.ts'
import { filesOf, packBundle } from '../support/policy-rig.ts'

const opa = join(import.meta.dirname, '../../.engines/bin/opa')
const seed = 20_261_122

let scratch = ''
let serial = 0

beforeAll(() => {
  if (!existsSync(opa)) throw new Error('opa is not installed: run `npm run engines`')
  scratch = mkdtempSync(join(tmpdir(), 'countersign-engines-'))
})

afterAll(() => rmSync(scratch, { recursive: true }))

const source: Files = {
  '.manifest': '{"roots":["countersign"],"metadata":{"countersign":{"serial":12}}}',
  'countersign/decision.rego': 'package countersign.decision\n\ndefault effect := "deny"\n',
  'countersign/limits/data.json':
    '{"b": 1.50, "a": [1e3, -0, 12345678901234567890], "<&>\\u2028": "\\b\\f\\u001f\\u007f\\ue000\\ud83d\\ude00"}',
}

/** A folder of its own with these files. */
function folder(files: Files): string {
  const root = join(scratch, `folder-${serial++}`)
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return root
}

function run(args: readonly string[], cwd = scratch): void {
  execFileSync(opa, args, { cwd, stdio: 'pipe', encoding: 'utf8' })
}

function keyFile(text: string): string {
  const path = join(scratch, `key-${serial++}`)
  writeFileSync(path, text)
  return path
}

/** What `opa build` makes of the source. */
function built(signer: Signer, more: readonly string[] = []): Uint8Array {
  const bundle = join(scratch, `bundle-${serial++}.tar.gz`)
  const signing = ['--signing-alg', signer.algorithm, '--signing-key', keyFile(signer.own)]
  run(['build', '-b', '.', '-t', 'wasm', '-e', 'countersign/decision/effect', ...signing, ...more, '-o', bundle], folder(source))
  return readFileSync(bundle)
}

/** The files with what `opa sign` makes of them. */
function signedByOpa(files: Files, signer: Signer): Files {
  const root = folder(files)
  run(['sign', '-b', '.', '--signing-alg', signer.algorithm, '--signing-key', keyFile(signer.own)], root)
  return { ...files, '.signatures.json': readFileSync(join(root, '.signatures.json')) }
}

/** Whether the real engine verifies the bundle. */
function opaTakes(bundle: Uint8Array, signer: Signer, keyId: string, scope = ''): boolean {
  const path = join(scratch, `bundle-${serial++}.tar.gz`)
  writeFileSync(path, bundle)
  const verifying = ['--verification-key', keyFile(signer.text), '--verification-key-id', keyId, '--scope', scope]
  try {
    run(['build', '-b', path, ...verifying, '--signing-alg', signer.algorithm, '--signing-key', keyFile(signer.own), '-o', `${path}.out`])
    return true
  } catch (error) {
    const said = String(Object(error).stderr) + String(Object(error).stdout)
    if (!/verif|digest mismatch|not included in bundle signature|specified in bundle signatures|scope|JWT|signature/i.test(said))
      throw error
    return false
  }
}

function weTake(bundle: Uint8Array, trust: Verification): boolean {
  try {
    return readBundle(bundle, trust).signature !== null
  } catch (error) {
    if (!(error instanceof BundleFault)) throw error
    return false
  }
}

const trustAs = (id: string, { text, algorithm }: Signer, more: Partial<Verification> = {}): Verification => ({
  keys: [readKey({ id, text, algorithm, scope: null })],
  keyId: null,
  scope: null,
  ...more,
})

describe('bundles that opa builds and signs', () => {
  it('verify here by every algorithm that both have', () => {
    for (const algorithm of algorithms) {
      const signer = makeSigner(algorithm)
      const bundle = built(signer)
      expect(readBundle(bundle, trustAs('default', signer)), algorithm).toMatchObject({
        signature: { keyId: 'default', issued: null },
        manifest: { entrypoints: ['countersign/decision/effect'], metadata: { countersign: { serial: 12 } } },
      })
      expect(() => readBundle(bundle, trustAs('default', makeSigner(algorithm))), algorithm).toThrow(/does not verify/)
    }
  })

  it('keep the digits of their data', () => {
    const signer = makeSigner('ES256')
    const { data } = readBundle(built(signer), trustAs('default', signer))
    expect(Buffer.from(data).toString()).toContain('"a":[1e3,-0,12345678901234567890],"b":1.50')
  })

  it('verify here with the claims of a file: key id, scope and time', () => {
    const signer = makeSigner('RS256')
    const claims = keyFile('{"keyid":"release","scope":"production","iat":1795000000,"iss":"ci"}')
    const bundle = built(signer, ['--claims-file', claims])
    expect(readBundle(bundle, trustAs('release', signer, { scope: 'production' })).signature).toEqual({
      keyId: 'release',
      issued: 1_795_000_000_000,
    })
    expect(() => readBundle(bundle, trustAs('release', signer))).toThrow(/scope/)
    expect(opaTakes(bundle, signer, 'release', 'production')).toBe(true)
    expect(opaTakes(bundle, signer, 'release')).toBe(false)
  })

  it('verify here as a folder that opa signed in place', () => {
    const signer = makeSigner('EdDSA')
    const files = signedByOpa({ ...source, 'policy.wasm': '\0asm', '.manifest': '{"roots":["countersign"],"wasm":[]}' }, signer)
    const read = new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]))
    expect(readFiles(read, trustAs('k', signer, { keyId: 'k' })).signature?.keyId).toBe('k')
  })
})

describe('generated data', () => {
  const signer = makeSigner('ES256')
  const trust = trustAs('k', signer, { keyId: 'k' })
  const rest: Files = {
    '.manifest': '{"roots":["countersign"],"wasm":[]}',
    'policy.wasm': '\0asm',
    'countersign/decision.rego': 'package countersign.decision\n',
  }
  const folders = (texts: readonly string[], file: string): Files =>
    Object.fromEntries(texts.map((text, index) => [`countersign/p${index}/${file}`, text]))

  it('that opa signed verifies here, whatever its numbers, texts, escapes and order', () => {
    const files = signedByOpa({ ...rest, ...folders(fc.sample(jsonText(), { numRuns: 800, seed }), 'data.json') }, signer)
    expect(readBundle(packBundle(files), trust).signature).not.toBeNull()
  })

  it('with one byte changed is refused, or says the same to opa too', () => {
    const texts = fc.sample(jsonText(), { numRuns: 60, seed: seed + 1 })
    const files = signedByOpa({ ...rest, ...folders(texts, 'data.json') }, signer)
    let refused = 0
    const taken: string[] = []
    for (const [at, bit] of fc.sample(fc.tuple(fc.nat(), fc.nat({ max: 7 })), { numRuns: 400, seed })) {
      const index = at % texts.length
      const path = `countersign/p${index}/data.json`
      const bytes = Buffer.from(texts[index] ?? '')
      const byte = Math.floor(at / texts.length) % bytes.length
      bytes.writeUInt8(bytes.readUInt8(byte) ^ (1 << bit), byte)
      const changed = { ...files, [path]: bytes }
      if (!weTake(packBundle(changed), trust)) refused++
      else if (!opaTakes(packBundle(changed), signer, 'k')) taken.push(bytes.toString())
    }
    expect(taken).toEqual([])
    expect(refused).toBeGreaterThan(300)
  })

  it('of YAML that opa signed verifies here, or is refused for what readers read differently', () => {
    const texts = fc.sample(yamlText(), { numRuns: 200, seed })
    const files = signedByOpa({ ...rest, ...folders(texts, 'data.yaml') }, signer)
    const verified = Object.entries(files).filter(([path]) => {
      if (!path.endsWith('.yaml')) return false
      try {
        // its folder alone is here, so that what is missing is named only when it itself was verified
        return (
          readBundle(packBundle({ ...rest, [path]: files[path] ?? '', '.signatures.json': files['.signatures.json'] ?? '' }), trust) ===
          null
        )
      } catch (error) {
        expect(String(error), String(files[path])).toMatch(/was signed and is not in the bundle|quote it|write it in data\.json/)
        return String(error).includes('was signed and is not')
      }
    })
    expect(verified.length).toBeGreaterThan(120)
  })
})

describe('what is taken here', () => {
  it('is taken by opa too', () => {
    const signer = makeSigner('ES256')
    const base: Files = {
      ...source,
      'countersign/limits/data.json': '{"b": 1.50, "a": [1e3]}',
      'policy.wasm': '\0asm',
      '.manifest': '{"roots":["countersign"],"wasm":[]}',
    }
    const { '.manifest': _, ...unnamed } = base
    const variants: readonly (readonly [Files, Partial<Parameters<typeof signed>[1]>])[] = [
      [base, {}],
      [base, { hash: 'SHA-512' }],
      [base, { hash: 'SHA-512-256' }],
      [base, { hash: 'MD5' }],
      [base, { claims: { scope: 'x' } }],
      [base, { claims: { iat: 5, iss: 'me' } }],
      [base, { claims: { iat: '5' } }],
      [base, { header: { kid: 'other' } }],
      [base, { header: { kid: undefined }, claims: { keyid: 'release' } }],
      [base, { header: { typ: undefined } }],
      [base, { files: unnamed }],
      [base, { files: { ...base, 'a.rego': '' } }],
    ]
    const verdicts = variants.map(([files, more]) => {
      const bundle = packBundle(signed(files, { signer, ...more }))
      return [weTake(bundle, trustIn(signer)), opaTakes(bundle, signer, 'release')]
    })
    expect(verdicts.filter(([ours, theirs]) => ours === true && theirs !== true)).toEqual([])
    expect(verdicts.filter(([ours]) => ours === true)).toHaveLength(6)
    expect(Object.keys(filesOf(packBundle(base)))).toContain('policy.wasm')
  })
})

/** JSON as anybody may write it: numbers in any spelling, texts raw and escaped, white space anywhere. */
function jsonText(): fc.Arbitrary<string> {
  const space = fc.constantFrom('', '', '', ' ', '\n', '\t\r\n')
  const number = fc.oneof(
    fc.stringMatching(/^-?(0|[1-9]\d{0,24})(\.\d{1,9})?([eE][+-]?\d{1,2})?$/),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  )
  const letter = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 3 }),
    fc.constantFrom(
      '<',
      '&',
      '\u2028',
      '\u2029',
      '"',
      '\\',
      '/',
      '\b',
      '\f',
      '\0',
      '\u007f',
      '\ue000',
      '\uffff',
      '\u{1f600}',
      '\u{10000}',
      'a',
      'B',
    ),
  )
  const word = fc.array(letter, { maxLength: 4 }).map((letters) => letters.join(''))
  const escaped = (one: string): string => one.replaceAll(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const text = fc.tuple(word, fc.boolean()).map(([one, all]) => (all ? `"${escaped(one)}"` : JSON.stringify(one).replaceAll('/', '\\/')))
  return fc.letrec<{ value: string }>((tie) => ({
    value: fc
      .tuple(
        space,
        fc.oneof(
          { maxDepth: 4, depthSize: 'small' },
          fc.constantFrom('true', 'false', 'null'),
          number,
          text,
          fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
          fc
            .uniqueArray(fc.tuple(text, tie('value'), space), { maxLength: 6, selector: ([key]) => JSON.parse(key) as string })
            .map((members) => `{${members.map(([key, value, gap]) => `${gap}${key}${gap}:${value}`).join(',')}}`),
        ),
        space,
      )
      .map((parts) => parts.join('')),
  })).value
}

/** YAML of any value as a library writes it, in its styles; of texts with colons only those that both libraries read. */
function yamlText(): fc.Arbitrary<string> {
  const word = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'é', ' ', '#', '-', '\n', '"', "'", '7', '.', '\u{1f600}') }),
    fc.constantFrom('a:b', 'c: d', 'yes', 'null', '012', '1e3', '10.0.0.0/8', '2001-01-01', '1_0', '~', 'on', '0x1F'),
  )
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      word,
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(word, tie('value'), { maxKeys: 3 }),
    ),
  })).value
  const style = fc.constantFrom('PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE', 'BLOCK_LITERAL', 'BLOCK_FOLDED')
  return fc.tuple(fc.dictionary(word, value, { minKeys: 1, maxKeys: 3 }), style, fc.boolean()).map(([one, type, flow]) =>
    stringify(one, {
      defaultStringType: type as 'PLAIN',
      defaultKeyType: 'PLAIN',
      collectionStyle: flow ? 'flow' : 'any',
      aliasDuplicateObjects: false,
    }),
  )
}
