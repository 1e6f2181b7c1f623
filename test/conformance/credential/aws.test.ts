import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { forwardConfig } from '../../../src/config/forward.ts'
import type { CredentialProvider, Issued, Wanted } from '../../../src/credential/credential.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { Secret } from '../../../src/secret.ts'
import { roleArn, StsStandIn, type StsOptions, type Tamper } from '../../support/aws-sts.ts'
import { refusalOf, TestClock } from '../../support/identity-rig.ts'
import { calm, key, provider, providerServices, wanted } from '../../support/provider-rig.ts'

const clock = new TestClock()
const region = 'eu-central-1'
const services = providerServices({}, clock.now)
const scope = ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query']
const resources = ['arn:aws:dynamodb:eu-central-1:123456789012:table/orders']
const open: StsStandIn[] = []
afterEach(async () => {
  for (const sts of open.splice(0)) await sts.close()
})

async function start(options: Partial<StsOptions> = {}): Promise<StsStandIn> {
  const keys = { keys: [...key.publicKeys().keys] }
  const sts = await StsStandIn.start({ issuer: services.issuer, keys, clock: clock.now, subject: services.issuer, ...options })
  open.push(sts)
  return sts
}

function config(url: string, more: object = {}): object {
  const apply = { sigv4: { service: 'dynamodb', region } }
  return { type: 'aws', role: roleArn, region, endpoint: url, identity: 'signed', scope, resources, apply, ...more }
}

const asked = (more: Partial<Wanted> = {}): Wanted => wanted({ scopes: ['dynamodb:GetItem'], ttl: 60_000, ...more })

async function issued(sts: StsStandIn, more: object = {}, want = asked()): Promise<Issued> {
  return provider(config(sts.url, more), services).issue(want, calm)
}

describe('AssumeRoleWithWebIdentity, as STS describes it', () => {
  it('asks for keys of the role, for the task by name, with our own identity, and for no longer than it must', async () => {
    const sts = await start()
    const got = await issued(sts)
    expect(sts.asked).toEqual([
      {
        Action: 'AssumeRoleWithWebIdentity',
        Version: '2011-06-15',
        RoleArn: roleArn,
        RoleSessionName: wanted().task,
        DurationSeconds: '900',
        Policy: JSON.stringify({
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: ['dynamodb:GetItem'], Resource: resources }],
        }),
      },
    ])
    expect(sts.tokens).toMatchObject([{ iss: services.issuer, sub: services.issuer, aud: 'sts.amazonaws.com', jti: wanted().lease }])
    const [session] = sts.sessions.values()
    expect(got).toMatchObject({ user: session?.keyId, scopes: ['dynamodb:GetItem'], handle: null, revocation: 'expiry', excess: null })
    expect(got.secret.reveal()).toBe(session?.secret)
    expect(got.parts?.['session_token']?.reveal()).toBe(session?.token)
    expect(got.expires).toBe(clock.now() + 900_000)
  })

  it('asks for as long as the lease may live where that is more than the floor, in whole seconds', async () => {
    const sts = await start()
    await issued(sts, { ttl: '30m' }, asked({ ttl: 1_234_567 }))
    expect(sts.asked[0]?.['DurationSeconds']).toBe('1234')
  })

  it('knows the endpoint of each region and partition', async () => {
    const urls: string[] = []
    const offline = providerServices({}, clock.now, {
      fetch: (url) => {
        urls.push(url)
        return Promise.reject(Object.assign(new Error('down'), { code: 'ECONNREFUSED' }))
      },
    })
    for (const more of [{}, { role: roleArn.replace('arn:aws:', 'arn:aws-cn:'), region: 'cn-north-1' }]) {
      const { endpoint: _endpoint, ...regional } = { ...config(''), endpoint: '', ...more }
      await refusalOf(() => provider(regional, offline).issue(asked(), calm))
    }
    expect(urls).toEqual(['https://sts.eu-central-1.amazonaws.com/', 'https://sts.cn-north-1.amazonaws.com.cn/'])
  })

  it('names managed policies, which limit the session further', async () => {
    const sts = await start()
    const arns = ['arn:aws:iam::aws:policy/ReadOnlyAccess', 'arn:aws:iam::123456789012:policy/agents/refunds']
    await issued(sts, { policy_arns: arns })
    expect([...sts.sessions.values()][0]?.policyArns).toEqual(arns)
  })

  it('sends no session policy where none is configured: then the role decides', async () => {
    const sts = await start()
    const got = await issued(sts, { scope: [] }, asked({ scopes: [] }))
    expect(got.excess).toBeNull()
    expect(sts.asked[0]).not.toHaveProperty('Policy')
  })

  it('does not ask without an action where actions are configured, for the role may do more', async () => {
    const sts = await start()
    const refusal = await refusalOf(() => issued(sts, {}, asked({ scopes: [] })))
    expect(refusal?.code).toBe('credential.unavailable')
    expect(sts.asked).toEqual([])
  })

  it('takes a token that the platform keeps in a file', async () => {
    const sts = await start()
    const now = Math.floor(clock.now() / 1000)
    const token = await key.sign('JWT', { iss: services.issuer, sub: services.issuer, aud: 'sts.amazonaws.com', iat: now, exp: now + 60 })
    const filed = providerServices({ '/var/run/token': `${token}\n` }, clock.now)
    const got = await provider(config(sts.url, { identity: { token_file: '/var/run/token' } }), filed).issue(asked(), calm)
    expect(got.excess).toBeNull()
  })

  it('takes a JWT-SVID of our own, asked for with the audience of the identity provider', async () => {
    const audiences: string[] = []
    const sts = await start({ audiences: ['countersign'] })
    const now = Math.floor(clock.now() / 1000)
    const svid = async (audience: string): Promise<Secret> => {
      audiences.push(audience)
      return new Secret(await key.sign('JWT', { iss: services.issuer, sub: services.issuer, aud: audience, iat: now, exp: now + 60 }))
    }
    const own = providerServices({}, clock.now, { svid })
    const got = await provider(config(sts.url, { identity: 'svid', audience: 'countersign' }), own).issue(asked(), calm)
    expect(got.excess).toBeNull()
    expect(audiences).toEqual(['countersign'])
  })
})

describe('session tags', () => {
  it('name task, agent and tool, and stay when another role is assumed from there', async () => {
    const sts = await start()
    await issued(sts, { tags: true })
    const [session] = sts.sessions.values()
    expect(session?.tags).toEqual({ task: wanted().task, agent: wanted().caller, tool: wanted().tool })
    expect(session?.transitive).toEqual(['task', 'agent', 'tool'])
  })

  it('are refused where the trust policy does not allow them, in words that say so', async () => {
    const sts = await start({ tagSession: false })
    const refusal = await refusalOf(() => issued(sts, { tags: true }))
    expect(refusal?.detail).toContain('sts:TagSession')
  })

  it('need a token of our own key', () => {
    expect(() => provider(config('http://127.0.0.1:1', { identity: 'svid', tags: true }), services)).toThrow('identity: signed')
  })

  it('do not fit an ID that is too long, and then nothing is asked', async () => {
    const sts = await start()
    const refusal = await refusalOf(() => issued(sts, { tags: true }, asked({ caller: `spiffe://acme.example/${'a'.repeat(250)}` })))
    expect(refusal?.detail).toContain('256')
    expect(sts.asked).toEqual([])
  })
})

describe('settings that cannot work', () => {
  it('such as a session policy that is too long say so before anything is asked', () => {
    const many = Array.from({ length: 40 }, (_, at) => `arn:aws:s3:::a-bucket-with-quite-a-long-name-${at}/prefix/*`)
    expect(() => provider(config('http://127.0.0.1:1', { resources: many }), services)).toThrow('2048')
  })

  it.each([
    ['a role that is none', { role: 'arn:aws:iam::123456789012:user/me' }],
    ['plain HTTP to elsewhere', { endpoint: 'http://sts.example/' }],
    ['an action that is none', { scope: ['s3:Get Object'] }],
    ['every action of every service', { scope: ['*'] }],
    ['a resource that is no ARN', { resources: ['orders'] }],
    ['another way to apply than by signature', { apply: { header: 'Authorization' } }],
    ['a life longer than a role can give', { ttl: '13h' }],
  ])('are refused: %s', (_what, more) => {
    expect(() => provider(config('http://127.0.0.1:1', more), services)).toThrow()
  })
})

describe('the page about AWS', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/aws.md'), 'utf8')
  const [shown = ''] = Array.from(page.matchAll(/^```yaml\n([^]*?)^```/gm), (match) => match[1])

  it('shows settings that work', () => {
    const { credential, forward } = parse(shown) as { credential: { providers: Record<string, object> }; forward: object }
    expect(Object.keys(credential.providers)).toHaveLength(2)
    for (const settings of Object.values(credential.providers)) expect(provider(settings, services).type).toBe('aws')
    expect(forwardConfig.safeParse(forward).error).toBeUndefined()
  })

  it('shows documents that are JSON', () => {
    const documents = Array.from(page.matchAll(/^```json\n([^]*?)^```/gm), (match) => match[1] ?? '')
    expect(documents).toHaveLength(3)
    for (const document of documents) expect(() => JSON.parse(document) as unknown).not.toThrow()
  })
})

describe('an answer that is no', () => {
  it.each<[string, Partial<StsOptions>, object]>([
    ['AccessDenied', { subject: 'somebody-else' }, {}],
    ['InvalidIdentityToken', { issuer: 'https://another.example' }, {}],
    ['ValidationError', { longest: 900 }, { ttl: '1h' }],
  ])('%s is told by its code with what to do, and nothing was issued', async (code, options, more) => {
    const sts = await start(options)
    const refusal = await refusalOf(() => issued(sts, more, asked({ ttl: 3_600_000 })))
    expect(refusal?.code).toBe('credential.unavailable')
    expect(refusal?.detail).toMatch(new RegExp(`${code}: \\w`))
    expect(refusal?.retry).toBe('never')
    expect(refusal?.cause).not.toBeInstanceOf(Unanswered)
    expect(sts.sessions.size).toBe(0)
  })

  it('never tells what STS says besides, for it quotes the token', async () => {
    const sts = await start({ issuer: 'https://another.example' })
    const refusal = await refusalOf(() => issued(sts))
    expect(JSON.stringify({ ...refusal, cause: String(refusal?.cause) })).not.toContain('eyJ')
  })

  it('ExpiredTokenException tells to compare the clocks', async () => {
    const sts = await start({ clock: () => clock.now() + 120_000 })
    expect((await refusalOf(() => issued(sts)))?.detail).toContain('clocks')
  })

  it.each([
    ['Throttling', 'later'],
    ['IDPCommunicationError', 'later'],
    ['PackedPolicyTooLarge', 'never'],
    ['constructor', 'never'],
    ['<b>', 'never'],
  ])('of the code %s may be asked again %s', async (code, retry) => {
    const sts = await start()
    sts.tampers.push((response) =>
      response
        .writeHead(400)
        .end(`<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>m</Message></Error></ErrorResponse>`),
    )
    const refusal = await refusalOf(() => issued(sts))
    expect(refusal?.retry).toBe(retry)
    expect(refusal?.detail).not.toContain('<b>')
  })
})

describe('what came is judged', () => {
  const replace =
    (from: string | RegExp, to: string): Tamper =>
    (response, xml) =>
      void response.writeHead(200, { 'content-type': 'text/xml' }).end(xml.replace(from, to))

  it.each<[string, Tamper, string]>([
    ['another role', replace('assumed-role/refunds', 'assumed-role/admin'), 'role and task'],
    ['another account', replace('sts::123456789012', 'sts::999999999999'), 'role and task'],
    ['the session of another task', replace(`refunds/${wanted().task}`, 'refunds/t_01JDZZZZZZZZZZZZZZZZZZZZZY'), 'role and task'],
    ['no session at all', replace(/<AssumedRoleUser>[\s\S]*<\/AssumedRoleUser>/, ''), 'role and task'],
    ['long-term keys', replace('>ASIA', '>AKIA'), 'not temporary'],
    ['another audience', replace('>sts.amazonaws.com<', '>other<'), 'audience'],
    ['another subject', replace(/<SubjectFromWebIdentityToken>[^<]*/, '<SubjectFromWebIdentityToken>other'), 'subject'],
    ['a session policy that was overlooked', replace(/<PackedPolicySize>6<\/PackedPolicySize>/, ''), 'session policy'],
    [
      'a life longer than asked',
      replace(/<Expiration>[^<]*/, `<Expiration>${new Date(clock.now() + 3_600_000).toISOString()}`),
      'lives longer',
    ],
  ])('and too wide when it is %s', async (_what, tamper, why) => {
    const sts = await start()
    sts.tampers.push(tamper)
    expect((await issued(sts)).excess).toContain(why)
  })

  it('but the floor of STS, and a clock a little ahead, are not too wide', async () => {
    const sts = await start({ clock: () => clock.now() + 20_000 })
    expect((await issued(sts, {}, asked({ ttl: 5000 }))).excess).toBeNull()
    expect(provider(config(sts.url), services).floor).toBe(900_000)
  })

  it.each<[string, Tamper]>([
    ['is no XML', (response) => void response.writeHead(200).end('{"Credentials":{}}')],
    ['is empty', (response) => void response.writeHead(200).end()],
    ['is torn', (response, xml) => void response.writeHead(200).end(xml.slice(0, 400))],
    ['holds no secret key', replace(/<SecretAccessKey>[^<]*<\/SecretAccessKey>/, '')],
    ['holds two', replace('<SecretAccessKey>', '<SecretAccessKey>aaaaaaaaaaaaaaaaaaaaaaaa</SecretAccessKey><SecretAccessKey>')],
    ['holds a token that could end a header', replace('<SessionToken>', '<SessionToken>a&#13;&#10;b')],
    ['expires at no time', replace(/<Expiration>[^<]*/, '<Expiration>soon')],
    ['declares an entity', replace(/^/, '<!DOCTYPE a [<!ENTITY b "c">]>')],
    ['is another answer', replaceAll('AssumeRoleWithWebIdentityResponse', 'AssumeRoleResponse')],
    ['is 500', (response) => void response.writeHead(500).end()],
    ['never comes whole', (response) => void response.writeHead(200, { 'content-length': 10_000 }).end('<a>', () => response.destroy())],
    ['never comes', (response) => void response.destroy()],
  ])('and when it %s, nobody knows what was issued', async (_what, tamper) => {
    const sts = await start()
    sts.tampers.push(tamper)
    const refusal = await refusalOf(() => issued(sts))
    expect(refusal?.code).toBe('credential.unavailable')
    expect(refusal?.cause).toBeInstanceOf(Unanswered)
  })

  it('and a redirect is not followed with the token', async () => {
    const [sts, other] = [await start(), await start()]
    sts.tampers.push((response) => void response.writeHead(307, { location: other.url }).end())
    const refusal = await refusalOf(() => issued(sts))
    expect(refusal?.code).toBe('credential.unavailable')
    expect(other.asked).toEqual([])
  })

  function replaceAll(from: string, to: string): Tamper {
    return (response, xml) => void response.writeHead(200).end(xml.replaceAll(from, to))
  }
})

describe('a provider of keys', () => {
  it('is not standing, cannot revoke, and signs', async () => {
    const sts = await start()
    const from: CredentialProvider = provider(config(sts.url), services)
    expect(from.standing).toBe(false)
    expect('revoke' in from).toBe(false)
    expect(from.placement).toEqual({ in: 'sigv4', service: 'dynamodb', region })
  })

  it('gives up when its signal aborts, or STS takes too long', async () => {
    const sts = await start()
    sts.tampers.push(() => {})
    const slow = await refusalOf(() => issued(sts, { timeout: '50ms' }))
    expect(slow?.cause).toBeInstanceOf(Unanswered)
  })
})
