import { afterEach, describe, expect, test } from 'vitest'
import { SourceConfig } from '../../../src/identify/registry.ts'
import { kubernetesClaims } from '../../support/api-server.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import type { Jwk } from '../../support/issuer.ts'
import { audience, Opened, openedOidc } from '../../support/oidc-rig.ts'
import type { OpenedOidc } from '../../support/oidc-rig.ts'

const opened = new Opened()
afterEach(() => opened.close())

async function openedWith(config: Jwk): Promise<OpenedOidc> {
  const rig = await openedOidc({ id: 'spiffe://acme.example', ...config })
  opened.keep(rig.source)
  return rig
}

/** What `check` says about settings: path and message of each problem. */
function problems(config: Jwk): string[] {
  const parsed = SourceConfig.safeParse({ type: 'oidc', audience, id: 'spiffe://acme.example', ...config })
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

const required = "the token's claims are not those that are required here"
const mapping = "the token's claims do not make the SPIFFE ID of a workload"

async function told(rig: OpenedOidc, claims: Jwk): Promise<string | null> {
  return (await refusalOf(() => rig.caller(claims)))?.reasons[0] ?? null
}

describe('kubernetes', () => {
  const config = { preset: 'kubernetes', issuer: 'https://kubernetes.default.svc' }

  test('[Countersign: Kubernetes service accounts] namespace and account make the ID', async () => {
    const rig = await openedWith({ ...config, claims: ['kubernetes.io.pod.name', 'kubernetes.io.node.name'] })
    expect(await rig.caller(kubernetesClaims())).toMatchObject({
      id: 'spiffe://acme.example/ns/support/sa/refund-agent',
      issuer: 'https://kubernetes.default.svc',
      claims: { 'kubernetes.io.pod.name': 'refund-agent-0', 'kubernetes.io.node.name': 'worker-1' },
    })
  })

  test('[Countersign: whatever a preset fills in can be set] an ID of a cluster of many', async () => {
    const rig = await openedWith({
      ...config,
      id: 'spiffe://acme.example/eu-1/{kubernetes.io.namespace}/{kubernetes.io.serviceaccount.name}',
    })
    expect(await rig.caller(kubernetesClaims())).toMatchObject({ id: 'spiffe://acme.example/eu-1/support/refund-agent' })
  })

  test.each([
    ['another namespace', { sub: 'system:serviceaccount:other:refund-agent' }],
    ['another account', { sub: 'system:serviceaccount:support:other' }],
    ['more', { sub: 'system:serviceaccount:support:refund-agent:x' }],
    ['no service account', { sub: 'system:node:worker-1' }],
    ['the kind of token from before they were bound', { 'kubernetes.io': undefined, 'kubernetes.io/serviceaccount/namespace': 'support' }],
    ['no account', { 'kubernetes.io': { namespace: 'support' } }],
    ['an account that is text', { 'kubernetes.io': { namespace: 'support', serviceaccount: 'refund-agent' } }],
  ])('[Countersign: Kubernetes service accounts] sub and claims name the same one: %s is refused', async (_, change) => {
    expect(await told(await openedWith(config), kubernetesClaims(change))).toBe(required)
  })

  test('[Countersign: longest lifetime] a token that was extended to a year is refused', async () => {
    const rig = await openedWith(config)
    const iat = rig.clock.now() / 1000
    expect(await told(rig, kubernetesClaims({ iat, exp: iat + 31_536_000 }))).toBe('the token is valid for longer than is accepted')
  })

  test.each([
    'https://kubernetes.default.svc',
    'https://kubernetes.default.svc.cluster.local',
    'https://kubernetes.default.svc/',
    'https://kubernetes.default.svc.prod.internal',
  ])('[Countersign: tokens for the API server prove nothing] the audience %s is refused', (own) => {
    const message = expect.stringMatching(/^audience: is that of the API server/)
    expect(problems({ ...config, audience: own })).toEqual([message])
    expect(problems({ issuer: 'https://x.example', id: 'spiffe://acme.example/{sub}', audience: own })).toEqual([message])
  })

  test('[Countersign: tokens for the API server prove nothing] the issuer as audience is refused', () => {
    const issuer = 'https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE'
    expect(problems({ ...config, issuer, audience: issuer })).toHaveLength(1)
    expect(problems({ ...config, issuer })).toEqual([])
  })
})

describe('github-actions', () => {
  const config = { preset: 'github-actions', require: { repository_owner_id: '2020', ref: 'refs/heads/main' } }
  const claims = {
    sub: 'repo:acme/refunds:ref:refs/heads/main',
    repository: 'acme/refunds',
    repository_id: '424242',
    repository_owner: 'acme',
    repository_owner_id: '2020',
    job_workflow_ref: 'acme/refunds/.github/workflows/agent.yml@refs/heads/main',
    ref: 'refs/heads/main',
    run_id: '22259804324',
    environment: 'production',
  }
  const issuer = { issuer: 'https://token.actions.githubusercontent.com' }

  test('[Countersign: GitHub Actions] numbers, which nobody can take over, make the ID', async () => {
    const rig = await openedWith({ ...issuer, ...config, claims: ['run_id', 'job_workflow_ref'] })
    expect(await rig.caller(claims)).toMatchObject({
      id: 'spiffe://acme.example/github/2020/424242',
      claims: { run_id: '22259804324', job_workflow_ref: claims.job_workflow_ref },
    })
  })

  test('[Countersign: whatever a preset fills in can be set] an environment in the ID', async () => {
    const id = 'spiffe://acme.example/github/{repository_id}/env/{environment}'
    const rig = await openedWith({ ...issuer, ...config, id })
    expect(await rig.caller(claims)).toMatchObject({ id: 'spiffe://acme.example/github/424242/env/production' })
    expect(await told(rig, { ...claims, environment: undefined })).toBe(mapping)
    expect(await told(rig, { ...claims, environment: 'prod eu' })).toBe(mapping)
  })

  test('[Countersign: GitHub Actions] other branches, other owners and names for numbers are refused', async () => {
    const rig = await openedWith({ ...issuer, ...config })
    expect(await told(rig, { ...claims, ref: 'refs/heads/x' })).toBe(required)
    expect(await told(rig, { ...claims, repository_owner_id: '2021' })).toBe(required)
    expect(await told(rig, { ...claims, repository_id: 'refunds' })).toBe(required)
    expect(await told(rig, { ...claims, repository_id: undefined })).toBe(required)
  })

  test('[Countersign: an issuer of strangers is pinned] without an owner or repository everybody on GitHub would be a caller', () => {
    expect(problems({ preset: 'github-actions' })).toEqual([expect.stringMatching(/^preset: github-actions serves strangers too/)])
    expect(problems({ preset: 'github-actions', require: { repository: 'acme/refunds' } })).toHaveLength(1)
    expect(problems(config)).toEqual([])
    expect(problems({ ...config, require: { repository_id: ['1', '2'] } })).toEqual([])
  })
})

describe('gcp', () => {
  const config = { preset: 'gcp', issuer: 'https://accounts.google.com', require: { sub: ['113774264463038321964'] } }
  const claims = {
    sub: '113774264463038321964',
    azp: '113774264463038321964',
    email: 'agent@acme.iam.gserviceaccount.com',
    email_verified: true,
  }

  test('[Countersign: Google Cloud] the number of the service account makes the ID', async () => {
    const rig = await openedWith(config)
    expect(await rig.caller(claims)).toMatchObject({ id: 'spiffe://acme.example/gcp/113774264463038321964' })
    expect(await rig.caller({ sub: claims.sub })).toMatchObject({ id: 'spiffe://acme.example/gcp/113774264463038321964' })
  })

  test.each([
    ['false', { email_verified: false }],
    ['text', { email_verified: 'true' }],
    ['absent', { email_verified: undefined }],
  ])('[Countersign: Google Cloud] an email that is not verified is refused: %s', async (_, change) => {
    expect(await told(await openedWith(config), { ...claims, ...change })).toBe(required)
  })

  test('[Countersign: Google Cloud] a subject that is no number, or another, is refused', async () => {
    const rig = await openedWith({ ...config, require: { email: claims.email } })
    expect(await told(rig, { ...claims, sub: 'agent' })).toBe(required)
    expect(await told(await openedWith(config), { ...claims, sub: '1' })).toBe(required)
  })

  test('[Countersign: an issuer of strangers is pinned] without an account or project everybody at Google would be a caller', () => {
    expect(problems({ preset: 'gcp' })).toHaveLength(1)
    expect(problems({ preset: 'gcp', require: { 'google.compute_engine.project_number': 7 } })).toEqual([])
  })
})

describe('aws', () => {
  const config = { preset: 'aws', issuer: 'https://abc123-def456.tokens.sts.global.api.aws' }
  const own = { aws_account: '123456789012', source_region: 'eu-central-1' }
  const claims = { sub: 'arn:aws:iam::123456789012:role/agents/RefundAgent', 'https://sts.amazonaws.com/': own }

  test('[Countersign: AWS] account and role of the ARN make the ID', async () => {
    const rig = await openedWith({ ...config, claims: ['https://sts.amazonaws.com/.source_region', '@account'] })
    expect(await rig.caller(claims)).toMatchObject({
      id: 'spiffe://acme.example/aws/123456789012/role/agents/RefundAgent',
      claims: { 'https://sts.amazonaws.com/.source_region': 'eu-central-1', '@account': '123456789012' },
    })
    expect(await rig.caller({ ...claims, sub: 'arn:aws:iam::123456789012:user/ops' })).toMatchObject({
      id: 'spiffe://acme.example/aws/123456789012/user/ops',
    })
  })

  test.each([
    ['a session', { sub: 'arn:aws:sts::123456789012:assumed-role/RefundAgent/x' }],
    ['the root of an account', { sub: 'arn:aws:iam::123456789012:root' }],
    ['another account than it says elsewhere', { sub: 'arn:aws:iam::210987654321:role/RefundAgent' }],
    ['no account elsewhere', { 'https://sts.amazonaws.com/': undefined }],
    ['no ARN', { sub: 'RefundAgent' }],
  ])('[Countersign: AWS] any other subject is refused: %s', async (_, change) => {
    expect(await told(await openedWith(config), { ...claims, ...change })).toBe(required)
  })

  test('[Countersign: claims are taken as they are or not at all] a role whose name SPIFFE does not allow makes no ID', async () => {
    expect(await told(await openedWith(config), { ...claims, sub: 'arn:aws:iam::123456789012:role/a+b@acme' })).toBe(mapping)
    expect(await told(await openedWith(config), { ...claims, sub: 'arn:aws:iam::123456789012:role/../x' })).toBe(mapping)
  })
})

describe('azure', () => {
  const tenant = 'aaaabbbb-0000-cccc-1111-dddd2222eeee'
  const config = { preset: 'azure', issuer: `https://login.microsoftonline.com/${tenant}/v2.0` }
  const claims = {
    tid: tenant,
    oid: 'aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb',
    sub: 'aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb',
    azp: '00001111-aaaa-2222-bbbb-3333cccc4444',
  }

  test('[Countersign: Entra ID] tenant and object make the ID, for tokens of either version', async () => {
    const id = `spiffe://acme.example/azure/${tenant}/${claims.oid}`
    expect(await (await openedWith(config)).caller(claims)).toMatchObject({ id })
    const first = await openedWith({ ...config, issuer: `https://sts.windows.net/${tenant}/`, claims: ['@app'] })
    expect(await first.caller({ ...claims, azp: undefined, appid: claims.azp })).toMatchObject({ id, claims: { '@app': claims.azp } })
  })

  test.each([
    ['another tenant', { tid: 'aaaabbbb-0000-cccc-1111-dddd2222ffff' }],
    ['no tenant', { tid: undefined }],
    ['no object', { oid: undefined }],
    ['no application', { azp: undefined }],
    ['a person', { scp: 'Orders.Read' }],
    ['a person by type', { idtyp: 'user' }],
  ])('[Countersign: Entra ID] refused: %s', async (_, change) => {
    expect(await told(await openedWith(config), { ...claims, ...change })).toBe(required)
  })

  test.each(['common', 'organizations', 'acme.example', 'AAAABBBB-0000-CCCC-1111-DDDD2222EEEE'])(
    '[Countersign: Entra ID] an issuer without one tenant is refused: %s',
    (name) => {
      expect(problems({ ...config, issuer: `https://login.microsoftonline.com/${name}/v2.0` })).toEqual([
        expect.stringMatching(/^issuer: must name one tenant/),
      ])
    },
  )
})

describe('settings', () => {
  test.each([
    ['no issuer', { id: 'spiffe://acme.example/{sub}' }, /^issuer: has to be set/],
    ['no issuer for a platform of many', { preset: 'kubernetes' }, /^issuer: has to be set/],
    ['plain HTTP', { issuer: 'http://issuer.acme.example', id: 'spiffe://acme.example/{sub}' }, /^issuer: must be an https URL/],
    ['a query', { issuer: 'https://issuer.acme.example/?x', id: 'spiffe://acme.example/{sub}' }, /^issuer: must have no query/],
    ['no audience', { audience: undefined, issuer: 'https://x.example', id: 'spiffe://acme.example/{sub}' }, /^audience/],
    ['an empty audience', { audience: '', issuer: 'https://x.example', id: 'spiffe://acme.example/{sub}' }, /^audience/],
    ['an ID that all share', { issuer: 'https://x.example', id: 'spiffe://acme.example/ci' }, /^id: makes one caller of all/],
    ['a trust domain without preset', { issuer: 'https://x.example' }, /^id: .*add a path/],
    [
      'a part that no preset makes',
      { issuer: 'https://x.example', id: 'spiffe://acme.example/{@account}' },
      /^id: \{@account\} is nothing/,
    ],
    ['a part of another preset', { preset: 'kubernetes', issuer: 'https://x.example', id: 'spiffe://acme.example/{@account}' }, /^id: /],
    [
      'a review elsewhere with our own token',
      { preset: 'kubernetes', issuer: 'https://x.example', review: { url: 'https://api.x.example' } },
      /^review.token/,
    ],
    [
      'a review kept for more than a minute',
      { preset: 'kubernetes', issuer: 'https://x.example', review: { keep: '61s' } },
      /^review.keep/,
    ],
    [
      'a review over plain HTTP',
      { preset: 'kubernetes', issuer: 'https://x.example', review: { url: 'http://api.x.example', token: { file: 'x' } } },
      /^review.url/,
    ],
  ])('[Countersign: settings that cannot be meant are refused] %s', (_, config, message) => {
    expect(problems(config)).toEqual([expect.stringMatching(message)])
  })

  test('[Countersign: an ID is made from claims by template] one ID for tokens that are required to be of one workload', async () => {
    const rig = await openedOidc({ id: 'spiffe://acme.example/ci/release', require: { sub: 'agent-7' } })
    opened.keep(rig.source)
    expect(await rig.caller()).toMatchObject({ id: 'spiffe://acme.example/ci/release' })
    expect(await told(rig, { sub: 'agent-8' })).toBe(required)
  })
})
