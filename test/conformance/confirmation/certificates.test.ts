import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { makeAuthority, type Authority } from '../../../src/demo/x509.ts'
import { makeIdentify, type Caller, type IdentitySource } from '../../../src/identify/identify.ts'
import { peerCaller } from '../../../src/identify/x509/peer.ts'
import type { Call, TlsPeer } from '../../../src/listen/call.ts'
import { agentKey, dpopCall, prove } from '../../support/dpop.ts'
import { callWith, openedSource, refusalOf, TestClock } from '../../support/identity-rig.ts'
import { Issuer } from '../../support/issuer.ts'

const agent = 'spiffe://acme.example/agent'
const ambient = 'spiffe://acme.example/ambient'

/** A source of certificates whose bundle a test changes, counting what it is asked. */
class Certificates implements IdentitySource {
  readonly type = 'certificates'
  asked = 0
  turn = 1
  bundle: readonly Uint8Array[]
  keep?: number

  constructor(bundle: readonly Uint8Array[]) {
    this.bundle = bundle
  }

  verify(): null {
    return null
  }

  verifyPeer(peer: TlsPeer, now: number): Caller | null {
    this.asked += 1
    return peerCaller(peer, (trustDomain) => (trustDomain === 'acme.example' ? this.bundle : null), now)
  }

  generation(): number {
    return this.turn
  }

  change(bundle: readonly Uint8Array[]): void {
    this.bundle = bundle
    this.turn += 1
  }

  ready(): boolean {
    return true
  }

  close(): void {}
}

interface Rig {
  readonly clock: TestClock
  readonly authority: Authority
  readonly certificates: Certificates
  readonly issuer: Issuer
  readonly identify: (call: Call) => Caller | Promise<Caller>
}

async function rig(): Promise<Rig> {
  const clock = new TestClock()
  const authority = makeAuthority({ trustDomain: 'acme.example', seconds: 86_400, clock: clock.now })
  const certificates = new Certificates([authority.certificate])
  const issuer = new Issuer({ clock: clock.now })
  const { source } = await openedSource(issuer.bundle(), { clock })
  return { clock, authority, certificates, issuer, identify: makeIdentify({ sources: [source, certificates], clock: clock.now }) }
}

function peerOf(authority: Authority, id = agent, seconds = 600): TlsPeer {
  return { chain: authority.issue({ id, seconds }).chain }
}

const over = (tls: TlsPeer | null, headers: Readonly<Record<string, string>> = {}, listener: string | null = null): Call =>
  callWith(headers, listener, tls)

describe('a connection with a certificate', () => {
  test('[Countersign: one caller] proves the workload that it names, at once', async () => {
    const { authority, identify, clock } = await rig()
    expect(identify(over(peerOf(authority)))).toMatchObject({
      id: agent,
      trustDomain: 'acme.example',
      method: 'x509-svid',
      confirmed: 'mtls',
      expires: clock.now() + 600_000,
    })
  })

  test('[Countersign: one caller] that names no workload proves nobody, and refuses nobody', async () => {
    const { authority, identify, issuer } = await rig()
    for (const tls of [peerOf(authority, 'https://acme.example/one'), { chain: [] }]) {
      expect(await refusalOf(() => identify(over(tls)))).toMatchObject({
        code: 'identify.missing',
        reasons: [expect.stringContaining('an X.509-SVID as client certificate')],
      })
      expect(await identify(over(tls, { authorization: `Bearer ${issuer.mint()}` }))).toMatchObject({
        method: 'jwt-svid',
        confirmed: 'bearer',
      })
    }
  })

  test('[Countersign: one caller] that names a workload nobody knows refuses the call, whatever token it has', async () => {
    const { identify, issuer, authority } = await rig()
    const stranger = makeAuthority({ trustDomain: 'nowhere.example', seconds: 3600 })
    const unknown = { code: 'identify.rejected', reasons: ['the client certificate is not from a trust domain known here'] }
    const headers = { authorization: `Bearer ${issuer.mint()}` }
    for (const call of [
      over(peerOf(stranger, 'spiffe://nowhere.example/x')),
      over(peerOf(stranger, 'spiffe://nowhere.example/x'), headers),
    ])
      expect(await refusalOf(() => identify(call))).toMatchObject(unknown)
    // an ID that is none, and one of ours by an authority that is not
    for (const [by, id] of [
      [authority, 'SPIFFE://acme.example/x'],
      [authority, 'spiffe://nowhere.example/../x'],
      [stranger, agent],
    ] as const)
      expect(await refusalOf(() => identify(over(peerOf(by, id), headers)))).toMatchObject({ code: 'identify.rejected' })
  })

  test('[Countersign: one caller] also without any source of certificates', async () => {
    const { authority, issuer, clock } = await rig()
    const { source } = await openedSource(issuer.bundle(), { clock })
    const identify = makeIdentify({ sources: [source], clock: clock.now })
    expect(await refusalOf(() => identify(over(peerOf(authority), { authorization: `Bearer ${issuer.mint()}` })))).toMatchObject({
      code: 'identify.rejected',
    })
  })

  test('[Countersign: connections are judged again] is judged once, however many calls it carries', async () => {
    const { authority, certificates, identify } = await rig()
    const peer = peerOf(authority)
    const first = identify(over(peer))
    for (let call = 0; call < 5; call++) expect(identify(over(peer))).toBe(first)
    expect(certificates.asked).toBe(1)
    // another connection with the same certificate is judged for itself and has the same caller
    expect(identify(over({ chain: peer.chain }))).toBe(first)
    expect(certificates.asked).toBe(2)
  })

  test('[Countersign: connections are judged again] is refused from the moment its certificate expires', async () => {
    const { authority, identify, clock } = await rig()
    const peer = peerOf(authority)
    await identify(over(peer))
    clock.move(599_999)
    expect(identify(over(peer))).toMatchObject({ id: agent })
    clock.move(1)
    expect(await refusalOf(() => identify(over(peer)))).toMatchObject({
      code: 'identify.rejected',
      reasons: ['the client certificate has expired'],
    })
  })

  test('[Countersign: connections are judged again] is judged again after every change of the bundle', async () => {
    const { authority, certificates, identify } = await rig()
    const peer = peerOf(authority)
    const first = identify(over(peer))
    const next = makeAuthority({ trustDomain: 'acme.example', seconds: 3600 })
    certificates.change([next.certificate, authority.certificate])
    expect(identify(over(peer))).toBe(first)
    expect(certificates.asked).toBe(2)
    certificates.change([next.certificate])
    for (let call = 0; call < 2; call++) expect(await refusalOf(() => identify(over(peer)))).toMatchObject({ code: 'identify.rejected' })
    certificates.change([])
    expect(await refusalOf(() => identify(over(peer)))).toMatchObject({ code: 'identify.rejected' })
    certificates.change([authority.certificate])
    expect(identify(over(peer))).toBe(first)
  })

  test('[Countersign: connections are judged again] is judged again when the clock goes back, when its source wants it, and every time while that cannot verify', async () => {
    const { authority, certificates, identify, clock } = await rig()
    const peer = peerOf(authority)
    clock.move(60_000)
    await identify(over(peer))
    clock.move(-30_000)
    await identify(over(peer))
    expect(certificates.asked).toBe(1)
    clock.move(-1)
    await identify(over(peer))
    expect(certificates.asked).toBe(2)
    certificates.keep = 1000
    certificates.change(certificates.bundle)
    await identify(over(peer))
    clock.move(999)
    await identify(over(peer))
    expect(certificates.asked).toBe(3)
    clock.move(1)
    await identify(over(peer))
    expect(certificates.asked).toBe(4)
    certificates.turn = -1
    await identify(over(peer))
    await identify(over(peer))
    expect(certificates.asked).toBe(6)
  })
})

describe('a certificate and a token', () => {
  test('[Countersign: one caller] of one workload are the caller of the certificate, with what the token says, while both are good', async () => {
    const { authority, identify, issuer, clock } = await rig()
    const token = issuer.mint({ claims: { iss: 'https://issuer.acme.example' } })
    const peer = peerOf(authority)
    const alone = identify(over(peer)) as Caller
    const both = await identify(over(peer, { authorization: `Bearer ${token}` }))
    expect(both).toMatchObject({
      id: agent,
      method: 'x509-svid',
      confirmed: 'mtls',
      issuer: 'https://issuer.acme.example',
      proof: alone.proof,
      expires: clock.now() + 300_000,
    })
    expect(identify(over(peer, { authorization: `Bearer ${token}` }))).toBe(both)
    const short = peerOf(authority, agent, 60)
    expect(await identify(over(short, { authorization: `Bearer ${token}` }))).toMatchObject({ expires: clock.now() + 60_000 })
  })

  test('[Countersign: one caller] of two workloads are refused, known or not', async () => {
    const { authority, identify, issuer } = await rig()
    const token = issuer.mint({ claims: { sub: issuer.id('/other') } })
    const peer = peerOf(authority)
    for (let call = 0; call < 2; call++)
      expect(await refusalOf(() => identify(over(peer, { authorization: `Bearer ${token}` })))).toMatchObject({
        code: 'identify.rejected',
        reasons: ['the client certificate and the token are of different callers'],
      })
  })

  test('[Countersign: one caller] a certificate does not excuse a token that has expired, nor one that is bound to something else', async () => {
    const { authority, identify, issuer, clock } = await rig()
    const peer = peerOf(authority)
    const other = hash('sha256', 'another certificate', 'base64url')
    const bound = issuer.mint({ claims: { cnf: { 'x5t#S256': other } } })
    const expired = issuer.mint({ claims: { exp: clock.now() / 1000 } })
    for (const token of [bound, expired])
      expect(await refusalOf(() => identify(over(peer, { authorization: `Bearer ${token}` })))).toMatchObject({ code: 'identify.rejected' })
    const key = await agentKey()
    const token = issuer.mint({ claims: { cnf: { jkt: key.jkt } } })
    expect(await refusalOf(() => identify(dpopCall(token, [], { tls: peer })))).toMatchObject({ code: 'identify.rejected' })
    const proof = await prove({ key, token, now: clock.now() })
    expect(await identify(dpopCall(token, [proof], { tls: peer }))).toMatchObject({ method: 'x509-svid', confirmed: 'mtls' })
  })

  test('[Countersign: one caller] a proof is not used up by a call that is refused for who it says it is', async () => {
    const { authority, identify, issuer, clock } = await rig()
    const key = await agentKey()
    const token = issuer.mint({ claims: { cnf: { jkt: key.jkt } } })
    const proof = await prove({ key, token, now: clock.now() })
    const call = dpopCall(token, [proof], { tls: peerOf(authority, 'spiffe://acme.example/other') })
    expect(await refusalOf(() => identify(call))).toMatchObject({ code: 'identify.rejected' })
    expect(await identify(dpopCall(token, [proof]))).toMatchObject({ confirmed: 'dpop' })
  })
})

describe('ambient identity', () => {
  test('[Countersign: a listener with TLS has no ambient caller] is for plain listeners, and only where nothing was presented', async () => {
    const { authority, identify } = await rig()
    expect(identify(over(null, {}, ambient))).toMatchObject({ method: 'ambient' })
    for (const tls of [{ chain: [] }, peerOf(authority, 'https://acme.example/one')])
      expect(await refusalOf(() => identify(over(tls, { 'x-api-key': 'sk-dummy' }, ambient)))).toMatchObject({ code: 'identify.missing' })
    expect(identify(over(peerOf(authority), {}, ambient))).toMatchObject({ id: agent, method: 'x509-svid' })
  })

  test('[Countersign: a listener with TLS has no ambient caller] a token under DPoP is never taken for nothing', async () => {
    const { identify, issuer } = await rig()
    const call = dpopCall(issuer.mint(), [], { ambient })
    expect(await refusalOf(() => identify(call))).toMatchObject({ code: 'identify.rejected' })
  })
})
