/**
 * `npm run bench:identify`: what it costs to know who calls, one call at a time on one thread, beside the same check by jose and by
 * node:crypto alone. Prints a table, with `--json` the figures.
 */
import { generateKeyPairSync, hash, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { parseArgs } from 'node:util'
import { createLocalJWKSet, jwtVerify, type JWK } from 'jose'
import { makeAuthority } from '../src/demo/x509.ts'
import { makeIdentify, type IdentitySource } from '../src/identify/identify.ts'
import { openSource } from '../src/identify/registry.ts'
import { peerCaller } from '../src/identify/x509/peer.ts'
import type { Call, TlsPeer } from '../src/listen/call.ts'

interface Measured {
  readonly what: string
  readonly note: string
  /** Microseconds a call: the median of the rounds, the least and the most. */
  readonly us: number
  readonly least: number
  readonly most: number
}

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '9' }, calls: { type: 'string', default: '2000' } },
})
const rounds = Number(values.rounds)
/** Calls a round where each needs an input of its own, and a hundred times as many where none does. */
const calls = Number(values.calls)

const audience = 'spiffe://acme.example/countersign'
const id = 'spiffe://acme.example/ns/support/sa/refund-agent'
const issuer = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const agent = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const authority = makeAuthority({ trustDomain: 'acme.example', seconds: 86_400 })
const issuerJwk = { ...issuer.publicKey.export({ format: 'jwk' }), kid: 'key-1' } as JWK
const { crv, kty, x, y } = agent.publicKey.export({ format: 'jwk' })
const agentJwk = { crv, kty, x, y }
const jkt = hash('sha256', JSON.stringify(agentJwk), 'base64url')
let serial = 0

const identify = makeIdentify({ sources: [await tokens(), certificates()], clock: Date.now })
const token = mint()
const bound = mint({ cnf: { jkt } })
const [signed, signature] = cut(token)
const peer: TlsPeer = { chain: authority.issue({ id, seconds: 3600 }).chain }
const jwks = createLocalJWKSet({ keys: [issuerJwk] })

const cases = [
  measured('nothing presented, ambient', 'the headers are looked through', same(callWith([], null, id)), identify),
  measured('(a) known token', 'and one SHA-256, one look-up', same(bearer(token)), identify),
  measured('(b) new token', 'form, claims, key and signature', () => bearer(mint()), identify),
  measured('(c) jose jwtVerify', 'signature, exp and aud of a new token, keys at hand', mint, (text) =>
    jwtVerify(text, jwks, { audience, algorithms: ['ES256'] }),
  ),
  measured(
    '(d) node:crypto verify',
    'the ES256 signature alone',
    () => signed,
    (bytes) => verify('sha256', bytes, { key: issuer.publicKey, dsaEncoding: 'ieee-p1363' }, signature),
  ),
  measured('(e) known certificate', 'what its connection proved before', same(callWith([], peer)), identify),
  measured('    new connection', 'the chain, its signature and its rules', () => callWith([], { chain: peer.chain }), identify),
  measured('(f) known DPoP-bound token', 'as (a), and the proof of this very call', () => proven(bound), identify),
]
const results = await rotate(cases)
if (values.json) console.log(JSON.stringify(results, null, 2))
else console.log(table(results))

interface Case {
  readonly what: string
  readonly note: string
  /** Microseconds a call in one round. */
  readonly round: () => Promise<number>
}

/** The inputs of a round are made before it; so that each is paid for once, `run` is not given one twice. */
function measured<Input>(what: string, note: string, input: (() => Input) | Same<Input>, run: (input: Input) => unknown): Case {
  const round = (): Promise<number> => ('value' in input ? timeSame(input.value, run) : timeEach(Array.from({ length: calls }, input), run))
  return { what, note, round }
}

/** Round by round through all of them, so that what a neighbour does to the machine falls on each. */
async function rotate(all: readonly Case[]): Promise<Measured[]> {
  const times = all.map((): number[] => [])
  for (let round = -2; round < rounds; round++) {
    for (const [at, one] of all.entries()) {
      const took = await one.round()
      // the first rounds warm up
      if (round >= 0) times[at]?.push(took)
    }
  }
  return all.map(({ what, note }, at) => {
    const own = (times[at] ?? []).toSorted((one, other) => one - other)
    return { what, note, us: own[rounds >> 1] ?? NaN, least: own[0] ?? NaN, most: own.at(-1) ?? NaN }
  })
}

interface Same<Input> {
  readonly value: Input
}

function same<Input>(value: Input): Same<Input> {
  return { value }
}

async function timeSame<Input>(input: Input, run: (input: Input) => unknown): Promise<number> {
  const start = process.hrtime.bigint()
  const first = run(input)
  if (first instanceof Promise) await first
  for (let count = 1; count < calls * 100; count++) run(input)
  return Number(process.hrtime.bigint() - start) / (calls * 100) / 1000
}

async function timeEach<Input>(inputs: readonly Input[], run: (input: Input) => unknown): Promise<number> {
  const start = process.hrtime.bigint()
  for (const input of inputs) {
    const made = run(input)
    if (made instanceof Promise) await made
  }
  return Number(process.hrtime.bigint() - start) / inputs.length / 1000
}

async function tokens(): Promise<IdentitySource> {
  const document = JSON.stringify({ keys: [{ ...issuerJwk, use: 'jwt-svid' }] })
  const nothing = (): void => {}
  const source = openSource(
    { type: 'jwt-svid', trust_domain: 'acme.example', keys: { url: 'https://keys.acme.example' }, leeway: 5000, max_age: 3_600_000 },
    {
      clock: Date.now,
      log: { info: nothing, warn: nothing, error: nothing },
      fetch: async () => new Response(document),
      audience,
      path: (file) => file,
      env: {},
      claimed: new Set(),
      authorities: () => null,
    },
  )
  while (!source.ready()) await new Promise((resolve) => setTimeout(resolve, 10))
  return source
}

function certificates(): IdentitySource {
  const bundle = [authority.certificate]
  return {
    type: 'bench',
    verify: () => null,
    verifyPeer: (one, now) => peerCaller(one, () => bundle, now),
    generation: () => 1,
    ready: () => true,
    close: () => {},
  }
}

function bearer(text: string): Call {
  return callWith(['authorization', `Bearer ${text}`])
}

function proven(text: string): Call {
  return callWith(['authorization', `DPoP ${text}`, 'dpop', proof(text)])
}

/** A call with what an SDK sends besides. */
function callWith(headers: readonly string[], tls: TlsPeer | null = null, ambient: string | null = null): Call {
  const usual = [
    'host',
    '127.0.0.1:7420',
    'accept',
    'application/json',
    'user-agent',
    'bench',
    'accept-encoding',
    'gzip',
    'connection',
    'keep-alive',
  ]
  const address = { prefix: '/crm', path: '/orders/1042', target: '/orders/1042' }
  const call = { method: 'GET', scheme: 'http', host: '127.0.0.1:7420', address, tls, listener: { name: 'agent', port: 7420, ambient } }
  return { ...call, headers: [...usual, ...headers, 'countersign-task', 't_01JDZZZZZZZZZZZZZZZZZZZZZZ'] } as unknown as Call
}

function mint(claims: object = {}): string {
  const now = Math.floor(Date.now() / 1000)
  const usual = { sub: id, aud: [audience], iat: now, exp: now + 3600, jti: String(++serial) }
  return jws({ alg: 'ES256', kid: 'key-1', typ: 'JWT' }, { ...usual, ...claims }, issuer.privateKey)
}

function proof(text: string): string {
  const ath = hash('sha256', text, 'base64url')
  const claims = {
    jti: String(++serial),
    htm: 'GET',
    htu: 'http://127.0.0.1:7420/crm/orders/1042',
    iat: Math.floor(Date.now() / 1000),
    ath,
  }
  return jws({ typ: 'dpop+jwt', alg: 'ES256', jwk: agentJwk }, claims, agent.privateKey)
}

function jws(header: object, claims: object, key: KeyObject): string {
  const data = [header, claims].map((each) => Buffer.from(JSON.stringify(each)).toString('base64url')).join('.')
  return `${data}.${sign('sha256', Buffer.from(data), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** The signed bytes of a token, and its signature. */
function cut(text: string): [Uint8Array, Uint8Array] {
  const end = text.lastIndexOf('.')
  return [Buffer.from(text.slice(0, end)), Buffer.from(text.slice(end + 1), 'base64url')]
}

function table(rowsOf: readonly Measured[]): string {
  const rows = [
    ['', 'µs/call', 'least', 'most', ''],
    ...rowsOf.map((one) => [one.what, figure(one.us), figure(one.least), figure(one.most), one.note]),
  ]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[0] ?? 0) : at < 4 ? cell.padStart(widths[at] ?? 0) : cell)).join('  ')
  return rows.map(line).join('\n')
}

function figure(us: number): string {
  return us.toFixed(us < 10 ? 2 : 1)
}
