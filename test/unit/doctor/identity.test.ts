import { status } from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import { examineConfiguration } from '../../../src/doctor/examine.ts'
import type { Check } from '../../../src/doctor/findings.ts'
import { validateJwtSvidResponse } from '../../../src/identify/workload-api/jwt-messages.ts'
import { findingOf, loadedConfig, means, wrongs, type DoctorConfig } from '../../support/doctor-rig.ts'
import { FakeWorkloadApi } from '../../support/fake-workload-api.ts'
import { Issuer } from '../../support/issuer.ts'
import { agentId, ownId, WorkloadCompany } from '../../support/workload-company.ts'
import { authority, byId, jwtAnswer, jwtBundlesAnswer, svidMessage, x509Answer } from '../../support/workload-rig.ts'

const at = 'identify.sources[0]'
const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

/** Looks at a configuration whose first source is this Workload API, with a clock that is so many ms off. */
function examine(socket: string, source: object = {}, rest: Partial<DoctorConfig> = {}, off = 0): Promise<Check[]> {
  const sources = [{ type: 'spiffe', socket, id: ownId, ...source }, ...(rest.sources ?? [])]
  return examineConfiguration(loadedConfig({ ...rest, sources }), null, means({ clock: () => Date.now() + off }))
}

async function company(options: Parameters<typeof WorkloadCompany.found>[0] = {}): Promise<WorkloadCompany> {
  const made = await WorkloadCompany.found(options)
  open.push({ close: () => made[Symbol.asyncDispose]() })
  return made
}

/** A Workload API with one identity, ours, that answers well; a test spoils an answer of it. */
async function fake(): Promise<{ readonly api: FakeWorkloadApi; readonly issuer: Issuer; readonly ca: ReturnType<typeof authority> }> {
  const api = await FakeWorkloadApi.start()
  open.push(api)
  const issuer = new Issuer()
  const ca = authority()
  const token = issuer.mint({ claims: { sub: ownId } })
  const { exp, aud } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  api.push('FetchX509SVID', x509Answer([svidMessage(ca, ownId)]))
  api.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': issuer.jwks() }))
  api.answer('FetchJWTSVID', () => jwtAnswer({ id: ownId, token }))
  api.answer('ValidateJWTSVID', () => validateJwtSvidResponse.encode({ spiffeId: ownId, claims: { sub: ownId, aud, exp } }))
  return { api, issuer, ca }
}

describe('an identity that works', () => {
  test('is told line by line, from the address to the audience', async () => {
    const { socket } = await company()
    const checks = await examine(socket)
    expect(wrongs(checks)).toEqual([])
    expect(checks.map(({ subject, seen }) => `${subject}: ${seen}`.replaceAll(/\d+ min \d+ s|\d+ min/g, '…'))).toEqual([
      `${at}: the Workload API at ${socket} (from ${at}.socket) answers: 2 X.509-SVIDs, default ${ownId}, … left`,
      expect.stringMatching(`^${at.replaceAll(/[[\].]/g, '\\$&')}: ${ownId} verifies with the bundle of acme.example .*left$`),
      expect.stringContaining(`${agentId} verifies`),
      `${at}: the bundles of acme.example are good`,
      `${at}: the bundles of partner.example are good`,
      `${at}: the source of type spiffe can verify`,
      `${at}: a JWT-SVID of ${ownId} for ${ownId} verifies here, it lives …`,
      `identify.audience: ${ownId} is our own SPIFFE ID`,
      'task.agents: a source has the trust domain of every agent (1 trust domain)',
      'standing secrets: there is none: every credential is issued for one task and ends with it',
    ])
  })

  test('is the same by a fake, so that what a test spoils is what is found', async () => {
    const { api } = await fake()
    expect(wrongs(await examine(api.address))).toEqual([])
  })

  test('prints no token and no key', async () => {
    const { api } = await fake()
    const text = JSON.stringify(await examine(api.address))
    expect(text).not.toMatch(/eyJ|PRIVATE|MII/)
  })
})

describe('which identity', () => {
  test('is configured is looked for among those given', async () => {
    const { socket } = await company()
    const checks = await examine(socket, { id: 'spiffe://acme.example/other' })
    expect(wrongs(checks)).toEqual([`error CS2101 ${at}`, `warning CS2301 ${at}`])
    expect(findingOf(checks, 'CS2101').seen).toContain(`given are ${ownId}, ${agentId}`)
    const hinted = await examine(socket, { id: undefined, hint: 'internal' })
    expect(findingOf(hinted, 'CS2101').fix).toContain(`${at}.hint`)
  })

  test('is meant is asked when several are given and none is configured', async () => {
    const { socket } = await company()
    expect(wrongs(await examine(socket, { id: undefined }))).toEqual([`note CS2106 ${at}`])
  })
})

describe('an X.509-SVID', () => {
  test('that is near its end was not renewed in time', async () => {
    const { socket } = await company({ ids: [ownId] })
    const checks = await examine(socket, {}, {}, 260_000)
    expect(wrongs(checks)).toEqual([`warning CS2104 ${at}`])
    expect(findingOf(checks, 'CS2104').seen).toMatch(/has \d+ s left of 5 min 1\d s/)
  })

  test('that has expired proves nothing, and a token of the same age neither', async () => {
    const { socket } = await company({ ids: [ownId] })
    const checks = await examine(socket, {}, {}, 400_000)
    expect(wrongs(checks)).toEqual([`error CS2103 ${at}`, `error CS2302 ${at}`])
    expect(findingOf(checks, 'CS2302').seen).toContain('expired')
  })

  test('of the future means that our clock is behind', async () => {
    const { socket } = await company({ ids: [ownId] })
    const checks = await examine(socket, {}, {}, -120_000)
    expect(wrongs(checks)).toEqual([`error CS2201 ${at}`, `error CS2201 ${at}`])
    expect(checks.filter(({ code }) => code === 'CS2201').every(({ fix }) => fix?.includes('NTP'))).toBe(true)
  })

  test('that lives for days is noted', async () => {
    const { socket } = await company({ ids: [ownId], seconds: 200_000 })
    expect(wrongs(await examine(socket))).toEqual([`note CS2105 ${at}`])
  })

  test('is verified with its own bundle by the rules that peers are held to', async () => {
    const { api, ca } = await fake()
    api.push('FetchX509SVID', x509Answer([svidMessage(ca, ownId, { bundle: Buffer.from(authority().certificate) })]))
    const checks = await examine(api.address)
    expect(wrongs(checks)).toEqual([`error CS2102 ${at}`])
    const listeners = [{ at: '127.0.0.1:7420', tls: 'svid' }]
    expect(wrongs(await examine(api.address, {}, { listeners }))).toEqual([`error CS2102 ${at}`, 'error CS2604 listen.agent[0].tls'])
  })
})

describe('a bundle', () => {
  const partner = 'partner.example'
  /** What is said of a partner's bundles when these are given: one of X.509 authorities, one of JWT keys. */
  async function given(x509: Uint8Array | null, jwks: string | null, agents = [agentId]): Promise<string[]> {
    const { api, issuer, ca } = await fake()
    const federatedBundles = byId(x509 === null ? {} : { [partner]: Buffer.from(x509) })
    api.push('FetchX509SVID', x509Answer([svidMessage(ca, ownId)], { federatedBundles }))
    api.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': issuer.jwks(), ...(jwks === null ? {} : { [partner]: jwks }) }))
    return wrongs(await examine(api.address, {}, { agents }))
  }
  const certificate = authority(partner).certificate
  const keys = new Issuer({ trustDomain: partner })

  test('of a federated trust domain is well', async () => {
    expect(await given(certificate, keys.jwks())).toEqual([])
  })

  test('that is empty revokes everything, which is an error where agents are registered', async () => {
    expect(await given(certificate, '{"keys":[]}')).toEqual([`warning CS2402 ${at}`])
    expect(await given(Buffer.alloc(0), keys.jwks())).toEqual([`warning CS2402 ${at}`])
    expect(await given(certificate, '{"keys":[]}', [`spiffe://${partner}/agent`])).toEqual([`error CS2402 ${at}`])
  })

  test('that cannot be used is told from one that is empty', async () => {
    const leaf = authority(partner).issue({ id: `spiffe://${partner}/agent`, seconds: 60 }).chain[0] ?? new Uint8Array()
    expect(await given(leaf, keys.jwks())).toEqual([`warning CS2403 ${at}`])
    expect(await given(certificate, 'no JSON')).toEqual([`warning CS2403 ${at}`])
    expect(await given(certificate, '{"keys":[{"kty":"oct","k":"AA","kid":"1"}]}')).toEqual([`warning CS2403 ${at}`])
    expect(await given(certificate, 'no JSON', [`spiffe://${partner}/agent`])).toEqual([`error CS2403 ${at}`])
  })

  test('of which a part cannot be used is good for the rest', async () => {
    const leaf = authority(partner).issue({ id: `spiffe://${partner}/agent`, seconds: 60 }).chain[0] ?? new Uint8Array()
    const weak = JSON.stringify({ keys: [...JSON.parse(keys.jwks()).keys, { kty: 'oct', k: 'AA', kid: 'weak' }] })
    expect(await given(Buffer.concat([certificate, leaf]), keys.jwks())).toEqual([`warning CS2404 ${at}`])
    expect(await given(certificate, weak)).toEqual([`warning CS2404 ${at}`])
  })

  test('of one kind without the other is noted', async () => {
    expect(await given(certificate, null)).toEqual([`note CS2405 ${at}`])
    expect(await given(null, keys.jwks())).toEqual([`note CS2405 ${at}`])
  })
})

describe('a JWT-SVID for the audience', () => {
  test.each([
    [status.UNIMPLEMENTED, 'warning'],
    [status.PERMISSION_DENIED, 'warning'],
    [status.UNAVAILABLE, 'error'],
  ])('that is not given (gRPC status %d) is a finding: %s', async (code, severity) => {
    const { api } = await fake()
    api.answer('FetchJWTSVID', () => ({ code, details: 'no' }))
    expect(wrongs(await examine(api.address))).toEqual([`${severity} CS2301 ${at}`])
  })

  test('is verified by our own sources', async () => {
    const { api } = await fake()
    const stranger = new Issuer().mint({ claims: { sub: ownId } })
    api.answer('FetchJWTSVID', () => jwtAnswer({ id: ownId, token: stranger }))
    expect(wrongs(await examine(api.address))).toEqual([`error CS2302 ${at}`])
    const { socket } = await company()
    const short = await examine(socket, { max_lifetime: '1m' })
    expect(findingOf(short, 'CS2302')).toMatchObject({ severity: 'error', seen: expect.stringContaining('valid for') })
  })

  test('of a trust domain that no source takes tokens of is a warning', async () => {
    const { socket } = await company()
    const agents = ['spiffe://partner.example/agent']
    expect(wrongs(await examine(socket, { trust_domains: ['partner.example'] }, { agents }))).toEqual([`warning CS2302 ${at}`])
  })

  test('has to be good for the Workload API too, at once when it is the oracle', async () => {
    const { api } = await fake()
    api.answer('ValidateJWTSVID', () => ({ code: status.INVALID_ARGUMENT, details: 'no' }))
    expect(wrongs(await examine(api.address))).toEqual([`warning CS2303 ${at}`])
    const checks = await examine(api.address, { oracle: true })
    expect(wrongs(checks)).toContain(`error CS2303 ${at}`)
  })

  test('is not one of another identity for the Workload API', async () => {
    const { api } = await fake()
    const claims = { sub: agentId, aud: ownId, exp: Date.now() }
    api.answer('ValidateJWTSVID', () => validateJwtSvidResponse.encode({ spiffeId: agentId, claims }))
    expect(findingOf(await examine(api.address), 'CS2303').seen).toContain(agentId)
  })

  test('need not be judged by a Workload API that cannot', async () => {
    const { api } = await fake()
    api.answer('ValidateJWTSVID', () => ({ code: status.UNIMPLEMENTED, details: 'no' }))
    expect(wrongs(await examine(api.address))).toEqual([])
  })
})

describe('the trust domain of an agent', () => {
  const stranger = 'spiffe://lost.example/agent'

  test('that no source has a bundle of makes every call of it fail', async () => {
    const { socket } = await company()
    const checks = await examine(socket, {}, { agents: [agentId, stranger] })
    expect(wrongs(checks)).toEqual(['error CS2401 task.agents[1].id'])
    expect(findingOf(checks, 'CS2401').seen).toContain(stranger)
    const left = await examine(socket, { trust_domains: ['acme.example'] }, { agents: ['spiffe://partner.example/agent'] })
    expect(wrongs(left)).toEqual(['error CS2401 task.agents[0].id'])
  })

  test('is not asked of an agent that a listener vouches for', async () => {
    const { socket } = await company()
    const listeners = [{ at: '127.0.0.1:7420', ambient: stranger }]
    expect(wrongs(await examine(socket, {}, { agents: [stranger], listeners }))).toEqual([])
  })

  test('may be that of a template of OpenID Connect', async () => {
    const { socket } = await company()
    const oidc = {
      type: 'oidc',
      issuer: 'https://issuer.acme.example',
      audience: 'x',
      id: 'spiffe://lost.example/{sub}',
      keys: { file: 'none' },
    }
    const checks = await examine(socket, {}, { agents: [stranger], sources: [oidc] })
    expect(wrongs(checks)).toEqual(['error CS2502 identify.sources[1]'])
  })

  test('cannot be told while the Workload API gives nothing', async () => {
    const checks = await examine('unix:/nowhere/api.sock', {}, { agents: [stranger] })
    expect(wrongs(checks)).toEqual([`error CS2002 ${at}`])
  })

  test('is asked of an upstream too', async () => {
    const { socket } = await company()
    const route = { tls: 'svid', id: 'spiffe://lost.example/crm' }
    const checks = await examine(socket, {}, { route })
    expect(wrongs(checks)).toEqual(['error CS2401 forward.routes.crm.id'])
    const known = await examine(socket, {}, { route: { tls: 'svid', id: ['spiffe://partner.example/crm'] } })
    expect(wrongs(known)).toEqual([])
    expect(known.map(({ subject }) => subject)).toContain('forward.routes.crm.tls')
  })
})
