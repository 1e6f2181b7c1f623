import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { peerCaller } from '../../../src/identify/x509/peer.ts'
import type { TlsPeer } from '../../../src/listen/call.ts'
import { basicConstraints } from '../../../src/demo/certificate.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { ders } from '../../support/svid-verdict.ts'
import { ecKeys, makeCa, makeLeaf, now, uriNames, workload } from '../../support/x509.ts'
import type { Made, Shape } from '../../support/x509.ts'

const root = makeCa()
const leaf = makeLeaf({ notAfter: now + 60_000 }, root)
const bundle = ders([root])
const bundleOf = (trustDomain: string) => (trustDomain === 'acme.example' ? bundle : null)
const peer = (...chain: readonly Made[]): TlsPeer => ({ chain: ders(chain) })

describe('the caller of a connection', () => {
  test('[Countersign: a certificate makes a caller] is the workload that its leaf names, bound to the connection', () => {
    expect(peerCaller(peer(leaf), bundleOf, now)).toEqual({
      id: workload,
      trustDomain: 'acme.example',
      method: 'x509-svid',
      confirmed: 'mtls',
      issuer: null,
      expires: now + 60_000,
      proof: `sha256:${createHash('sha256').update(leaf.der).digest('hex')}`,
      claims: {},
    })
  })

  test('[Countersign: a certificate makes a caller] is nobody of ours without a certificate, without a SPIFFE ID, or of a trust domain that is not ours', () => {
    expect(peerCaller(peer(), bundleOf, now)).toBe(null)
    expect(peerCaller(peer(makeLeaf({ names: null }, root)), bundleOf, now)).toBe(null)
    expect(peerCaller(peer(makeLeaf({ names: uriNames('https://acme.example') }, root)), bundleOf, now)).toBe(null)
    expect(peerCaller(peer(makeLeaf({ names: uriNames('spiffe://partner.example/agent') }, root)), bundleOf, now)).toBe(null)
  })

  test.each([
    ['malformed', { trailing: [Buffer.from([5, 0])] }, 'the client certificate is not well-formed'],
    ['with two IDs', { names: uriNames(workload, workload) }, 'the client certificate does not carry the SPIFFE ID of a workload, once'],
    [
      'with the ID of the trust domain',
      { names: uriNames('spiffe://acme.example') },
      'the client certificate does not carry the SPIFFE ID of a workload, once',
    ],
    ['a CA', { basicConstraints: basicConstraints(true) }, 'the client certificate is not one that a workload may identify itself with'],
    ['with a weak key', { keys: ecKeys('secp256k1') }, 'the client certificate has a key or a signature that is not accepted'],
    ['expired', { notAfter: now }, 'the client certificate has expired'],
    ['not valid yet', { notBefore: now + 1000 }, 'the client certificate is not valid yet'],
    [
      'of another issuer',
      { issuer: makeCa().subject },
      'the client certificate could not be verified with the authorities of its trust domain',
    ],
  ] as [string, Shape, string][])(
    '[Countersign: a certificate makes a caller] is refused with a certificate that is %s',
    async (_, shape, told) => {
      const refusal = await refusalOf(() => peerCaller(peer(makeLeaf(shape, root)), bundleOf, now))
      expect(refusal).toMatchObject({ code: 'identify.rejected', reasons: [told] })
      expect(refusal?.detail).not.toContain('spiffe:')
    },
  )

  test('[Countersign: a certificate makes a caller] is verified once for a connection, and again when the authorities are others', async () => {
    const one = peer(leaf)
    const first = peerCaller(one, bundleOf, now)
    expect(peerCaller(one, bundleOf, now + 1)).toBe(first)
    expect(peerCaller(one, () => ders([makeCa(), root]), now)).not.toBe(first)
    // everything revoked, on a connection that was good a moment ago
    expect((await refusalOf(() => peerCaller(one, () => [], now)))?.code).toBe('identify.rejected')
    expect(peerCaller(one, () => null, now)).toBe(null)
  })

  test('[Countersign: nothing is accepted at its end] ends with its certificate, on a connection that goes on', async () => {
    const one = peer(leaf)
    expect(peerCaller(one, bundleOf, now + 59_999)?.id).toBe(workload)
    expect(await refusalOf(() => peerCaller(one, bundleOf, now + 60_000))).toMatchObject({
      reasons: ['the client certificate has expired'],
    })
    expect(await refusalOf(() => peerCaller(one, bundleOf, now - 7_200_000))).toMatchObject({
      reasons: ['the client certificate is not valid yet'],
    })
  })
})
