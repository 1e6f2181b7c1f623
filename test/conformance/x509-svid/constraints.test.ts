import { describe, expect, test } from 'vitest'
import { extension, name } from '../../../src/demo/certificate.ts'
import { der, oid, sequence, set } from '../../../src/demo/der.ts'
import { verdict } from '../../support/svid-verdict.ts'
import { constrainNames, directory, dns, email, makeCa, makeLeaf, namesOf, uri, uriNames, workload } from '../../support/x509.ts'
import type { Shape } from '../../support/x509.ts'

type Lists = Parameters<typeof constrainNames>[0]

/** With the constraints on an authority, and on a CA between: both must agree. */
function under(lists: Lists, leaf: Shape = {}, critical = true): string | null {
  const nameConstraints = constrainNames(lists, critical)
  const names = null
  const anchor = makeCa({ nameConstraints, names })
  const root = makeCa({ names })
  const between = makeCa({ nameConstraints, names }, root)
  const first = verdict([makeLeaf(leaf, anchor)], [anchor])
  const second = verdict([makeLeaf(leaf, between), between], [root])
  expect(first).toBe(second)
  return first
}

const id = (trustDomain: string): Shape => ({ names: uriNames(`spiffe://${trustDomain}/agent`) })

describe('constraints on URIs', () => {
  test.each([
    ['acme.example', 'acme.example', true],
    ['acme.example', 'sub.acme.example', false],
    ['acme.example', 'acme.example.evil', false],
    ['acme.example', 'evilacme.example', false],
    ['acme.example', 'partner.example', false],
    ['.acme.example', 'sub.acme.example', true],
    ['.acme.example', 'a.b.acme.example', true],
    ['.acme.example', 'acme.example', false],
    ['.acme.example', 'evilacme.example', false],
    ['.acme.example', '.acme.example', false],
    ['ACME.Example', 'acme.example', true],
    ['.Acme.example', 'sub.acme.example', true],
    ['example', 'acme.example', false],
    ['.example', 'acme.example', true],
    ['cluster.local', 'cluster.local', true],
    ['td_1', 'td_1', true],
  ])('[RFC 5280 §4.2.1.10; X509-SVID §4.2] permitted %s and the trust domain %s: %s', (constraint, trustDomain, allowed) => {
    expect(under({ permitted: [uri(constraint)] }, id(trustDomain))).toBe(allowed ? null : 'constraints')
    expect(under({ excluded: [uri(constraint)] }, id(trustDomain))).toBe(allowed ? 'constraints' : null)
  })

  test('[RFC 5280 §4.2.1.10] one permitted host is enough, one excluded host too much', () => {
    expect(under({ permitted: [uri('partner.example'), uri('acme.example')] })).toBe(null)
    expect(under({ permitted: [uri('.example')], excluded: [uri('acme.example')] })).toBe('constraints')
    expect(under({ permitted: [uri('.example')], excluded: [uri('partner.example')] })).toBe(null)
  })

  test('[RFC 5280 §4.2.1.10] count as well when they are not critical', () => {
    expect(under({ permitted: [uri('partner.example')] }, {}, false)).toBe('constraints')
    expect(under({ permitted: [uri('acme.example')] }, {}, false)).toBe(null)
  })

  test.each(['10.0.0.1', '127.0.0.1', '1'])('[RFC 5280 §4.2.1.10] refuse a trust domain that is an address: %s', (trustDomain) => {
    expect(under({ permitted: [uri(trustDomain)] }, id(trustDomain))).toBe('constraints')
    expect(under({ excluded: [uri('acme.example')] }, id(trustDomain))).toBe('constraints')
  })

  test.each([
    '',
    '.',
    '..',
    'spiffe://acme.example',
    'acme.example/agent',
    '*.acme.example',
    '*',
    'acme.example.',
    'a..b',
    'acme.example:443',
    '[::1]',
  ])('[RFC 5280 §4.2.1.10] are refused whole when one is no host: "%s"', (constraint) => {
    expect(under({ permitted: [uri(constraint), uri('acme.example')] })).toBe('constraints')
    expect(under({ excluded: [uri(constraint)] })).toBe('constraints')
  })

  test('[RFC 5280 §6.1.4] of every CA on the path hold: those below only narrow', () => {
    const root = makeCa({ names: null, nameConstraints: constrainNames({ permitted: [uri('acme.example')] }) })
    const narrow = makeCa({ names: null, nameConstraints: constrainNames({ permitted: [uri('partner.example')] }) }, root)
    for (const trustDomain of ['acme.example', 'partner.example'])
      expect(verdict([makeLeaf(id(trustDomain), narrow), narrow], [root])).toBe('constraints')
  })

  test('[RFC 5280 §6.1.3] hold for the CAs between as well, but for one that is issued to itself', () => {
    const nameConstraints = constrainNames({ permitted: [uri('acme.example')] })
    const root = makeCa({ names: null, nameConstraints })
    const foreign = makeCa({ names: uriNames('spiffe://partner.example') }, root)
    expect(verdict([makeLeaf({}, foreign), foreign], [root])).toBe('constraints')
    const own = makeCa({ names: uriNames('spiffe://partner.example'), subject: root.subject }, root)
    expect(verdict([makeLeaf({}, own), own], [root])).toBe(null)
    expect(verdict([makeLeaf({ ...id('partner.example'), subject: root.subject }, root)], [root])).toBe('constraints')
  })
})

describe('constraints on other names', () => {
  const email1 = { subject: sequence(set(sequence(oid('1.2.840.113549.1.9.1'), der(0x16, Buffer.from('a@acme.example'))))) }
  test.each([
    ['DNS names', dns('acme.example'), { names: namesOf(false, uri(workload), dns('a.acme.example')) }],
    ['mail addresses', email('acme.example'), { names: namesOf(false, uri(workload), email('a@acme.example')) }],
    ['mail addresses in the subject', email('acme.example'), email1],
    ['directory names', directory(name('Acme')), { subject: name('Acme') }],
    [
      'IP addresses',
      der(0x87, Buffer.from([10, 0, 0, 0, 255, 0, 0, 0])),
      { names: namesOf(false, uri(workload), der(0x87, Buffer.from([10, 0, 0, 1]))) },
    ],
  ] as [string, Uint8Array, Shape][])(
    '[RFC 5280 §4.2.1.10] on %s, not processed here, are refused where such a name is below',
    (_, base, shape) => {
      expect(under({ permitted: [base] }, shape)).toBe('constraints')
      expect(under({ excluded: [base] }, shape)).toBe('constraints')
      expect(under({ permitted: [base] }, shape, false)).toBe('constraints')
    },
  )

  test('[RFC 5280 §4.2.1.10] on names that nothing below has are met', () => {
    const bases = [dns('acme.example'), email('acme.example'), der(0x87, Buffer.alloc(8))]
    expect(under({ permitted: bases })).toBe(null)
    const empty = { subject: sequence(), names: namesOf(true, uri(workload)) }
    expect(under({ permitted: [directory(name('Other'))] }, empty)).toBe(null)
    expect(under({ permitted: [uri('acme.example'), directory(name('Other'))] })).toBe('constraints')
  })
})

describe('the form of constraints', () => {
  const of = (value: Uint8Array) => {
    const root = makeCa()
    const between = makeCa({ nameConstraints: extension('2.5.29.30', true, value) }, root)
    return verdict([makeLeaf({}, between), between], [root])
  }
  const subtree = sequence(uri('acme.example'))

  test('[RFC 5280 §4.2.1.10] is a list of permitted names, a list of excluded names, or both', () => {
    expect(of(sequence(der(0xa0, subtree)))).toBe(null)
    expect(of(sequence(der(0xa0, subtree), der(0xa1, sequence(uri('x.example')))))).toBe(null)
  })

  test.each([
    ['empty', sequence()],
    ['with an empty list', sequence(der(0xa0))],
    ['the wrong way round', sequence(der(0xa1, sequence(uri('x.example'))), der(0xa0, subtree))],
    ['with a list twice', sequence(der(0xa0, subtree), der(0xa0, subtree))],
    ['with a third list', sequence(der(0xa0, subtree), der(0xa1, sequence(uri('x.example'))), der(0xa2, subtree))],
    ['with a list of another kind', sequence(der(0xa2, subtree))],
    ['without a name in a constraint', sequence(der(0xa0, sequence()))],
    ['with a minimum', sequence(der(0xa0, sequence(uri('acme.example'), der(0x80, Buffer.from([1])))))],
    ['with a maximum', sequence(der(0xa0, sequence(uri('acme.example'), der(0x81, Buffer.from([9])))))],
    ['no list at all', der(0x04, Buffer.from('x'))],
  ])('[RFC 5280 §4.2.1.10] %s is refused', (_, value) => {
    expect(of(value)).toBe('malformed')
  })
})
