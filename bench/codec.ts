import { makeAuthority } from '../src/demo/x509.ts'
import { validateJwtSvidResponse } from '../src/identify/workload-api/jwt-messages.ts'
import type { JsonObject } from '../src/identify/workload-api/struct.ts'
import { x509SvidResponse } from '../src/identify/workload-api/x509-messages.ts'
import { oracle } from '../test/support/workloadapi-proto.ts'

/** Measures the codec of the Workload API beside protobufjs: µs for each message decoded. `node bench/codec.ts` */

const id = 'spiffe://acme.example/ns/support/sa/refund-agent'

/** What an agent with one entry and two federated trust domains is sent. */
function x509Message(): Buffer {
  const root = (trustDomain: string) => makeAuthority({ trustDomain, seconds: 3600 })
  const acme = root('acme.example')
  const { chain, key } = acme.issue({ id, seconds: 600 })
  return x509SvidResponse.encode({
    svids: [
      { spiffeId: id, x509Svid: Buffer.concat(chain), x509SvidKey: Buffer.from(key ?? []), bundle: acme.certificate, hint: 'internal' },
    ],
    crl: [],
    federatedBundles: new Map([
      ['spiffe://partner.example', root('partner.example').certificate],
      ['spiffe://third.example', root('third.example').certificate],
    ]),
  })
}

/** The claims of a token with something beyond what SPIFFE asks for. */
function validatedMessage(): Buffer {
  const claims: JsonObject = {
    sub: id,
    aud: ['spiffe://acme.example/countersign'],
    exp: 1_790_000_300,
    iat: 1_790_000_000,
    iss: 'https://spire.acme.example',
    'kubernetes.io': { namespace: 'support', pod: { name: 'refund-agent-7d9f', uid: '0c9e3b5e-5d2f-4a8e-9a35-9f6f0e2f6a11' }, warm: true },
  }
  return validateJwtSvidResponse.encode({ spiffeId: id, claims })
}

interface Candidate {
  readonly name: string
  readonly run: () => unknown
}

function compare(message: string, bytes: Buffer, ours: (bytes: Buffer) => unknown): readonly (string | number)[][] {
  const type = oracle(message)
  const toJson = { longs: Number, enums: String, defaults: true }
  const candidates: readonly Candidate[] = [
    { name: 'by hand', run: () => ours(bytes) },
    { name: 'protobufjs', run: () => type.decode(bytes) },
    { name: 'protobufjs, to plain members', run: () => type.toObject(type.decode(bytes), toJson) },
  ]
  const times = candidates.map(() => [] as number[])
  for (let round = 0; round < 15; round++) {
    for (const [index, { run }] of candidates.entries()) times[index]?.push(measure(run))
  }
  // the least: a busy machine only ever adds
  return candidates.map(({ name }, index) => [message, name, bytes.length, Math.min(...(times[index] ?? []))])
}

function measure(run: () => unknown): number {
  const times = 20_000
  let kept: unknown
  const start = performance.now()
  for (let index = 0; index < times; index++) kept = run()
  const taken = performance.now() - start
  if (kept === undefined) throw new Error('nothing was decoded')
  return (taken / times) * 1000
}

const rows = [
  ...compare('X509SVIDResponse', x509Message(), (bytes) => x509SvidResponse.decode(bytes)),
  ...compare('ValidateJWTSVIDResponse', validatedMessage(), (bytes) => validateJwtSvidResponse.decode(bytes)),
]
console.log('| message | codec | bytes | µs per decode |\n| --- | --- | --- | --- |')
for (const [message, codec, bytes, time] of rows) console.log(`| ${message} | ${codec} | ${bytes} | ${Number(time).toFixed(2)} |`)
