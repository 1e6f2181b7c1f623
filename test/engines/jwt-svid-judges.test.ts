import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials, Metadata } from '@grpc/grpc-js'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Caller } from '../../src/identify/identify.ts'
import { makeIdentify } from '../../src/identify/identify.ts'
import { Refusal } from '../../src/refusal.ts'
import type { Call } from '../../src/listen/call.ts'
import { bearer, openedSource, TestClock } from '../support/identity-rig.ts'
import { Issuer, type Jwk, type Minting, part, signingAlgorithms, signingKey } from '../support/issuer.ts'
import { goPeer, type Line, Peer, pythonPeer, WorkloadApiPeer } from '../support/spiffe-peer.ts'

/** Our verifier beside three that share no code with it, on the same generated tokens, good and hostile. */

const audience = 'spiffe://acme.example/countersign'
const home = new Issuer({
  keys: [...signingAlgorithms.map((name) => signingKey(name, `acme-${name}`)), signingKey('RS256', 'acme-weak', 1024)],
})
const partner = new Issuer({ trustDomain: 'partner.example', keys: [signingKey('ES256', 'partner-1')] })
/** Keys that nobody published, under kids that somebody did. */
const stranger = signingKey('ES256', 'acme-ES256')

/** What each judge said of a token. */
interface Verdict {
  readonly accepted: boolean
  readonly id: string | null
  readonly why: string
}

interface Judge {
  judge(token: string): Promise<Verdict>
}

/**
 * All that go-spiffe accepts and we refuse, by what our refusal says to the operator.
 * A refusal that is not here fails the suite, and so does a line that no token shows.
 */
const stricter: Readonly<Record<string, RegExp>> = {
  'no leeway past exp; go-jose gives a minute': /^expired \d+ ms ago$/,
  'five seconds of leeway before nbf and iat; go-jose gives a minute': /^valid or issued \d+ ms from now/,
  'a token must be valid before it expires': /^expires before it is valid$/,
  'no header member but alg, kid and typ (JWT-SVID §2)': /^the header has /,
  'sub names a workload, not the trust domain (SPIFFE-ID §2.2)': /^sub names a trust domain/,
  'times are whole seconds that a number holds': /is not a whole number of seconds$/,
  'claims are strict JSON': /^claims: not strict JSON$/,
  'base64url in its one canonical spelling (RFC 7515 §2)': /not canonical base64url$/,
  'a token has at most 8 KiB': /^longer than 8 KiB$/,
  'RSA keys have at least 2048 bits (RFC 7518 §3.3)': /^acme\.example has no key "acme-weak"$/,
}

let folder = ''
let api: WorkloadApiPeer
let peers: readonly Peer[] = []
let ours: Judge
let goSpiffe: Judge
let python: Judge
let workloadApi: Judge
let client: Client

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-judges-'))
  for (const issuer of [home, partner]) writeFileSync(join(folder, issuer.trustDomain), issuer.jwks())
  const bundles = [home, partner].flatMap(({ trustDomain }) => ['--bundle', `${trustDomain}=${join(folder, trustDomain)}`])
  const go = Peer.start(goPeer('validate', '--jwks', '--audience', audience, ...bundles))
  const py = Peer.start(pythonPeer('validate', '--audience', audience, ...bundles))
  peers = [go, py]
  goSpiffe = lines(go)
  python = lines(py)
  api = await WorkloadApiPeer.start()
  for (const issuer of [home, partner]) await api.ask({ do: 'jwt-keys', trustDomain: issuer.trustDomain, keys: issuer.jwks() })
  client = new Client(api.socket, credentials.createInsecure())
  workloadApi = { judge: validateOverApi }
  ours = await ourJudge()
})

afterAll(async () => {
  client.close()
  await api[Symbol.asyncDispose]()
  for (const peer of peers) await peer.kill()
  rmSync(folder, { recursive: true })
})

describe('our verifier, go-spiffe, the Workload API and the Python client', () => {
  it('judge hundreds of tokens: what we accept they accept, as the same caller; what we refuse besides is on the list', async () => {
    const recipes = [...single, ...fc.sample(recipe, { numRuns: 600, seed: 20_261_126 })]
    const seen = new Set<string>()
    const counts = { accepted: 0, refused: 0, stricter: 0 }
    for (const one of recipes) {
      const token = cook(one)
      const [our, go, over] = await Promise.all([ours.judge(token), goSpiffe.judge(token), workloadApi.judge(token)])
      const shown = JSON.stringify({ one, our, go, over }, null, 1)
      expect(over.accepted, shown).toBe(go.accepted)
      if (our.accepted) {
        expect({ accepted: go.accepted, id: go.id, over: over.id }, shown).toEqual({ accepted: true, id: our.id, over: our.id })
        counts.accepted++
      } else if (go.accepted) {
        const name = Object.keys(stricter).find((key) => stricter[key]?.test(our.why))
        expect(name, shown).toBeDefined()
        seen.add(name ?? '')
        counts.stricter++
      } else counts.refused++
    }
    expect([...seen].toSorted()).toEqual(Object.keys(stricter).toSorted())
    expect(counts.accepted).toBeGreaterThan(150)
    expect(counts.refused).toBeGreaterThan(150)
  })

  it('are joined by the Python client, which refuses one thing more: times that lie ahead at all', async () => {
    for (const one of [...single, ...fc.sample(recipe, { numRuns: 200, seed: 20_261_127 })]) {
      const token = cook(one)
      const [our, py] = await Promise.all([ours.judge(token), python.judge(token)])
      if (!our.accepted || one.claims.ahead === true) continue
      expect({ accepted: py.accepted, id: py.id }, JSON.stringify({ one, our, py }, null, 1)).toEqual({ accepted: true, id: our.id })
    }
  })
})

/** What a token is made of. */
interface Recipe {
  readonly issuer: 'home' | 'partner'
  /** Index of the key, or the stranger's. */
  readonly key: number
  readonly header: Jwk | ((usual: Jwk) => string)
  readonly claims: { readonly change: Jwk | ((usual: Jwk) => string); readonly ahead?: true }
  readonly mangle: (token: string, minting: Minting) => string
}

const now = (): number => Math.floor(Date.now() / 1000)
const usualHeader: Jwk = {}

/** Header members over the usual ones, or the text of a whole header. */
const headers: readonly Recipe['header'][] = [
  { typ: undefined },
  { typ: 'JOSE' },
  { typ: 'jwt' },
  { typ: 'at+jwt' },
  { typ: '' },
  { typ: 1 },
  { kid: undefined },
  { kid: '' },
  { kid: 1 },
  { kid: 'nobody' },
  { kid: 'partner-1' },
  { kid: 'acme-RS256' },
  { alg: 'none' },
  { alg: 'HS256' },
  { alg: 'EdDSA' },
  { alg: 'es256' },
  { alg: undefined },
  { alg: 'RS512' },
  { jku: 'https://keys.partner.example/jwks' },
  { x5u: 'https://keys.partner.example/chain' },
  { x5c: [] },
  { jwk: home.keys[0]?.publicJwk },
  { crit: ['exp'] },
  { crit: [] },
  { crit: ['b64'], b64: false },
  { zip: 'DEF' },
  { cty: 'JWT' },
  { nonce: 'x' },
  (usual) => `${JSON.stringify(usual).slice(0, -1)},"alg":"none"}`,
  (usual) => `${JSON.stringify(usual).slice(0, -1)},"typ":"JWT"}`,
  (usual) => ` ${JSON.stringify(usual)}\n`,
  (usual) => `[${JSON.stringify(usual)}]`,
]

const more = (members: string) => (usual: Jwk) => `${JSON.stringify(usual).slice(0, -1)},${members}}`

const claimSets: readonly Recipe['claims'][] = [
  ...[
    undefined,
    null,
    '',
    1,
    ['spiffe://acme.example/agent'],
    'agent',
    'https://acme.example/agent',
    'spiffe://acme.example',
    'spiffe://acme.example/',
    'spiffe://acme.example/agent/',
    'spiffe://acme.example//agent',
    'spiffe://acme.example/a/../agent',
    'spiffe://acme.example/.',
    'spiffe://acme.example/...',
    'spiffe://acme.example/%61',
    'spiffe://acme.example:443/agent',
    'spiffe://user@acme.example/agent',
    'spiffe://acme.example/agent?x',
    'spiffe://acme.example/agent#x',
    'SPIFFE://acme.example/agent',
    'spiffe://ACME.example/agent',
    'spiffe://acme.example/agent\n',
    'spiffe://acme.example/\u00e4',
    'spiffe://partner.example/agent',
    'spiffe://other.example/agent',
    `spiffe://acme.example/${'a'.repeat(2026)}`,
  ].map((sub) => ({ change: { sub } })),
  ...[undefined, null, '', 1, [], [1], [audience, 1], {}, 'other', ['other'], audience, [audience], ['other', audience], [[audience]]].map(
    (aud) => ({
      change: { aud },
    }),
  ),
  ...[undefined, null, '1', -1, 0, 1.5].map((exp) => ({ change: { exp } })),
  ...[-30, -120, 2, 90, 31_536_000].map((ahead) => ({ change: (usual: Jwk) => JSON.stringify({ ...usual, exp: now() + ahead + 30 }) })),
  { change: (usual) => JSON.stringify({ ...usual, exp: now() - 30 }) },
  { change: (usual) => JSON.stringify({ ...usual, exp: now() + 300.5 }) },
  { change: (usual) => JSON.stringify({ ...usual, exp: 'soon' }).replace('"soon"', '1e400') },
  { change: (usual) => JSON.stringify({ ...usual, exp: 'soon' }).replace('"soon"', '1e20') },
  { change: (usual) => JSON.stringify({ ...usual, exp: 'soon' }).replace('"soon"', `${now() + 300}.0`) },
  { change: (usual) => JSON.stringify({ ...usual, exp: 2 ** 53 }) },
  ...(['nbf', 'iat'] as const).flatMap((name): Recipe['claims'][] => [
    { change: (usual) => JSON.stringify({ ...usual, [name]: now() + 3 }), ahead: true },
    { change: (usual) => JSON.stringify({ ...usual, [name]: now() + 30 }), ahead: true },
    { change: (usual) => JSON.stringify({ ...usual, [name]: now() + 120 }), ahead: true },
    { change: (usual) => JSON.stringify({ ...usual, [name]: now() - 1.5 }) },
    { change: { [name]: 'x' } },
    { change: { [name]: null } },
    { change: { [name]: -1 } },
    { change: { [name]: undefined } },
  ]),
  { change: (usual) => JSON.stringify({ ...usual, nbf: now() + 4, exp: now() + 3 }), ahead: true },
  { change: { iss: 'https://acme.example' } },
  { change: { iss: 1 } },
  { change: { jti: 'x', act: { sub: 'spiffe://acme.example/other' }, x: [{ deep: [[[]]] }] } },
  { change: { pad: 'x'.repeat(7000) } },
  { change: { ['__proto__']: { sub: 'spiffe://acme.example/admin' } } },
  { change: more('"sub":"spiffe://acme.example/admin"') },
  { change: more('"s\\u0075b":"spiffe://acme.example/admin"') },
  { change: more('"SUB":"spiffe://acme.example/admin"') },
  { change: more('"x":{"a":1,"a":2}') },
  { change: more('"\\u0078":1') },
  { change: more(`"x":${'['.repeat(70)}${']'.repeat(70)}`) },
  { change: more('"x":"\\ud800"') },
  { change: more('"x":1e400') },
  { change: more('"x":01') },
  { change: (usual) => `${JSON.stringify(usual)}{}` },
  { change: (usual) => `\ufeff${JSON.stringify(usual)}` },
  { change: () => 'null' },
  { change: () => '"text"' },
]

const swapped = (at: number, change: (text: string) => string) => (token: string) =>
  token
    .split('.')
    .map((text, index) => (index === at ? change(text) : text))
    .join('.')

/** What is done to a whole token. White space around it is not here: a header field has none (RFC 9110 §5.5). */
const mangles: readonly Recipe['mangle'][] = [
  (token) => `${token}=`,
  (token) => `${token}.`,
  (token) => `${token}.${token}`,
  (token) => token.slice(0, token.lastIndexOf('.') + 1),
  (token) => token.slice(0, token.lastIndexOf('.')),
  (token) => token.slice(0, -3),
  swapped(2, (text) => `${text.slice(0, 8)} ${text.slice(8)}`),
  swapped(1, (text) => `${text.slice(0, 8)}\n${text.slice(8)}`),
  swapped(2, withStrayBits),
  swapped(2, (text) => text.replaceAll('-', '+').replaceAll('_', '/')),
  swapped(2, (text) => part(Buffer.from(text, 'base64url').map((byte, at) => (at === 5 ? byte ^ 1 : byte)))),
  swapped(2, (text) => part(Buffer.concat([Buffer.from(text, 'base64url'), Buffer.alloc(1)]))),
  swapped(0, () => part({ alg: 'none' })),
  swapped(1, (text) => part(Buffer.from(text, 'base64url').toString().replace('/agent', '/admin'))),
  (token) => {
    const [header, payload, signature] = token.split('.')
    return JSON.stringify({ protected: header, payload, signature })
  },
]

const plain: fc.Arbitrary<Recipe> = fc.record({
  issuer: fc.oneof({ weight: 9, arbitrary: fc.constant('home' as const) }, { weight: 1, arbitrary: fc.constant('partner' as const) }),
  key: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: home.keys.length - 1 }) }, { weight: 1, arbitrary: fc.constant(-1) }),
  header: fc.constant(usualHeader),
  claims: fc.constant<Recipe['claims']>({ change: {} }),
  mangle: fc.constant((token: string) => token),
})

/** Mostly one thing wrong at a time, so that it is that thing that is judged; sometimes several. */
const recipe: fc.Arbitrary<Recipe> = fc.oneof(
  { weight: 2, arbitrary: plain },
  { weight: 3, arbitrary: changed({ header: fc.constantFrom(...headers) }) },
  { weight: 6, arbitrary: changed({ claims: fc.constantFrom(...claimSets) }) },
  { weight: 2, arbitrary: changed({ mangle: fc.constantFrom(...mangles) }) },
  {
    weight: 1,
    arbitrary: changed({ header: fc.constantFrom(...headers), claims: fc.constantFrom(...claimSets), mangle: fc.constantFrom(...mangles) }),
  },
)

/** Every key as it is, and every change alone. */
const alone: Recipe = { issuer: 'home', key: 3, header: usualHeader, claims: { change: {} }, mangle: (token) => token }
const single: readonly Recipe[] = [
  { ...alone, issuer: 'partner' },
  ...[-1, ...home.keys.keys()].map((key) => ({ ...alone, key })),
  ...headers.map((header) => ({ ...alone, header })),
  ...claimSets.map((claims) => ({ ...alone, claims })),
  ...mangles.map((mangle) => ({ ...alone, mangle })),
]

function changed(parts: { readonly [Name in keyof Recipe]?: fc.Arbitrary<Recipe[Name]> }): fc.Arbitrary<Recipe> {
  return fc.tuple(plain, fc.record(parts)).map(([usual, change]) => ({ ...usual, ...change }))
}

function cook(one: Recipe): string {
  const issuer = one.issuer === 'home' ? home : partner
  const key = one.key === -1 ? stranger : (issuer.keys[one.key] ?? issuer.keys[0] ?? stranger)
  const usual: Jwk = { alg: key.algorithm, kid: key.kid, typ: 'JWT' }
  const { change } = one.claims
  const minting: Minting = {
    key,
    header: typeof one.header === 'function' ? one.header(usual) : one.header,
    claims: typeof change === 'function' ? change(issuer.claims()) : change,
  }
  return one.mangle(issuer.mint(minting), minting)
}

/** Another last letter for the same bytes, where the length leaves bits over. */
function withStrayBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  if (text.length % 4 === 0) return text
  return text.slice(0, -1) + (alphabet[alphabet.indexOf(text.at(-1) ?? '') ^ 1] ?? '')
}

function lines(peer: Peer): Judge {
  return {
    async judge(token) {
      const said = await peer.ask({ token })
      return { accepted: said['accepted'] === true, id: textOf(said, 'spiffeId'), why: textOf(said, 'why') ?? '' }
    },
  }
}

function textOf(line: Line, name: string): string | null {
  const value = line[name]
  return typeof value === 'string' ? value : null
}

/** The whole stage with a source for each trust domain, as it stands in the request path; nothing is kept from one token to the next. */
async function ourJudge(): Promise<Judge> {
  const clock = Object.assign(new TestClock(), { now: Date.now })
  const opened = await Promise.all(
    [home, partner].map((issuer) => openedSource(issuer.jwks(), { clock, config: { trust_domain: issuer.trustDomain } })),
  )
  const identify: (call: Call) => Caller | Promise<Caller> = makeIdentify({
    sources: opened.map(({ source }) => source),
    clock: Date.now,
    cacheSize: 0,
  })
  return {
    async judge(token) {
      try {
        return { accepted: true, id: (await identify(bearer(token))).id, why: '' }
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        return { accepted: false, id: null, why: error.detail ?? error.code }
      }
    },
  }
}

/** ValidateJWTSVID, written by hand: two texts out, one back. */
async function validateOverApi(token: string): Promise<Verdict> {
  const metadata = new Metadata()
  metadata.set('workload.spiffe.io', 'true')
  const { promise, resolve } = Promise.withResolvers<Verdict>()
  const request = Buffer.concat([field(1, audience), field(2, token)])
  const bytes = (value: Buffer): Buffer => value
  client.makeUnaryRequest('/SpiffeWorkloadAPI/ValidateJWTSVID', bytes, bytes, request, metadata, (error, answer) => {
    if (error !== null) resolve({ accepted: false, id: null, why: error.details })
    else resolve({ accepted: true, id: firstText(answer ?? Buffer.alloc(0)), why: '' })
  })
  return promise
}

function field(number: number, text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes])
}

function varint(value: number): Buffer {
  return value < 0x80 ? Buffer.from([value]) : Buffer.concat([Buffer.from([(value & 0x7f) | 0x80]), varint(value >> 7)])
}

/** The SPIFFE ID is the first field; up to 2048 bytes, so that its length takes one byte or two. */
function firstText(message: Buffer): string {
  const [, low = 0, high = 0] = message
  const [start, length] = low < 0x80 ? [2, low] : [3, (low & 0x7f) | (high << 7)]
  return message.subarray(start, start + length).toString()
}
