import { decodeJwt } from 'jose'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Caller, IdentitySource } from '../../../../src/identify/identify.ts'
import { openSource, SourceConfig } from '../../../../src/identify/registry.ts'
import type { IdentifyServices } from '../../../../src/identify/source.ts'
import { bearer, identifyServices, KeptLog, refusalOf, TestClock } from '../../../support/identity-rig.ts'
import type { Jwk } from '../../../support/issuer.ts'
import { agentId, ownId, peerOf, WorkloadCompany } from '../../../support/workload-company.ts'

const audience = 'spiffe://acme.example/countersign'
const sources: IdentitySource[] = []

afterEach(() => {
  for (const source of sources.splice(0)) source.close()
})

interface Opened {
  readonly source: IdentitySource
  readonly log: KeptLog
  readonly clock: TestClock
}

async function opened(company: WorkloadCompany, config: Jwk = {}, services: Partial<IdentifyServices> = {}): Promise<Opened> {
  const clock = new TestClock(Date.now())
  const log = new KeptLog()
  const settings = SourceConfig.parse({ type: 'spiffe', socket: company.socket, ...config })
  const source = openSource(settings, identifyServices({ clock: clock.now, log, audience, ...services }))
  sources.push(source)
  await vi.waitFor(() => expect(source.ready()).toBe(true))
  return { source, log, clock }
}

function verify(source: IdentitySource, token: string): Caller | null | Promise<Caller | null> {
  return source.verify({ slot: 'authorization', token }, bearer(token))
}

const hex = (certificates: readonly Uint8Array[] | null | undefined): string[] =>
  (certificates ?? []).map((der) => Buffer.from(der).toString('hex'))

describe('a source of type spiffe', () => {
  test('verifies JWT-SVIDs of its own trust domain and of those it is federated with, each with its own keys', async () => {
    await using company = await WorkloadCompany.found()
    const { source } = await opened(company)
    expect(verify(source, await company.acme.mint(agentId, audience, 60))).toMatchObject({ id: agentId, method: 'jwt-svid' })
    const partner = 'spiffe://partner.example/agent'
    expect(verify(source, await company.partner.mint(partner, audience, 60))).toMatchObject({ id: partner, trustDomain: 'partner.example' })
    const swapped = await company.partner.mint(agentId, audience, 60)
    expect(await refusalOf(() => verify(source, swapped))).toMatchObject({ code: 'identify.rejected' })
    expect(verify(source, await company.acme.mint('spiffe://elsewhere.example/x', audience, 60))).toBeNull()
  })

  test('verifies the certificates of a connection with the bundle of the trust domain that they name, and no other', async () => {
    await using company = await WorkloadCompany.found()
    const { source } = await opened(company)
    expect(source.verifyPeer?.(peerOf(company.acme, agentId), Date.now())).toMatchObject({
      id: agentId,
      method: 'x509-svid',
      confirmed: 'mtls',
    })
    const forged = await refusalOf(() => source.verifyPeer?.(peerOf(company.partner, agentId), Date.now()))
    expect(forged).toMatchObject({ code: 'identify.rejected' })
    expect(source.verifyPeer?.(peerOf(company.acme, 'spiffe://elsewhere.example/x'), Date.now())).toBeNull()
    expect(hex(source.authorities?.('partner.example'))).toEqual(hex(company.partner.authorities))
    expect(source.authorities?.('elsewhere.example')).toBeNull()
  })

  test('leaves trust domains alone that another source has, and believes only those it is limited to', async () => {
    await using company = await WorkloadCompany.found()
    const { source: bounded } = await opened(company, {}, { claimed: new Set(['partner.example']) })
    const { source: limited } = await opened(company, { trust_domains: ['partner.example'] })
    const [own, theirs] = [
      await company.acme.mint(agentId, audience, 60),
      await company.partner.mint('spiffe://partner.example/a', audience, 60),
    ]
    expect(verify(bounded, theirs)).toBeNull()
    expect(bounded.authorities?.('partner.example')).toBeNull()
    expect(bounded.verifyPeer?.(peerOf(company.partner, 'spiffe://partner.example/a'), Date.now())).toBeNull()
    expect(verify(limited, own)).toBeNull()
    expect(verify(limited, theirs)).toMatchObject({ id: 'spiffe://partner.example/a' })
  })

  test('cannot verify before the first message, says so, and can from then on', async () => {
    await using company = await WorkloadCompany.found()
    await company.stop()
    const token = await company.acme.mint(agentId, audience, 60)
    const source = openSource(SourceConfig.parse({ type: 'spiffe', socket: company.socket }), identifyServices({ audience }))
    sources.push(source)
    expect(source.ready()).toBe(false)
    expect(source.generation()).toBe(-1)
    expect(await refusalOf(() => verify(source, token))).toMatchObject({ code: 'identify.unavailable' })
    await company.start()
    await vi.waitFor(() => expect(source.ready()).toBe(true), { timeout: 8000 })
    expect(verify(source, token)).toMatchObject({ id: agentId })
  })

  test('lets go of everything at once when it is taken back, and tells its generation so', async () => {
    await using company = await WorkloadCompany.found()
    const { source, log } = await opened(company)
    const token = await company.acme.mint(agentId, audience, 60)
    const before = source.generation()
    company.api.entitle([])
    await vi.waitFor(() => expect(source.generation()).toBe(-1))
    expect(before).toBeGreaterThanOrEqual(0)
    expect(source.own?.current()).toBeNull()
    expect(await refusalOf(() => verify(source, token))).toMatchObject({ code: 'identify.unavailable' })
    expect(await refusalOf(() => source.verifyPeer?.(peerOf(company.acme, agentId), Date.now()))).toMatchObject({
      code: 'identify.unavailable',
    })
    expect(
      log.lines
        .filter(({ level }) => level === 'error')
        .map(({ message }) => message)
        .join(),
    ).toContain('took back')
  })

  test('refuses what was signed with keys that were revoked, and changes its generation when keys change', async () => {
    await using company = await WorkloadCompany.found()
    const { source } = await opened(company)
    const [token, peer] = [await company.acme.mint(agentId, audience, 60), peerOf(company.acme, agentId)]
    expect(source.verifyPeer?.(peer, Date.now())).toMatchObject({ id: agentId })
    const before = source.generation()
    await company.acme.revokeKeys()
    company.api.rotate()
    await vi.waitFor(() => expect(source.generation()).not.toBe(before))
    await vi.waitFor(async () => expect(await refusalOf(() => verify(source, token))).toMatchObject({ code: 'identify.rejected' }))
    await vi.waitFor(async () =>
      expect(await refusalOf(() => source.verifyPeer?.(peer, Date.now()))).toMatchObject({ code: 'identify.rejected' }),
    )
  })

  test('goes on with what it has while the Workload API is away, for as long as keys may serve', async () => {
    await using company = await WorkloadCompany.found()
    const { source, clock, log } = await opened(company, { max_age: '10m' })
    await company.stop()
    await vi.waitFor(() => expect(log.lines.some(({ message }) => message.includes('cannot be reached'))).toBe(true))
    clock.move(9 * 60_000)
    const token = await company.acme.mint(agentId, audience, 3600)
    expect(verify(source, token)).toMatchObject({ id: agentId })
    clock.move(2 * 60_000)
    expect(source.generation()).toBe(-1)
    expect(await refusalOf(() => verify(source, token))).toMatchObject({ code: 'identify.unavailable' })
  })
})

test('an audience that says too little is pointed out once, however often bundles change', async () => {
  await using company = await WorkloadCompany.found()
  const { source, log } = await opened(company, {}, { audience: 'spiffe://acme.example' })
  const before = source.generation()
  company.api.rotate()
  await vi.waitFor(() => expect(source.generation()).not.toBe(before))
  expect(log.lines.filter(({ message }) => message.includes('whole trust domain'))).toHaveLength(1)
})

describe('the SVID of Countersign itself', () => {
  test('is the first one, or the one that is named', async () => {
    await using company = await WorkloadCompany.found()
    const { source: first } = await opened(company)
    const { source: named } = await opened(company, { id: agentId })
    const { source: missing, log } = await opened(company, { id: 'spiffe://acme.example/nobody' })
    expect(first.own?.current()).toMatchObject({ id: ownId })
    expect(named.own?.current()).toMatchObject({ id: agentId })
    expect(missing.own?.current()).toBeNull()
    expect(log.lines.some(({ message }) => message.includes('none of the X.509-SVIDs given'))).toBe(true)
  })

  test('changes when it is rotated, tells so once, and is nothing from its expiry on', async () => {
    await using company = await WorkloadCompany.found()
    const { source, clock } = await opened(company)
    const before = source.own?.current()
    let told = 0
    const stop = source.own?.onChange(() => (told += 1))
    company.api.rotate()
    await vi.waitFor(() => expect(told).toBe(1))
    const after = source.own?.current()
    expect(after?.cert).not.toBe(before?.cert)
    expect(after?.cert).toMatch(/^-----BEGIN CERTIFICATE-----/)
    expect(after?.key).toMatch(/^-----BEGIN PRIVATE KEY-----/)
    stop?.()
    clock.move((after?.expires ?? 0) - clock.now() - 1)
    expect(source.own?.current()).not.toBeNull()
    clock.move(1)
    expect(source.own?.current()).toBeNull()
  })
})

describe('a JWT-SVID of Countersign itself', () => {
  const issuer = 'https://login.acme.example'
  const calm = new AbortController().signal

  test('is for the audience that was asked for, of the identity that is ours, and verifies by the keys of the trust domain', async () => {
    await using company = await WorkloadCompany.found()
    const { source } = await opened(company, { id: ownId })
    const token = await source.own?.token(issuer, calm)
    expect(decodeJwt(token?.reveal() ?? '')).toMatchObject({ sub: ownId, aud: [issuer] })
  })

  test('is kept while it is fresh, also over a certificate that is renewed, and not once another identity is given', async () => {
    await using company = await WorkloadCompany.found()
    const { source } = await opened(company)
    const first = await source.own?.token(issuer, calm)
    const before = source.own?.current()?.cert
    company.api.rotate()
    await vi.waitFor(() => expect(source.own?.current()?.cert).not.toBe(before))
    expect((await source.own?.token(issuer, calm))?.reveal()).toBe(first?.reveal())
    company.api.entitle([agentId])
    await vi.waitFor(() => expect(source.own?.current()?.id).toBe(agentId))
    expect(decodeJwt((await source.own?.token(issuer, calm))?.reveal() ?? '').sub).toBe(agentId)
  })

  test('is not had once the identity was taken back, nor for one who gives up', async () => {
    await using company = await WorkloadCompany.found()
    const { source } = await opened(company, { id: ownId })
    await source.own?.token(issuer, calm)
    await expect(source.own?.token(issuer, AbortSignal.abort())).rejects.toThrow()
    company.api.entitle([])
    await vi.waitFor(() => expect(source.own?.current()).toBeNull())
    await expect(source.own?.token(issuer, calm)).rejects.toThrow()
  })
})

describe('the oracle', () => {
  test('is asked about each token, and must agree', async () => {
    await using company = await WorkloadCompany.found()
    const { source } = await opened(company, { oracle: true })
    const token = await company.acme.mint(agentId, audience, 60)
    await expect(verify(source, token)).resolves.toMatchObject({ id: agentId })
    // revoked at the API, but the streams were not told yet: only the oracle knows
    await company.acme.revokeKeys()
    expect(await refusalOf(() => verify(source, token))).toMatchObject({ code: 'identify.rejected' })
  })

  test('that cannot be asked leaves nothing verified', async () => {
    await using company = await WorkloadCompany.found()
    const { source } = await opened(company, { oracle: true })
    const token = await company.acme.mint(agentId, audience, 60)
    await company.stop()
    expect(await refusalOf(() => verify(source, token))).toMatchObject({ code: 'identify.unavailable' })
  })
})
