import { describe, expect, test } from 'vitest'
import { basicConstraints, extension, keyUsage, name } from '../../../src/demo/certificate.ts'
import { boolean, der, integer, octets, oid, sequence } from '../../../src/demo/der.ts'
import { claimedId, verifyX509Svid } from '../../../src/identify/x509/svid.ts'
import { verdict, whyOf } from '../../support/svid-verdict.ts'
import {
  clientAuth,
  constrainNames,
  directory,
  dns,
  email,
  flipCritical,
  makeCa,
  makeLeaf,
  namesOf,
  now,
  purposes,
  serverAuth,
  uri,
  uriNames,
  workload,
} from '../../support/x509.ts'
import type { Shape } from '../../support/x509.ts'

const root = makeCa()
const of = (shape: Shape) => verdict([makeLeaf(shape, root)], [root])

describe('the SPIFFE ID', () => {
  test('[X509-SVID §2] one URI in subjectAltName is the ID of the caller', () => {
    const leaf = makeLeaf({}, root)
    expect(verifyX509Svid([leaf.der], [root.der], now).id).toEqual({ id: workload, trustDomain: 'acme.example', path: '/agent' })
    expect(claimedId(leaf.der)?.id).toBe(workload)
  })

  test.each([
    ['no subjectAltName', null],
    ['DNS names alone', namesOf(false, dns('agent.acme.example'))],
    ['the ID as a DNS name', namesOf(false, dns(workload))],
    ['the ID in the subject alone', null, { subject: name('Acme', workload) }],
  ] as [string, Uint8Array | null, Shape?][])('[X509-SVID §2] a leaf with %s is not an SVID', (_, names, shape = {}) => {
    const leaf = makeLeaf({ ...shape, names }, root)
    expect(verdict([leaf], [root])).toBe('id')
    expect(claimedId(leaf.der)).toBe(null)
  })

  test.each([
    ['two IDs', [workload, 'spiffe://acme.example/other']],
    ['the same ID twice', [workload, workload]],
    ['an ID and another URI', [workload, 'https://acme.example/']],
    ['another URI and an ID', ['https://acme.example/', workload]],
    ['IDs of two trust domains', [workload, 'spiffe://partner.example/agent']],
    ['an ID and one in upper case', [workload, 'SPIFFE://partner.example/agent']],
  ])('[X509-SVID §2; X509-SVID §5.2] a leaf with %s is refused, and claims no ID either', (_, uris) => {
    const leaf = makeLeaf({ names: uriNames(...uris) }, root)
    expect(verdict([leaf], [root])).toBe('id')
    expect(whyOf(() => claimedId(leaf.der))).toBe('id')
  })

  test('[X509-SVID §2] names of every other form may stand beside it, in any order', () => {
    const other = der(0xa0, oid('1.3.6.1.4.1.311.20.2.3'), der(0xa0, der(0x0c, Buffer.from('agent@acme.example'))))
    const forms = [dns('a.acme.example'), email('a@acme.example'), directory(name('Acme')), der(0x87, Buffer.from([127, 0, 0, 1]))]
    expect(of({ names: namesOf(false, ...forms, other, uri(workload), dns('b.acme.example'), der(0x88, Buffer.from([42, 3]))) })).toBe(null)
  })

  test.each([
    ['https://acme.example/agent'],
    ['http://spiffe://acme.example/agent'],
    ['urn:spiffe:acme.example'],
    ['xspiffe://acme.example/agent'],
    ['//acme.example/agent'],
  ])('[X509-SVID §5.2] %s is of another scheme: not an SVID', (text) => {
    const leaf = makeLeaf({ names: uriNames(text) }, root)
    expect(verdict([leaf], [root])).toBe('id')
    expect(claimedId(leaf.der)).toBe(null)
  })

  test.each([
    ['SPIFFE://acme.example/agent'],
    ['Spiffe://acme.example/agent'],
    ['spiffe://ACME.example/agent'],
    ['spiffe:acme.example/agent'],
    ['spiffe:/acme.example/agent'],
    ['spiffe:///agent'],
    ['spiffe://acme.example:443/agent'],
    ['spiffe://user@acme.example/agent'],
    ['spiffe://acme.example/agent?admin'],
    ['spiffe://acme.example/agent#admin'],
    ['spiffe://acme.example/%61gent'],
    ['spiffe://acme%2eexample/agent'],
    ['spiffe://acme.example/a/../agent'],
    ['spiffe://acme.example/%2e%2e/agent'],
    ['spiffe://acme.example/./agent'],
    ['spiffe://acme.example//agent'],
    ['spiffe://acme.example/agent/'],
    ['spiffe://acme.example/'],
    ['spiffe://acme.example\\agent'],
    ['spiffe://acme.example/agent:1'],
    [`spiffe://acme.example/${'a'.repeat(2048)}`],
    [`spiffe://${'a'.repeat(256)}/agent`],
  ])('[X509-SVID §5.2] the malformed ID %s is refused, and claims no ID either', (text) => {
    const leaf = makeLeaf({ names: uriNames(text) }, root)
    expect(verdict([leaf], [root])).toBe('id')
    expect(whyOf(() => claimedId(leaf.der))).toBe('id')
  })

  test.each([
    ['a NUL at the end', `${workload}\0`],
    ['a NUL before another name', `${workload}\0.partner.example`],
    ['a space', 'spiffe://acme.example/a b'],
    ['a line end', `${workload}\n`],
    ['a letter that is not ASCII', 'spiffe://acme.example/\xe4gent'],
    ['nothing', ''],
  ])('[RFC 5280 §4.2.1.6] a URI with %s is refused', (_, text) => {
    const leaf = makeLeaf({ names: uriNames(text) }, root)
    expect(verdict([leaf], [root])).toBe(text === '' ? 'id' : 'malformed')
  })

  test.each(['__proto__', 'constructor', 'hasownproperty', 'tostring'])(
    '[Countersign: names are data] the trust domain %s is one like any other',
    (domain) => {
      const leaf = makeLeaf({ names: uriNames(`spiffe://${domain}/__proto__`) }, root)
      expect(claimedId(leaf.der)).toEqual({ id: `spiffe://${domain}/__proto__`, trustDomain: domain, path: '/__proto__' })
      expect(verifyX509Svid([leaf.der], [root.der], now).id.trustDomain).toBe(domain)
    },
  )

  test('[X509-SVID §3.1; X509-SVID §5.2] a leaf whose ID has no path is refused', () => {
    const leaf = makeLeaf({ names: uriNames('spiffe://acme.example') }, root)
    expect(verdict([leaf], [root])).toBe('id')
    expect(claimedId(leaf.der)?.path).toBe('')
  })

  test('[X509-SVID §3.1] the subject may be empty when subjectAltName is critical, and only then', () => {
    const empty = sequence()
    expect(of({ subject: empty, names: namesOf(true, uri(workload)) })).toBe(null)
    expect(of({ subject: empty })).toBe('usage')
  })

  test('[RFC 5280 §4.2.1.6] an empty subjectAltName is refused', () => {
    expect(of({ names: namesOf(false) })).toBe('malformed')
  })

  test('[RFC 5280 §4.2.1.6] an IP address has four bytes or sixteen', () => {
    const ip = (bytes: number): Buffer => der(0x87, Buffer.alloc(bytes, 1))
    expect([4, 16].map((bytes) => of({ names: namesOf(false, ip(bytes), uri(workload)) }))).toEqual([null, null])
    for (const bytes of [0, 3, 5, 8, 32]) expect(of({ names: namesOf(false, ip(bytes), uri(workload)) })).toBe('malformed')
  })

  test('[RFC 5280 §4.2.1.6] a name of an unknown form is refused', () => {
    expect(of({ names: namesOf(false, uri(workload), der(0x89, Buffer.from('x'))) })).toBe('malformed')
    expect(of({ names: namesOf(false, der(0xa6, der(0x16, Buffer.from(workload)))) })).toBe('malformed')
  })
})

describe('what a leaf may be used for', () => {
  test('[X509-SVID §4.1; X509-SVID §5.2] a leaf whose cA is true is refused', () => {
    expect(of({ basicConstraints: basicConstraints(true) })).toBe('usage')
    expect(of({ basicConstraints: flipCritical(basicConstraints(true)) })).toBe('usage')
  })

  test('[X509-SVID §4.1; RFC 5280 §4.2.1.9] no basicConstraints, an empty one and one that writes false out are all cA false', () => {
    expect(of({ basicConstraints: null })).toBe(null)
    expect(of({ basicConstraints: basicConstraints(false) })).toBe(null)
    expect(of({ basicConstraints: extension('2.5.29.19', true, sequence(boolean(false))) })).toBe(null)
  })

  test('[RFC 5280 §4.2.1.9] a path length on a leaf is refused', () => {
    expect(of({ basicConstraints: basicConstraints(false, 0) })).toBe('malformed')
  })

  test('[X509-SVID §4.3] a leaf without keyUsage is refused', () => {
    expect(of({ keyUsage: null })).toBe('usage')
  })

  test('[X509-SVID §4.3] a leaf whose keyUsage is not critical is refused', () => {
    expect(of({ keyUsage: flipCritical(keyUsage(0)) })).toBe('usage')
  })

  test('[X509-SVID §4.3] a leaf without digitalSignature is refused', () => {
    expect(of({ keyUsage: keyUsage(2) })).toBe('usage')
    expect(of({ keyUsage: keyUsage(4) })).toBe('usage')
  })

  test('[X509-SVID §4.3; X509-SVID §5.2] a leaf with keyCertSign or cRLSign is refused', () => {
    expect(of({ keyUsage: keyUsage(0, 5) })).toBe('usage')
    expect(of({ keyUsage: keyUsage(0, 6) })).toBe('usage')
    expect(of({ keyUsage: keyUsage(0, 5, 6) })).toBe('usage')
  })

  test('[X509-SVID §4.3; RFC 5280 §4.2.1.3] keyEncipherment and keyAgreement are allowed, and decipherOnly in the second byte does not shift them', () => {
    expect(of({ keyUsage: keyUsage(0, 2, 4) })).toBe(null)
    expect(of({ keyUsage: keyUsage(0, 4, 8) })).toBe(null)
    expect(of({ keyUsage: keyUsage(0, 5, 8) })).toBe('usage')
    expect(of({ keyUsage: keyUsage(8) })).toBe('usage')
  })

  test.each([
    ['serverAuth alone', [serverAuth], 'usage'],
    ['clientAuth alone', [clientAuth], 'usage'],
    ['neither', ['1.3.6.1.5.5.7.3.4'], 'usage'],
    ['any purpose', ['2.5.29.37.0'], 'usage'],
    ['both', [serverAuth, clientAuth], null],
    ['both and another', ['1.3.6.1.5.5.7.3.17', clientAuth, serverAuth], null],
    ['an OID that starts like one', [`${serverAuth}.1`, clientAuth], 'usage'],
  ] as const)('[X509-SVID §4.4; RFC 5280 §4.2.1.12] extKeyUsage with %s', (_, list, expected) => {
    expect(of({ extendedKeyUsage: purposes(...list) })).toBe(expected)
    expect(of({ extendedKeyUsage: flipCritical(purposes(...list)) })).toBe(expected)
  })

  test('[X509-SVID §4.4] extKeyUsage may be absent, and not empty', () => {
    expect(of({ extendedKeyUsage: null })).toBe(null)
    expect(of({ extendedKeyUsage: purposes() })).toBe('malformed')
  })

  test('[X509-SVID §4.2; RFC 5280 §4.2.1.10] nameConstraints on a leaf are refused', () => {
    expect(of({ nameConstraints: constrainNames({ permitted: [uri('acme.example')] }) })).toBe('usage')
  })

  test('[RFC 5280 §4.2] an unknown extension is refused when it is critical, and overlooked when it is not', () => {
    const unknown = (critical: boolean) => extension('1.3.6.1.4.1.99999.1', critical, octets(Buffer.from('x')))
    expect(of({ more: [unknown(true)] })).toBe('usage')
    expect(of({ more: [unknown(false)] })).toBe(null)
  })

  test.each([
    ['certificatePolicies', '2.5.29.32', sequence(sequence(oid('2.5.29.32.0')))],
    ['policyMappings', '2.5.29.33', sequence(sequence(oid('1.2.3.4'), oid('1.2.3.5')))],
    ['policyConstraints', '2.5.29.36', sequence(der(0x80, Buffer.from([0])))],
    ['inhibitAnyPolicy', '2.5.29.54', integer(Buffer.from([0]))],
    ['a TLS feature', '1.3.6.1.5.5.7.1.24', sequence(integer(Buffer.from([5])))],
  ])('[RFC 5280 §4.2; RFC 5280 §4.2.1.4] %s, which is not processed here, is refused when critical', (_, id, value) => {
    expect(of({ more: [extension(id, true, value)] })).toBe('usage')
    expect(of({ more: [extension(id, false, value)] })).toBe(null)
  })

  test.each([
    ['subjectAltName', uriNames('spiffe://acme.example/admin')],
    ['basicConstraints', basicConstraints(true)],
    ['keyUsage', keyUsage(0)],
    ['extKeyUsage', purposes(serverAuth, clientAuth)],
  ])('[RFC 5280 §4.2] %s twice is refused', (_, again) => {
    expect(of({ more: [again] })).toBe('malformed')
  })

  test('[RFC 5280 §4.2] an extension that is known to nobody is refused when it is there twice', () => {
    const unknown = extension('1.3.6.1.4.1.99999.1', false, octets(Buffer.from('x')))
    expect(of({ more: [unknown, unknown] })).toBe('malformed')
  })
})
