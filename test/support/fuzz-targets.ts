import { gunzipSync, gzipSync } from 'node:zlib'
import { ConfigFault } from '../../src/config/findings.ts'
import { parseConfig } from '../../src/config/load.ts'
import { readSts } from '../../src/credential/sts-xml.ts'
import { readBundle, readFiles } from '../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../src/decide/bundle/fault.ts'
import { readYaml } from '../../src/decide/bundle/yaml-tree.ts'
import { makeAuthority } from '../../src/demo/x509.ts'
import { EventMask } from '../../src/forward/event-mask.ts'
import { SpliceFault } from '../../src/forward/json-tokens.ts'
import { readBundleMap, readKeySet } from '../../src/identify/bundle/bundles.ts'
import { MalformedToken, readCompact, readKid } from '../../src/identify/jwt/jws.ts'
import { MalformedKeys } from '../../src/identify/jwt/keys.ts'
import { findPresented } from '../../src/identify/slots.ts'
import { parseStrictJson } from '../../src/identify/strict-json.ts'
import { claimedIssuer, claimedSubject, readShape } from '../../src/identify/token-shape.ts'
import { readCertificate } from '../../src/identify/x509/certificate.ts'
import { MalformedDer, splitCertificates } from '../../src/identify/x509/der.ts'
import { readKillLines } from '../../src/kill/kill-lines.ts'
import { readHead } from '../../src/listen/headers.ts'
import { parseTarget } from '../../src/listen/target.ts'
import { readJson } from '../../src/match/json.ts'
import { JsonFault } from '../../src/match/json-fault.ts'
import { readCheckpointLine, readStatement } from '../../src/record/checkpoint-line.ts'
import { readNote } from '../../src/record/note.ts'
import { readStored } from '../../src/record/stored-line.ts'
import { Refusal } from '../../src/refusal.ts'
import { editionFiles } from './bundle-server.ts'
import { packBundle } from './policy-rig.ts'
import { configText, routeTo } from './running.ts'

/** One parser of ours. `run` throws when it did with these bytes what it must never do. */
export interface FuzzTarget {
  readonly name: string
  /** Inputs that it takes. */
  readonly seeds: readonly Uint8Array[]
  /** What means something to it. */
  readonly words: readonly string[]
  readonly run: (bytes: Buffer) => void
}

type Fault = abstract new (...args: never[]) => Error

/** Runs it; an error of any other kind than these is a finding, and so is a text that holds what it must not. */
function onlyThrows<Result>(faults: readonly Fault[], act: () => Result): Result | null {
  try {
    return act()
  } catch (error) {
    if (faults.some((fault) => error instanceof fault)) return null
    throw error
  }
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}

const latin = (bytes: Buffer): string => bytes.toString('latin1')
const text = (bytes: Buffer): string => bytes.toString('utf8')
const of = (...texts: readonly string[]): Buffer[] => texts.map((one) => Buffer.from(one, 'latin1'))
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const token = `${part({ alg: 'ES256', kid: 'k', typ: 'JWT' })}.${part({ sub: 'spiffe://acme.example/agent', aud: ['a'], exp: 1e9 })}.${'A'.repeat(86)}`
const jsonWords = [
  '"',
  '\\u0000',
  '\\ud800',
  '1e400',
  '{"a":',
  '[[[[',
  '__proto__',
  ':',
  ',',
  '\xef\xbb\xbf',
  '\xff',
  '0x1',
  'null',
  '"a":1,"a":2',
]
const strict = { encodedSlash: false, emptySegments: false, encodedPercent: false }
const authority = makeAuthority({ trustDomain: 'acme.example', seconds: 3600, clock: Date.now })
const leaf = authority.issue({ id: 'spiffe://acme.example/agent', seconds: 60 }).chain
const jwk = { kty: 'EC', crv: 'P-256', kid: 'k', use: 'jwt-svid', x: 'A'.repeat(43), y: 'A'.repeat(43) }
const keySet = JSON.stringify({ keys: [jwk, { use: 'x509-svid', kty: 'EC', x5c: ['MIIB'] }], spiffe_sequence: 1, spiffe_refresh_hint: 60 })
const ledgerLine =
  '{"decision_id":"c_1","timestamp":"2026-01-01T00:00:00.000Z","custom":{"countersign":{"seq":2,"prev":"sha256:00","kind":"event","event":"x"}}}'
const note = 'ledger.acme.example/one\n1\nAAAA\n\n\u2014 ledger.acme.example/one AAAAAAAA\n'

const request: FuzzTarget[] = [
  {
    name: 'target',
    seeds: of('/crm/orders/1?x=%20&y=2', '/a/b%2Fc/../d;x=1', 'http://localhost/crm/a', '/'),
    words: ['%2e%2e', '%252f', '//', '/../', ';', '\\', '%00', '?', '#', '%c0%ae', '\xe2\x80\xae', 'http://', '@'],
    run: (bytes) => {
      const target = onlyThrows([Refusal], () => parseTarget(latin(bytes), strict))
      check(target === null || target.segments.every((one) => one !== '.' && one !== '..'), 'a dot segment is left')
    },
  },
  {
    name: 'headers',
    seeds: of('Host\nlocalhost\nContent-Length\n5\nAuthorization\nBearer x', 'Host\na\nTransfer-Encoding\nchunked\nConnection\nclose, x'),
    words: ['\n', '__proto__', 'Host', 'Transfer-Encoding', 'Content-Length', 'chunked', '\r\n', '\0', 'Connection', 'Expect', ',', ' '],
    run: (bytes) => {
      const { headers, problem } = readHead(latin(bytes).split('\n'), { headerBytes: 1000, headerCount: 20 })
      check(problem !== null || headers.every((one) => !/[\0\r\n]/.test(one)), 'a control is left in a header')
    },
  },
  {
    name: 'body',
    seeds: of('{"amount":1.5e3,"to":["a",null,true],"deep":{"x":"\\u00e4"}}', '[1,2,{"a":"b"}]', '"x"'),
    words: jsonWords,
    run: (bytes) => {
      const read = onlyThrows([JsonFault], () => readJson(bytes))
      if (read !== null) check(JSON.stringify(read.value) === JSON.stringify(JSON.parse(text(bytes))), 'another value than JSON.parse has')
    },
  },
]

const tokens: FuzzTarget[] = [
  {
    name: 'token',
    seeds: of(token, `${part({ alg: 'none' })}..`, 'sk-dummy'),
    words: ['.', '..', part({ alg: 'HS256' }), part({ sub: 'x', iss: 'y' }), '=', ' ', '{', 'eyJ'],
    run: (bytes) => {
      const whole = latin(bytes)
      readShape(whole)
      check(
        [claimedSubject(whole), claimedIssuer(whole)].every((one) => one === null || typeof one === 'string'),
        'a claim that is no text',
      )
      const header = (members: Parameters<typeof readKid>[0]) => ({ kid: readKid(members) })
      onlyThrows([MalformedToken], () => readCompact(whole, header, (claims) => ({ claims })))
      for (const name of ['authorization', 'proxy-authorization', 'x-api-key'])
        onlyThrows([Refusal], () => findPresented([name, whole.replace(/[\0\r\n]/g, '')]))
    },
  },
  {
    name: 'strict JSON',
    seeds: of('{"sub":"x","aud":["a","b"],"exp":1.5e9,"cnf":{"jkt":"y"}}'),
    words: jsonWords,
    run: (bytes) => {
      const read = onlyThrows([SyntaxError], () => parseStrictJson(bytes))
      if (read !== null) check(JSON.stringify(read) === JSON.stringify(JSON.parse(text(bytes))), 'another value than JSON.parse has')
    },
  },
  {
    name: 'DER',
    seeds: [authority.certificate, ...leaf],
    words: ['\x30\x80', '\x30\x84\xff\xff\xff\xff', '\x06\x03', '\x02\x01\x00', '\x05\x00', '\xa3\x82', '\x30\x00', '\x01\x01\xff'],
    run: (bytes) => {
      onlyThrows([MalformedDer], () => readCertificate(bytes))
      onlyThrows([MalformedDer], () => splitCertificates(bytes))
    },
  },
  {
    name: 'key document',
    seeds: of(keySet, JSON.stringify({ trust_domains: { 'acme.example': JSON.parse(keySet) } })),
    words: [...jsonWords, '"kid"', '"use":"x509-svid"', '"x5c":', '"spiffe_sequence":', '-1', '18446744073709551616', '"kty":"RSA"'],
    run: (bytes) => {
      for (const format of ['bundle', 'jwks', null] as const) onlyThrows([MalformedKeys], () => readKeySet(text(bytes), format))
      onlyThrows([MalformedKeys], () => readBundleMap(text(bytes)))
    },
  },
]

const answers: FuzzTarget[] = [
  {
    name: 'SSE',
    seeds: of(
      'event: x\r\ndata: {"a":1}\n\n: hello\ndata: {"b":\ndata: 2}\n\ndata: [DONE]\n\n',
      'data: {"secret":"s","n":[1]}\r\rid: 1\n\n',
    ),
    words: ['\n\n', '\r\r', '\r\n', 'data:', 'data: ', 'event:', ':', '\xef\xbb\xbf', 'id: \0', 'retry: 1', '[DONE]', ...jsonWords],
    run: (bytes) => {
      const half = bytes.length >> 1
      const [whole, parted] = [[bytes], [bytes.subarray(0, half), bytes.subarray(half)]].map((chunks) => masked(chunks))
      check(whole === parted, 'it comes out otherwise when its bytes are parted')
    },
  },
  {
    name: 'STS',
    seeds: of(
      '<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>a</AccessKeyId></Credentials></AssumeRoleResult></AssumeRoleResponse>',
    ),
    words: ['<', '>', '</', '&lt;', '&#x0;', '<!DOCTYPE a [', '<![CDATA[', ']]>', '<?xml', 'xmlns="', '<a>'],
    run: (bytes) => void readSts(text(bytes)),
  },
]

/** Null: it cannot be masked. */
function masked(chunks: readonly Uint8Array[]): string | null {
  return onlyThrows([SpliceFault], () => {
    const mask = new EventMask({ mask: ['/secret', '/a'], drop: ['/n'] }, 4096)
    return Buffer.concat([...chunks.map((chunk) => mask.pass(chunk)), mask.rest()]).toString('latin1')
  })
}

const files: FuzzTarget[] = [
  {
    name: 'config',
    seeds: of(configText({ routes: { api: routeTo('http://127.0.0.1:1', 'api') } })),
    words: [
      '\n',
      '  ',
      ': ',
      '- ',
      '{',
      '}',
      '[',
      '&a ',
      '*a',
      '!!js ',
      '? ',
      '${X}',
      '__proto__:',
      '"',
      "'",
      '|',
      '<<: *a',
      '1e999',
      '#',
      '\t',
    ],
    run: (bytes) => void onlyThrows([ConfigFault], () => parseConfig(text(bytes), '/nowhere/countersign.yaml', { X: 'x' })),
  },
  {
    name: 'kill file',
    seeds: of('agent spiffe://acme.example/agent  gone\n# x\neverything now\ntool "a b" why\n'),
    words: ['everything', 'agent ', '"', '\\', '\n', '\r\n', '#', '\xef\xbb\xbf', ' '],
    run: (bytes) => void readKillLines(text(bytes), true),
  },
  {
    name: 'ledger',
    seeds: of(ledgerLine, note),
    words: [...jsonWords, '"seq":', '"kind":"checkpoint"', '"prev":', '\n\n', '\u2014 ', '\n', '=='],
    run: (bytes) => {
      if (readStored(text(bytes)) !== null) readCheckpointLine(text(bytes), { seq: 2, prev: 'sha256:00' })
      readStatement(text(bytes))
      // it says what is wrong as an Error of its own words
      onlyThrows([Error], () => readNote(text(bytes)))
    },
  },
]

const manifest = of('{"revision":"r","roots":["a"],"wasm":[{"entrypoint":"a/b","module":"/policy.wasm"}],"rego_version":1}')

const bundles: FuzzTarget[] = [
  {
    name: 'bundle archive',
    seeds: [gunzipSync(packBundle({ '.manifest': '{"revision":"r"}', 'data.json': '{"a":1}', 'policy.wasm': '' }))],
    words: ['\0', '0000644\0', 'ustar\0', '../', '/', 'data.json', '77777777777', ' \0', 'L'],
    run: (bytes) => void onlyThrows([BundleFault], () => readBundle(gzipSync(bytes, { level: 1 }))),
  },
  {
    name: 'bundle',
    seeds: [packBundle({ '.manifest': '{"revision":"r"}', 'data.json': '{}' })],
    words: ['\x1f\x8b', '\0', '\xff'],
    run: (bytes) => void onlyThrows([BundleFault], () => readBundle(bytes)),
  },
  {
    name: 'bundle manifest',
    seeds: [...manifest, Buffer.from(editionFiles({ number: 1, signer: null })['.manifest'] ?? '')],
    words: [...jsonWords, '"roots":', '""', '"entrypoint":', '"metadata":{"countersign":'],
    run: (bytes) =>
      void onlyThrows([BundleFault], () =>
        readFiles(
          new Map([
            ['.manifest', bytes],
            ['data.json', bytes],
          ]),
        ),
      ),
  },
  {
    name: 'bundle YAML',
    seeds: of('a: 1\nb:\n  - x\n  - { y: [1, 2] }\n'),
    words: ['&a ', '*a', '!!', '? ', '- ', ': ', '{', '<<', '|', '\t', '...', '---', '.inf', '0o7'],
    run: (bytes) => void onlyThrows([BundleFault], () => readYaml(bytes, 'data.yaml')),
  },
]

export const fuzzTargets: readonly FuzzTarget[] = [...request, ...tokens, ...answers, ...files, ...bundles]
