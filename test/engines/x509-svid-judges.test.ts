import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { InvalidSvid, readAuthority, verifyPeerOf } from '../../src/identify/x509/svid.ts'
import { basicConstraints, extension, keyUsage, name } from '../../src/demo/certificate.ts'
import { der, sequence } from '../../src/demo/der.ts'
import { goPeer, Peer } from '../support/spiffe-peer.ts'
import {
  algorithms,
  clientAuth,
  constrainNames,
  dns,
  ecKeys,
  email,
  flipCritical,
  hour,
  type Made,
  makeCa,
  makeLeaf,
  namesOf,
  now,
  purposes,
  rsaKeys,
  serverAuth,
  type Shape,
  type SignatureName,
  uri,
  uriNames,
  workload,
} from '../support/x509.ts'

/** Our verifier of X.509-SVIDs beside go-spiffe's, which stands on Go's crypto/x509, on the same generated chains, good and hostile. */

/** All that go-spiffe accepts and we refuse, by what our refusal says. One that no chain shows, or that is not here, fails the suite. */
const stricter: Readonly<Record<string, RegExp>> = {
  'a workload has a path (X509-SVID §5.2)': /^id: its SPIFFE ID names a trust domain/,
  'no fragment, not even an empty one (SPIFFE-ID §2)': /^id: its URI: the path holds a character/,
  'scheme and trust domain in lower case (SPIFFE-ID §2.4 would allow it)': /^id: its URI: does not start with spiffe:/,
  'SPIFFE IDs have at most 2048 bytes (SPIFFE-ID §2.3)': /^id: its URI: longer than 2048 bytes$/,
  'names are critical under an empty subject (X509-SVID §3.1)': /^usage: its subject is empty/,
  'no path length without cA (RFC 5280 §4.2.1.9)': /^malformed: pathLenConstraint without cA$/,
  'a leaf has digitalSignature (X509-SVID §4.3)': /^usage: its keyUsage lacks digitalSignature$/,
  'a leaf has a critical keyUsage (X509-SVID §4.3)': /^usage: its keyUsage is absent or not critical$/,
  'a leaf is for servers and clients, or for anything (X509-SVID §4.4)': /^usage: its extKeyUsage lacks/,
  'extKeyUsage is not empty (RFC 5280 §4.2.1.12)': /^malformed: extKeyUsage is empty$/,
  'no name constraints on a leaf (RFC 5280 §4.2.1.10)': /^usage: it has nameConstraints/,
  'nothing is accepted at its end': /^expired: expired 0 ms ago$/,
  'serial numbers are positive and have at most 20 bytes (RFC 5280 §4.1.2.2)': /^malformed: the serial number/,
  'key ids that differ tell issuers of one name apart (RFC 5280 §4.2.1.1)': /^chain: no authority of its trust domain signed it$/,
  'nothing comes after the extensions (RFC 5280 §4.1)': /^malformed: the certificate has parts that its version does not$/,
  'curves are P-256, P-384 and P-521': /^weak: its key is neither/,
  'RSA keys have at least 2048 bits': /weak: its RSA key does not have 2048/,
  'RSA exponents are at least 65537': /^weak: the exponent of its RSA key/,
  'the ID of a CA has no path (X509-SVID §3.2)': /usage: the SPIFFE ID of a CA has a path\)?$/,
  'a CA has at most one ID (X509-SVID §2)': /usage: a CA: it has 2 URIs in subjectAltName, not one\)?$/,
  'a CA has keyCertSign in its keyUsage (X509-SVID §4.3)': /usage: the keyUsage of a CA is absent or lacks keyCertSign\)?$/,
  'a CA that is an SVID has a critical keyUsage (X509-SVID §4.3)': /usage: the keyUsage of a CA that is an SVID is not critical\)?$/,
  'an authority is a CA, whatever its version (X509-SVID §4.1)': /usage: a certificate that signed another is no CA\)?$/,
  'the extKeyUsage of a CA bounds what is below it': /usage: the extKeyUsage of a CA lacks serverAuth or clientAuth\)?$/,
}

type Bundle = Readonly<Record<string, readonly Made[]>>

interface Case {
  readonly label: string
  readonly chain: readonly Uint8Array[]
  readonly authorities: Bundle
  readonly at: number
}

let judge: Peer

beforeAll(() => {
  judge = Peer.start(goPeer('verify-x509'))
})

afterAll(() => judge.kill())

describe('our verifier and go-spiffe', () => {
  it('judge hundreds of chains: what we accept it accepts, as the same caller; what we refuse besides is on the list', async () => {
    const seen = new Set<string>()
    const surprises: unknown[] = []
    const counts = { accepted: 0, refused: 0, stricter: 0 }
    for (const one of [...single(), ...fc.sample(mixed, { numRuns: 400, seed: 20_261_126 })]) {
      const [our, go] = [judgeHere(one), await judgeThere(one)]
      const shown = { label: one.label, our, go }
      if (our.id !== null) {
        if (go.id !== our.id) surprises.push(shown)
        counts.accepted++
      } else if (go.id === null) counts.refused++
      else {
        const known = Object.keys(stricter).find((key) => stricter[key]?.test(our.why))
        if (known === undefined) surprises.push(shown)
        else seen.add(known)
        counts.stricter++
      }
    }
    expect(surprises).toEqual([])
    expect([...seen].toSorted()).toEqual(Object.keys(stricter).toSorted())
    expect(counts.accepted).toBeGreaterThan(80)
    expect(counts.refused).toBeGreaterThan(80)
  })
})

interface Verdict {
  readonly id: string | null
  readonly why: string
}

function judgeHere({ chain, authorities, at }: Case): Verdict {
  const known = new Map(Object.entries(authorities).map(([trustDomain, all]) => [trustDomain, all.map((made) => made.der)]))
  try {
    return { id: verifyPeerOf(chain, (trustDomain) => known.get(trustDomain) ?? null, at).id.id, why: '' }
  } catch (error) {
    if (!(error instanceof InvalidSvid)) throw error
    const unfit = [...known.values()]
      .flat()
      .map(unfitness)
      .find((why) => why !== '')
    return { id: null, why: `${error.why}: ${error.message}${error.why === 'chain' && unfit !== undefined ? ` (${unfit})` : ''}` }
  }
}

/** Why an authority vouches for nobody; the verifier passes over it without a word. */
function unfitness(authority: Uint8Array): string {
  try {
    readAuthority(authority)
    return ''
  } catch (error) {
    if (!(error instanceof InvalidSvid)) throw error
    return `${error.why}: ${error.message}`
  }
}

async function judgeThere({ chain, authorities, at }: Case): Promise<Verdict> {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  const bundles = Object.fromEntries(
    Object.entries(authorities).map(([trustDomain, all]) => [trustDomain, all.map((made) => text(made.der))]),
  )
  const said = await judge.ask({ chain: chain.map(text), authorities: bundles, at })
  return said['accepted'] === true ? { id: String(said['spiffeId']), why: '' } : { id: null, why: String(said['why']) }
}

type Named<Value> = readonly (readonly [string, Value])[]

const id = (text: string): Shape => ({ names: uriNames(text) })
const unknownExtension = (critical: boolean): Buffer => extension('1.3.6.1.4.1.99999.1', critical, Buffer.from([5, 0]))

/** What can be wrong, or odd, with a leaf. */
const leaves: Named<Shape> = [
  ['as it should be', {}],
  ['the trust domain itself', id('spiffe://acme.example')],
  ['a slash alone', id('spiffe://acme.example/')],
  ['a slash at the end', id('spiffe://acme.example/agent/')],
  ['an empty segment', id('spiffe://acme.example//agent')],
  ['dots', id('spiffe://acme.example/a/../agent')],
  ['three dots', id('spiffe://acme.example/...')],
  ['percent-encoding', id('spiffe://acme.example/%61gent')],
  ['a port', id('spiffe://acme.example:443/agent')],
  ['a user', id('spiffe://user@acme.example/agent')],
  ['a query', id('spiffe://acme.example/agent?x=1')],
  ['an empty query', id('spiffe://acme.example/agent?')],
  ['a fragment', id('spiffe://acme.example/agent#x')],
  ['an empty fragment', id('spiffe://acme.example/agent#')],
  ['upper-case scheme', id('SPIFFE://acme.example/agent')],
  ['upper-case trust domain', id('spiffe://ACME.example/agent')],
  ['another scheme', id('https://acme.example/agent')],
  ['no scheme', id('acme.example/agent')],
  ['a line end', id('spiffe://acme.example/agent\n')],
  ['a byte beyond ASCII', id('spiffe://acme.example/\u00e4')],
  ['a zero byte', id('spiffe://acme.example/agent\0')],
  ['2048 bytes', id(`spiffe://acme.example/${'a'.repeat(2048 - 22)}`)],
  ['2049 bytes', id(`spiffe://acme.example/${'a'.repeat(2049 - 22)}`)],
  ['a trust domain of another', id('spiffe://partner.example/agent')],
  ['an unknown trust domain', id('spiffe://other.example/agent')],
  ['two URIs', { names: uriNames(workload, 'spiffe://acme.example/other') }],
  ['the same URI twice', { names: uriNames(workload, workload) }],
  ['a second URI of another scheme', { names: uriNames(workload, 'https://acme.example') }],
  ['a DNS name first', { names: namesOf(false, dns('agent.acme.example'), uri(workload)) }],
  ['a DNS name like a URI', { names: namesOf(false, dns('spiffe://acme.example/other'), uri(workload)) }],
  ['a mail address', { names: namesOf(false, email('agent@acme.example'), uri(workload)) }],
  ['an empty IP address', { names: namesOf(false, der(0x87), uri(workload)) }],
  ['critical names', { names: namesOf(true, uri(workload)) }],
  ['no URI', { names: namesOf(false, dns('agent.acme.example')) }],
  ['no names', { names: null }],
  ['names without end', { names: extension('2.5.29.17', false, Buffer.from([0x30, 0x20, 0x86])) }],
  ['empty names', { names: namesOf(false) }],
  ['an empty subject, critical names', { subject: sequence(), names: namesOf(true, uri(workload)) }],
  ['an empty subject, names not critical', { subject: sequence() }],
  ['cA true', { basicConstraints: basicConstraints(true) }],
  ['cA true and keyCertSign', { basicConstraints: basicConstraints(true), keyUsage: keyUsage(0, 5) }],
  ['no basicConstraints', { basicConstraints: null }],
  ['basicConstraints not critical', { basicConstraints: flipCritical(basicConstraints(false)) }],
  ['a path length on a leaf', { basicConstraints: extension('2.5.29.19', true, sequence(Buffer.from([2, 1, 0]))) }],
  ['keyCertSign', { keyUsage: keyUsage(0, 5) }],
  ['cRLSign', { keyUsage: keyUsage(0, 6) }],
  ['no digitalSignature', { keyUsage: keyUsage(2) }],
  ['keyEncipherment too', { keyUsage: keyUsage(0, 2) }],
  ['decipherOnly alone', { keyUsage: keyUsage(8) }],
  ['digitalSignature and decipherOnly', { keyUsage: keyUsage(0, 4, 8) }],
  ['keyUsage not critical', { keyUsage: flipCritical(keyUsage(0)) }],
  ['no keyUsage', { keyUsage: null }],
  ['no extKeyUsage', { extendedKeyUsage: null }],
  ['serverAuth alone', { extendedKeyUsage: purposes(serverAuth) }],
  ['clientAuth alone', { extendedKeyUsage: purposes(clientAuth) }],
  ['code signing alone', { extendedKeyUsage: purposes('1.3.6.1.5.5.7.3.3') }],
  ['any purpose', { extendedKeyUsage: purposes('2.5.29.37.0') }],
  ['an empty extKeyUsage', { extendedKeyUsage: purposes() }],
  ['name constraints', { nameConstraints: constrainNames({ permitted: [uri('acme.example')] }) }],
  ['an unknown critical extension', { more: [unknownExtension(true)] }],
  ['an unknown extension', { more: [unknownExtension(false)] }],
  ['an unknown extension twice', { more: [unknownExtension(false), unknownExtension(false)] }],
  ['names twice', { more: [uriNames('spiffe://acme.example/other')] }],
  ['version 1 with extensions', { version: null }],
  ['version 2 with extensions', { version: 1 }],
  ['version 4', { version: 3 }],
  ['expired', { notAfter: now - 1000 }],
  ['not valid yet', { notBefore: now + 60_000 }],
  ['ends now', { notAfter: now }],
  ['begins now', { notBefore: now }],
  ['ends before it begins', { notBefore: now + hour, notAfter: now - hour }],
  ['a negative serial number', { serial: Buffer.from([0x80, 1]) }],
  ['serial number zero', { serial: Buffer.from([0]) }],
  ['a serial number of 21 bytes', { serial: Buffer.alloc(21, 0x11) }],
  ['a serial number with a zero before it', { serial: Buffer.from([0, 0, 1]) }],
  ['an empty serial number', { serial: Buffer.alloc(0) }],
  ['another issuer name', { issuer: name('Somebody') }],
  ['another authority key id', { authorityKeyId: extension('2.5.29.35', false, sequence(der(0x80, Buffer.alloc(20)))) }],
  ['no authority key id', { authorityKeyId: null }],
  ['a wrong algorithm outside', { outerAlgorithm: algorithms['ecdsa-sha384'].id }],
  ['signed by nobody', { sign: () => Buffer.alloc(70, 1) }],
  ['something after the extensions', { trailing: [Buffer.from([5, 0])] }],
  ['a P-384 key', { keys: ecKeys('P-384') }],
  ['a P-521 key', { keys: ecKeys('P-521') }],
  ['a P-224 key', { keys: ecKeys('P-224') }],
  ['a secp256k1 key', { keys: ecKeys('secp256k1') }],
  ['an RSA key', { keys: rsaKeys() }],
  ['an RSA key of 1024 bits', { keys: rsaKeys(1024) }],
  ['an RSA key with exponent 3', { keys: rsaKeys(2048, 3) }],
  ['signed with SHA-1', { algorithm: 'ecdsa-sha1' }],
  ['signed with SHA-224', { algorithm: 'ecdsa-sha224' }],
  ['signed with SHA-384', { algorithm: 'ecdsa-sha384' }],
  ['signed with SHA-512', { algorithm: 'ecdsa-sha512' }],
]

/** What can be wrong, or odd, with a CA, be it an authority or between. */
const cas: Named<Shape> = [
  ['as it should be', {}],
  ['without a SPIFFE ID', { names: null }],
  ['an ID with a path', id('spiffe://acme.example/ca')],
  ['the ID of another trust domain', id('spiffe://partner.example')],
  ['two IDs', { names: uriNames('spiffe://acme.example', 'spiffe://partner.example') }],
  ['cA false', { basicConstraints: basicConstraints(false) }],
  ['no basicConstraints', { basicConstraints: null }],
  ['basicConstraints not critical', { basicConstraints: flipCritical(basicConstraints(true)) }],
  ['no keyCertSign', { keyUsage: keyUsage(0) }],
  ['no cRLSign', { keyUsage: keyUsage(5) }],
  ['digitalSignature too', { keyUsage: keyUsage(0, 5, 6) }],
  ['no keyUsage', { keyUsage: null }],
  ['keyUsage not critical', { keyUsage: flipCritical(keyUsage(5, 6)) }],
  ['path length 0', { basicConstraints: pathLength(0) }],
  ['path length 1', { basicConstraints: pathLength(1) }],
  ['serverAuth alone', { extendedKeyUsage: purposes(serverAuth) }],
  ['both purposes', { extendedKeyUsage: purposes(serverAuth, clientAuth) }],
  ['code signing alone', { extendedKeyUsage: purposes('1.3.6.1.5.5.7.3.3') }],
  ['an unknown critical extension', { more: [unknownExtension(true)] }],
  ['an unknown extension', { more: [unknownExtension(false)] }],
  ['expired', { notAfter: now - 1000 }],
  ['not valid yet', { notBefore: now + 60_000 }],
  ['permits its trust domain', { nameConstraints: constrainNames({ permitted: [uri('acme.example')] }) }],
  ['permits another', { nameConstraints: constrainNames({ permitted: [uri('partner.example')] }) }],
  ['permits subdomains', { nameConstraints: constrainNames({ permitted: [uri('.acme.example')] }) }],
  ['excludes its trust domain', { nameConstraints: constrainNames({ excluded: [uri('acme.example')] }) }],
  ['excludes another', { nameConstraints: constrainNames({ excluded: [uri('partner.example')] }) }],
  ['permits a DNS name', { nameConstraints: constrainNames({ permitted: [dns('acme.example')] }) }],
  ['permits a host that is none', { nameConstraints: constrainNames({ permitted: [uri('spiffe://acme.example')] }) }],
  ['no subject key id', { subjectKeyId: null }],
  ['an RSA key', { keys: rsaKeys() }],
  ['an RSA key of 1024 bits', { keys: rsaKeys(1024) }],
  ['a P-384 key', { keys: ecKeys('P-384') }],
  ['version 1', { version: null, basicConstraints: null, keyUsage: null, names: null, subjectKeyId: null, authorityKeyId: null }],
  ['an empty subject', { subject: sequence() }],
]

function pathLength(most: number): Buffer {
  return extension('2.5.29.19', true, sequence(Buffer.from([1, 1, 0xff]), Buffer.from([2, 1, most])))
}

/** What is done to the bytes of a whole certificate, or to a chain. */
const chains: Named<(chain: readonly Uint8Array[], root: Made) => readonly Uint8Array[]> = [
  ['the root too', (chain, root) => [...chain, root.der]],
  ['the leaf last', (chain) => chain.toReversed()],
  ['the CA twice', (chain) => [...chain, ...chain.slice(1)]],
  ['the leaf alone', (chain) => chain.slice(0, 1)],
  ['nothing', () => []],
  ['the root alone', (_, root) => [root.der]],
  ['a byte after the leaf', ([leaf = new Uint8Array(), ...rest]) => [Buffer.concat([leaf, Buffer.from([0])]), ...rest]],
  ['two certificates in one', (chain) => [Buffer.concat(chain)]],
  ['the end cut off', ([leaf = new Uint8Array(), ...rest]) => [leaf.subarray(0, -1), ...rest]],
  ['a bit of the body flipped', ([leaf = new Uint8Array(), ...rest]) => [flipped(leaf, 60), ...rest]],
  ['a bit of the signature flipped', ([leaf = new Uint8Array(), ...rest]) => [flipped(leaf, leaf.length - 3), ...rest]],
  ['a stranger between', (chain) => [...chain, makeCa().der]],
  ['something else between', (chain) => [...chain, Buffer.from('3003020101', 'hex')]],
]

function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

interface Build {
  readonly root?: Shape
  /** Without it the root signs the leaf. */
  readonly between?: Shape
  readonly leaf?: Shape
  readonly change?: (chain: readonly Uint8Array[], root: Made) => readonly Uint8Array[]
  /** Under which trust domain the authorities are known. */
  readonly known?: string
}

const partner = makeCa(id('spiffe://partner.example'))
const usualAt = now

function build(label: string, { root: rootShape = {}, between, leaf = {}, change, known = 'acme.example' }: Build): Case {
  const root = makeCa(rootShape)
  const middle = between === undefined ? null : makeCa(between, root)
  const made = makeLeaf(leaf, middle ?? root)
  const plain = [made.der, ...(middle === null ? [] : [middle.der])]
  const authorities =
    known === 'acme.example' ? { 'acme.example': [root], 'partner.example': [partner] } : { [known]: [root], 'acme.example': [partner] }
  return { label, chain: change?.(plain, root) ?? plain, authorities, at: usualAt }
}

/** Each change alone, under a root and under a CA between; all signature algorithms; swapped roots. */
function single(): Case[] {
  const signatures = Object.keys(algorithms) as SignatureName[]
  return [
    ...leaves.map(([label, leaf]) => build(`leaf: ${label}`, { leaf })),
    ...leaves.map(([label, leaf]) => build(`leaf: ${label}; a CA between`, { leaf, between: {} })),
    ...cas.map(([label, root]) => build(`root: ${label}`, { root })),
    ...cas.map(([label, root]) => build(`root: ${label}; a CA between`, { root, between: {} })),
    ...cas.map(([label, between]) => build(`between: ${label}`, { between })),
    ...chains.flatMap(([label, change]) => [
      build(`chain: ${label}`, { change }),
      build(`chain: ${label}; a CA between`, { change, between: {} }),
    ]),
    ...signatures.flatMap((algorithm) => {
      if (algorithm === 'ed448') return []
      const keys = algorithm === 'ed25519' ? undefined : /^(rsa|pss)/.test(algorithm) ? rsaKeys() : ecKeys()
      return keys === undefined ? [] : [build(`signed with ${algorithm}`, { root: { keys }, leaf: { algorithm } })]
    }),
    build('swapped roots', { known: 'partner.example' }),
    build('no authority', { root: {}, known: 'other.example' }),
  ]
}

const any = <Value>(from: Named<Value>): fc.Arbitrary<readonly [string, Value]> => fc.constantFrom(...from)

/** Several at once. */
const mixed: fc.Arbitrary<Case> = fc
  .tuple(any(leaves), any(cas), fc.option(any(cas)), fc.option(any(chains), { freq: 5 }))
  .map(([[a, leaf], [b, root], between, change]) =>
    build([`leaf: ${a}`, `root: ${b}`, `between: ${between?.[0] ?? 'nobody'}`, `chain: ${change?.[0] ?? 'whole'}`].join('; '), {
      leaf,
      root,
      ...(between === null ? {} : { between: between[1] }),
      ...(change === null ? {} : { change: change[1] }),
    }),
  )
