import * as fc from 'fast-check'
import { X509Certificate } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { extension, keyUsage, name } from '../../../src/demo/certificate.ts'
import { bits, der, integer, octets, oid, sequence } from '../../../src/demo/der.ts'
import { readCertificate } from '../../../src/identify/x509/certificate.ts'
import { MalformedDer, readDer, readOid, splitCertificates } from '../../../src/identify/x509/der.ts'
import { claimedId, readAuthority, verifyX509Svid } from '../../../src/identify/x509/svid.ts'
import { verdict, whyOf } from '../../support/svid-verdict.ts'
import { algorithms, constrainNames, dns, make, makeCa, makeLeaf, namesOf, now, pem, uri, uriNames, workload } from '../../support/x509.ts'
import type { Made, Shape } from '../../support/x509.ts'

const root = makeCa()
const leaf = makeLeaf({}, root)
const of = (shape: Shape) => verdict([makeLeaf(shape, root)], [root])

/** Refused as a leaf, as an authority and by whoever only asks for the ID. */
function isMalformed(bytes: Uint8Array): boolean {
  const made: Made = { ...leaf, der: bytes }
  const answers = [verdict([made], [root]), whyOf(() => readAuthority(bytes)), whyOf(() => claimedId(bytes))]
  return answers.every((why) => why === 'malformed')
}

describe('work that a certificate can cause', () => {
  test('[Countersign: certificates are bounded] an OID of more than 64 bytes, which would cost the square of its length, is refused', () => {
    const longest = (bytes: number) =>
      sequence(der(0x06, Buffer.from([0x2a, ...Array<number>(bytes - 2).fill(0xff), 1])), octets(Buffer.from([5, 0])))
    expect(of({ more: [longest(64)] })).toBe(null)
    expect(of({ more: [longest(65)] })).toBe('malformed')
  })

  test('[Countersign: certificates are bounded] more than 128 names, or constraints in one list, are refused: each is held against each', () => {
    const names = (count: number) => namesOf(false, uri(workload), ...Array.from({ length: count - 1 }, () => dns('acme.example')))
    expect(of({ names: names(128) })).toBe(null)
    expect(of({ names: names(129) })).toBe('malformed')
    const constraints = (count: number) => constrainNames({ excluded: Array.from({ length: count }, () => uri('partner.example')) })
    const below = (count: number) => {
      const authority = makeCa({ nameConstraints: constraints(count) })
      return whyOf(() => readAuthority(authority.der)) ?? verdict([makeLeaf({}, authority)], [authority])
    }
    expect(below(128)).toBe(null)
    expect(below(129)).toBe('malformed')
  })
})

describe('DER', () => {
  const bad: [string, string][] = [
    ['nothing', ''],
    ['a tag alone', '30'],
    ['an indefinite length', '30800000'],
    ['an indefinite length inside', '300430800000'],
    ['the long form of a short length', '30810101'],
    ['the long form of a length below 256', '308200030c0161'],
    ['a zero in front of a length', '30830000030c0161'],
    ['the reserved length ff', '30ff'],
    ['a length that is too long for what follows', '30050101ff'],
    ['a length that is too long for what it is in', '30053003020201'],
    ['bytes after the value', '300000'],
    ['a string in pieces', '2404040161'],
    ['a sequence that is not constructed', '1000'],
    ['an integer that is constructed', '2203020101'],
    ['a length that is too long for what it is in, though not for all of it', '3006300202020500'],
    ['a tag number above 30', '3f2000'],
    ['a tag number above 30 of a kind of its own', '9f0100'],
    ['a zero tag', '0000'],
    ['a tag that ends the bytes', '300130'],
  ]
  test.each(bad)('[X.690 §10.1; X.690 §10.2; X.690 §8.1] %s is refused', (_, hex) => {
    expect(() => readDer(Buffer.from(hex, 'hex'))).toThrow(MalformedDer)
  })

  test('[X.690 §10.1] an indefinite length is refused as such', () => {
    expect(() => readDer(Buffer.from('30800000', 'hex'))).toThrow('indefinite')
  })

  test('[Countersign: certificates are bounded] more than 16 KiB, and values nested deeper than 16, are refused', () => {
    const nested = (depth: number): Uint8Array => (depth === 0 ? integer(Buffer.from([1])) : sequence(nested(depth - 1)))
    expect(readDer(nested(16)).tag).toBe(0x30)
    expect(() => readDer(nested(17))).toThrow(MalformedDer)
    expect(() => readDer(nested(5000))).toThrow(MalformedDer)
    expect(readDer(octets(Buffer.alloc(16_000))).content).toHaveLength(16_000)
    expect(() => readDer(octets(Buffer.alloc(16_400)))).toThrow(MalformedDer)
    expect(() => readDer(Buffer.from('30847fffffff', 'hex'))).toThrow(MalformedDer)
    expect(isMalformed(makeLeaf({ more: [extension('1.2.3', false, Buffer.alloc(20_000))] }, root).der)).toBe(true)
  })

  test('[X.690 §10.1] whatever is read is written in one way: reading and writing again gives the same bytes', () => {
    const value: fc.Arbitrary<Uint8Array> = fc.letrec<{ value: Uint8Array }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.tuple(fc.constantFrom(0x02, 0x04, 0x0c, 0x80, 0x86), fc.uint8Array({ maxLength: 300 })).map(([tag, bytes]) => der(tag, bytes)),
        fc.tuple(fc.constantFrom(0x30, 0x31, 0xa0), fc.array(tie('value'), { maxLength: 4 })).map(([tag, parts]) => der(tag, ...parts)),
      ),
    })).value
    const write = (element: ReturnType<typeof readDer>): Uint8Array =>
      (element.tag & 0x20) === 0 ? der(element.tag, element.content) : der(element.tag, ...element.parts.map(write))
    fc.assert(
      fc.property(value, (bytes) => {
        const read = readDer(bytes)
        expect(Buffer.from(write(read))).toEqual(Buffer.from(bytes))
        expect(Buffer.from(read.encoding)).toEqual(Buffer.from(bytes))
      }),
    )
  })

  test('[X.690 §10.1] random bytes are read or refused, and never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          readDer(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedDer)
        }
      }),
      { numRuns: 2000 },
    )
  })

  test.each([
    ['1.2.840.113549.1.1.11', '06092a864886f70d01010b'],
    ['2.5.29.15', '0603551d0f'],
    ['2.999.3', '0603883703'],
    ['0.9.2342', '0603099226'],
    ['2.25.340282366920938463463374607431768211455', '06146983ffffffffffffffffffffffffffffffffff7f'],
  ])('[X.690 §8.19] the OID %s', (dotted, hex) => {
    expect(readOid(readDer(Buffer.from(hex, 'hex')), 'x')).toBe(dotted)
  })

  test.each([
    ['empty', '0600'],
    ['cut short', '06022a86'],
    ['with a zero in front of an arc', '06042a800101'],
  ])('[X.690 §8.19] an OID that is %s is refused', (_, hex) => {
    expect(() => readOid(readDer(Buffer.from(hex, 'hex')), 'x')).toThrow(MalformedDer)
  })

  test.each([
    ['neither 00 nor ff', Buffer.from([1, 1, 1])],
    ['of two bytes', Buffer.from([1, 2, 0xff, 0xff])],
    ['empty', Buffer.from([1, 0])],
  ])('[X.690 §11.1] a critical flag or cA that is %s is refused', (_, flag) => {
    const critical = sequence(oid('1.2.3.4'), flag, octets(sequence()))
    expect(of({ more: [critical] })).toBe('malformed')
    expect(of({ basicConstraints: extension('2.5.29.19', true, sequence(flag)) })).toBe('malformed')
  })

  test.each([
    ['with zero bits at its end', '03020080'],
    ['with a bit set among the unused', '03020781'],
    ['with more unused bits than a byte has', '03020880'],
    ['empty', '0300'],
    ['without a bit', '030100'],
    ['of three bytes', '0304078000ff80'],
  ])('[X.690 §11.2] a keyUsage %s is refused', (_, hex) => {
    expect(of({ keyUsage: extension('2.5.29.15', true, Buffer.from(hex, 'hex')) })).toBe('malformed')
  })
})

describe('one certificate', () => {
  test('[Countersign: one reader, one certificate] bytes after a certificate are refused', () => {
    expect(isMalformed(Buffer.concat([leaf.der, Buffer.from([0])]))).toBe(true)
    expect(isMalformed(Buffer.concat([leaf.der, Buffer.from('05 00'.replace(' ', ''), 'hex')]))).toBe(true)
  })

  test('[Countersign: one reader, one certificate] two certificates glued together are refused, where node takes the first', () => {
    const other = makeLeaf({ names: uriNames('spiffe://acme.example/admin') }, root)
    const glued = Buffer.concat([leaf.der, other.der])
    expect(new X509Certificate(glued).subjectAltName).toContain('/agent')
    expect(isMalformed(glued)).toBe(true)
    expect(isMalformed(Buffer.concat([leaf.der, root.der]))).toBe(true)
  })

  test('[Countersign: one reader, one certificate] PEM hidden inside DER is not the certificate, where node takes it for one', () => {
    const hidden = makeLeaf({ names: uriNames('spiffe://acme.example/admin') }, root)
    const stranger = makeCa()
    const carrier = makeLeaf({ more: [extension('1.2.3.4', false, Buffer.from(`\n${pem(hidden.der)}`))] }, stranger)
    expect(new X509Certificate(carrier.der).subjectAltName).toContain('/admin')
    expect(verdict([carrier], [root])).toBe('chain')
    const honest = makeLeaf({ more: [extension('1.2.3.4', false, Buffer.from(`\n${pem(hidden.der)}`))] }, root)
    expect(verifyX509Svid([honest.der], [root.der], now).id.id).toBe(workload)
  })

  test('[Countersign: one reader, one certificate] PEM is refused', () => {
    expect(isMalformed(Buffer.from(pem(leaf.der)))).toBe(true)
  })

  test('[Countersign: concatenated certificates are split exactly] concatenated certificates are split exactly', () => {
    const whole = Buffer.concat([leaf.der, root.der, leaf.der])
    expect(splitCertificates(whole).map((each) => Buffer.from(each))).toEqual([leaf.der, root.der, leaf.der])
    expect(splitCertificates(Buffer.alloc(0))).toEqual([])
    for (const end of [1, 2, leaf.der.length - 1, leaf.der.length + 1, whole.length - 1])
      expect(() => splitCertificates(whole.subarray(0, end))).toThrow(MalformedDer)
    for (const tail of ['00', '3000ff', '3080', '0201', '020101', '30818000'])
      expect(() => splitCertificates(Buffer.concat([leaf.der, Buffer.from(tail, 'hex')]))).toThrow(MalformedDer)
  })

  test('[Countersign: concatenated certificates are split exactly] what was split off does not change with the bytes it came from', () => {
    const whole = Buffer.concat([leaf.der, root.der])
    const [first] = splitCertificates(whole)
    whole.fill(0)
    expect(Buffer.from(first ?? []).equals(leaf.der)).toBe(true)
  })

  test('[Countersign: one reader, one certificate] a certificate with any byte changed, left out or put in is refused', () => {
    const { length } = leaf.der
    fc.assert(
      fc.property(fc.nat(length - 1), fc.integer({ min: 1, max: 255 }), fc.constantFrom('change', 'insert', 'remove'), (at, by, how) => {
        const bytes = [...leaf.der]
        if (how === 'change') bytes[at] = (bytes[at] ?? 0) ^ by
        else if (how === 'insert') bytes.splice(at, 0, by)
        else bytes.splice(at, 1)
        expect(verdict([{ ...leaf, der: Uint8Array.from(bytes) }], [root])).not.toBe(null)
      }),
      { numRuns: 600 },
    )
  })
})

describe('the parts of a certificate', () => {
  test.each([
    ['the two signature algorithms differ', { outerAlgorithm: algorithms['ecdsa-sha384'].id }],
    [
      'the outer algorithm has parameters that the inner has not',
      { outerAlgorithm: sequence(oid('1.2.840.10045.4.3.2'), Buffer.from([5, 0])) },
    ],
  ] as [string, Shape][])('[RFC 5280 §4.1.1.2] %s: refused', (_, shape) => {
    expect(of(shape)).toBe('malformed')
  })

  test.each([
    ['negative', 'ff'],
    ['negative and long', '80000000000000000000000000000000'],
    ['longer than 20 bytes', `01${'00'.repeat(20)}`],
    ['longer than it needs to be', '0001'],
    ['empty', ''],
  ])('[RFC 5280 §4.1.2.2] a serial number that is %s is refused', (_, hex) => {
    expect(of({ serial: Buffer.from(hex, 'hex') })).toBe('malformed')
  })

  test('[RFC 5280 §4.1.2.2] the serial number is given as hex', () => {
    const svid = (hex: string) => verifyX509Svid([makeLeaf({ serial: Buffer.from(hex, 'hex') }, root).der], [root.der], now)
    expect(svid('00').serial).toBe('00')
    expect(svid('01').serial).toBe('01')
    expect(svid('00ff00').serial).toBe('ff00')
    expect(svid(`00${'ff'.repeat(20)}`).serial).toBe('ff'.repeat(20))
    expect(svid(`7f${'ff'.repeat(19)}`).serial).toBe(`7f${'ff'.repeat(19)}`)
  })

  const time = (text: string, tag = 0x17) => der(tag, Buffer.from(text))
  test.each([
    ['UTCTime of this century', time('491231235959Z'), Date.UTC(2049, 11, 31, 23, 59, 59)],
    ['GeneralizedTime', time('20500101000000Z', 0x18), Date.UTC(2050, 0, 1)],
    ['GeneralizedTime before 2050, which may be read though not written', time('20480229120000Z', 0x18), Date.UTC(2048, 1, 29, 12)],
    ['the time of no end (§4.1.2.5)', time('99991231235959Z', 0x18), Date.UTC(9999, 11, 31, 23, 59, 59)],
  ])('[RFC 5280 §4.1.2.5] %s is read', (_, notAfter, ms) => {
    expect(readCertificate(makeLeaf({ notAfter }, root).der).notAfter).toBe(ms)
  })

  test('[RFC 5280 §4.1.2.5] a UTCTime from 50 on is of the last century', () => {
    const made = makeLeaf({ notBefore: time('500101000000Z'), notAfter: time('991231235959Z') }, root)
    expect(readCertificate(made.der)).toMatchObject({ notBefore: Date.UTC(1950, 0, 1), notAfter: Date.UTC(1999, 11, 31, 23, 59, 59) })
    expect(verdict([made], [root])).toBe('expired')
  })

  test.each([
    ['without seconds', time('4912312359Z')],
    ['without Z', time('491231235959')],
    ['with an offset', time('491231235959+0100')],
    ['with a fraction', time('20491231235959.5Z', 0x18)],
    ['a year of two digits in a GeneralizedTime', time('491231235959Z', 0x18)],
    ['a day that does not exist', time('490230000000Z')],
    ['a month that does not exist', time('491301000000Z')],
    ['a leap second', time('491231235960Z')],
    ['hour 24', time('491231240000Z')],
    ['of another type', der(0x0c, Buffer.from('491231235959Z'))],
    ['with a letter', time('4912312359o9Z')],
  ])('[RFC 5280 §4.1.2.5] a time %s is refused', (_, notAfter) => {
    expect(of({ notAfter })).toBe('malformed')
  })

  test('[RFC 5280 §4.1.2.5] notAfter before notBefore is refused', () => {
    expect(of({ notBefore: now + 1000, notAfter: now })).toBe('malformed')
  })

  test('[RFC 5280 §4.1.2.8] the unique identifiers of version 2, or anything else after the extensions, are refused', () => {
    expect(of({ trailing: [der(0x81, Buffer.from([0, 1]))] })).toBe('malformed')
    expect(of({ trailing: [der(0xa3, sequence(keyUsage(0)))] })).toBe('malformed')
    expect(of({ trailing: [octets(Buffer.from('x'))] })).toBe('malformed')
  })

  test('[RFC 5280 §4.1.2.1] version 1 written out, and extensions in versions 1 and 2, are refused', () => {
    for (const version of [0, 1, null, 3]) expect(of({ version })).toBe('malformed')
  })

  test.each([
    [
      'the signature is not of whole bytes',
      (body: Uint8Array) => sequence(body, algorithms['ecdsa-sha256'].id, der(0x03, Buffer.from([1, 0x30]))),
    ],
    ['the signature is an OCTET STRING', (body: Uint8Array) => sequence(body, algorithms['ecdsa-sha256'].id, octets(Buffer.from('x')))],
    ['there is no signature', (body: Uint8Array) => sequence(body, algorithms['ecdsa-sha256'].id)],
    ['there are two', (body: Uint8Array) => sequence(body, algorithms['ecdsa-sha256'].id, bits(Buffer.from('x')), bits(Buffer.from('x')))],
  ])('[RFC 5280 §4.1.1.3] %s: refused', (_, wrap) => {
    const body = readDer(leaf.der).parts[0]?.encoding ?? Buffer.alloc(0)
    expect(isMalformed(wrap(body))).toBe(true)
  })

  test.each([
    ['empty', []],
    ['of three parts without a flag', [sequence(oid('1.2.3.4'), octets(Buffer.alloc(0)), octets(Buffer.alloc(0)))]],
    ['of four parts', [sequence(oid('1.2.3.4'), Buffer.from([1, 1, 0xff]), octets(Buffer.alloc(0)), octets(Buffer.alloc(0)))]],
    ['without a value', [sequence(oid('1.2.3.4'))]],
    ['with a value of another type', [sequence(oid('1.2.3.4'), bits(Buffer.alloc(1)))]],
    ['no sequence', [octets(Buffer.from('x'))]],
    ['of a known kind with bytes after its value', [extension('2.5.29.15', true, Buffer.from('0302078000', 'hex'))]],
    ['of a known kind with an indefinite length', [extension('2.5.29.19', true, Buffer.from('30800000', 'hex'))]],
  ])('[RFC 5280 §4.2] an extension %s is refused', (_, more) => {
    const bare = { basicConstraints: null, keyUsage: null, extendedKeyUsage: null, names: null, authorityKeyId: null, more }
    const made = more.length === 0 ? make({ subjectKeyId: null, trailing: [der(0xa3, sequence())] }, root) : makeLeaf(bare, root)
    expect(verdict([made], [root])).toBe('malformed')
  })

  test('[Countersign: a certificate makes a caller] the thumbprint is the base64url SHA-256 of the leaf', () => {
    const expected = Buffer.from(new X509Certificate(leaf.der).fingerprint256.replaceAll(':', ''), 'hex').toString('base64url')
    expect(verifyX509Svid([leaf.der], [root.der], now).thumbprint).toBe(expected)
  })

  test('[RFC 5280 §4.1] what is read agrees with what node reads', () => {
    const read = readCertificate(leaf.der)
    const node = new X509Certificate(leaf.der)
    expect(read.serial).toBe(node.serialNumber.toLowerCase())
    expect(read.notAfter).toBe(Date.parse(node.validTo))
    expect(read.notBefore).toBe(Date.parse(node.validFrom))
    expect(read.publicKey?.equals(node.publicKey)).toBe(true)
    expect(read.subject).toBe(name('Acme').toString('hex'))
  })
})

test('[RFC 5280 §4.1] every root that node ships can be read, and says what node says', () => {
  for (const each of rootCertificates) {
    const node = new X509Certificate(each)
    const read = readCertificate(node.raw)
    expect(BigInt(`0x${read.serial}`)).toBe(BigInt(`0x${node.serialNumber}`))
    expect(read.notAfter).toBe(Date.parse(node.validTo))
    expect(read.extensions.ca).toBe(node.ca)
    expect(read.publicKey?.equals(node.publicKey)).toBe(true)
  }
})
