/**
 * A stand-in for AWS STS and the part of IAM behind it. It knows AssumeRoleWithWebIdentity as its reference describes it, checks every
 * parameter against the documented shape, and refuses what STS would. It was never held against the real service.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { randomBytes } from 'node:crypto'
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose'
import { AwsFault, type AwsKeys } from './sigv4-verifier.ts'

/** A session as IAM knows it. */
export interface AwsSession extends AwsKeys {
  readonly keyId: string
  readonly name: string
  readonly seconds: number
  readonly policy: SessionPolicy | null
  readonly policyArns: readonly string[]
  readonly tags: Readonly<Record<string, string>>
  readonly transitive: readonly string[]
}

export interface SessionPolicy {
  readonly Version: string
  readonly Statement: readonly { readonly Effect: string; readonly Action: readonly string[]; readonly Resource: readonly string[] }[]
}

export interface StsOptions {
  /** The identity provider that IAM knows. */
  readonly issuer: string
  /** Its published keys, or where they are read. */
  readonly keys: JSONWebKeySet | (() => Promise<JSONWebKeySet>)
  /** Client IDs of it. */
  readonly audiences?: readonly string[]
  readonly role?: string
  /** Whom the trust policy lets in. */
  readonly subject?: string
  /** The trust policy allows sts:TagSession. */
  readonly tagSession?: boolean
  /** Longest session of the role, s. */
  readonly longest?: number
  readonly clock?: () => number
}

export const roleArn = 'arn:aws:iam::123456789012:role/agents/refunds'

/** What the stand-in does to its next answer; each is used once. */
export type Tamper = (response: ServerResponse, xml: string) => void

export class StsStandIn {
  readonly sessions = new Map<string, AwsSession>()
  /** Parameters of what was asked, oldest first; without the token. */
  readonly asked: Readonly<Record<string, string>>[] = []
  /** Claims of the tokens that verified. */
  readonly tokens: JWTPayload[] = []
  readonly tampers: Tamper[] = []
  readonly #options: StsOptions
  readonly #server = createServer((request, response) => void this.#serve(request, response))

  constructor(options: StsOptions) {
    this.#options = options
  }

  static async start(options: StsOptions): Promise<StsStandIn> {
    const sts = new StsStandIn(options)
    await new Promise<void>((resolve) => sts.#server.listen(0, '127.0.0.1', resolve))
    return sts
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #now(): number {
    return (this.#options.clock ?? Date.now)()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const tamper = this.tampers.shift()
    const send = (status: number, xml: string): void => {
      if (tamper !== undefined) return tamper(response, xml)
      response.writeHead(status, { 'content-type': 'text/xml', 'x-amzn-requestid': 'r-1' }).end(xml)
    }
    try {
      send(200, await this.#answer(request, Buffer.concat(parts).toString('utf8')))
    } catch (error) {
      const { status, code, message } = error instanceof AwsFault ? error : new AwsFault(500, 'InternalFailure', String(error))
      const type = status < 500 ? 'Sender' : 'Receiver'
      send(
        status,
        `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <Error>\n    <Type>${type}</Type>\n    <Code>${code}</Code>\n    <Message>${message}</Message>\n  </Error>\n  <RequestId>r-1</RequestId>\n</ErrorResponse>\n`,
      )
    }
  }

  async #answer(request: IncomingMessage, body: string): Promise<string> {
    if (request.method !== 'POST' || request.url !== '/') throw new AwsFault(404, 'UnknownOperationException', 'no such operation')
    if (request.headers.authorization !== undefined) throw new AwsFault(400, 'InvalidRequest', 'this operation is called unsigned')
    if (!/^application\/x-www-form-urlencoded(; ?charset=utf-8)?$/i.test(request.headers['content-type'] ?? ''))
      throw new AwsFault(400, 'MalformedInput', 'Content-Type is not that of a form')
    const form = new URLSearchParams(body)
    const names = [...form.keys()]
    if (names.length !== new Set(names).size) throw invalid('a parameter stands twice')
    const known =
      /^(Action|Version|RoleArn|RoleSessionName|WebIdentityToken|ProviderId|DurationSeconds|Policy|PolicyArns\.member\.([1-9]|10)\.arn)$/
    for (const name of names) if (!known.test(name)) throw invalid(`${name} is no parameter of this operation`)
    if (form.get('Action') !== 'AssumeRoleWithWebIdentity') throw new AwsFault(400, 'InvalidAction', 'no such action')
    if (form.get('Version') !== '2011-06-15') throw new AwsFault(400, 'InvalidAction', 'no such version')
    const { WebIdentityToken: token = '', ...asked } = Object.fromEntries(form)
    this.asked.push(asked)
    if (token.length < 4 || token.length > 20_000) throw invalid('webIdentityToken')
    return this.#assume(form, await this.#verified(token))
  }

  async #verified(token: string): Promise<JWTPayload> {
    const { issuer, keys, audiences = ['sts.amazonaws.com'] } = this.#options
    const currentDate = new Date(this.#now)
    try {
      const { payload } = await jwtVerify(token, createLocalJWKSet(typeof keys === 'function' ? await keys() : keys), {
        issuer,
        audience: [...audiences],
        currentDate,
        requiredClaims: ['sub', 'aud', 'exp', 'iat'],
      })
      this.tokens.push(payload)
      return payload
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw new AwsFault(400, 'ExpiredTokenException', `Token expired: ${token}`)
      throw new AwsFault(400, 'InvalidIdentityToken', `The token could not be verified: ${token}`)
    }
  }

  #assume(form: URLSearchParams, claims: JWTPayload): string {
    const { role = roleArn, subject, tagSession = true, longest = 3600, issuer } = this.#options
    const name = form.get('RoleSessionName') ?? ''
    if (!/^[\w+=,.@-]{2,64}$/.test(name)) throw invalid('roleSessionName')
    const seconds = Number(form.get('DurationSeconds') ?? '3600')
    if (!Number.isInteger(seconds) || seconds < 900 || seconds > 43_200) throw invalid('durationSeconds')
    if (form.get('RoleArn') !== role || (subject !== undefined && claims.sub !== subject)) throw denied('sts:AssumeRoleWithWebIdentity')
    if (seconds > longest) throw invalid('The requested DurationSeconds exceeds the MaxSessionDuration set for this role')
    const { tags, transitive } = tagsOf(claims)
    if (Object.keys(tags).length > 0 && !tagSession) throw denied('sts:TagSession')
    const policy = policyOf(form.get('Policy'))
    const policyArns = [...form].filter(([key]) => key.startsWith('PolicyArns.')).map(([, arn]) => arn)
    for (const arn of policyArns) if (!/^arn:aws:iam::(\d{12}|aws):policy\/.+$/.test(arn)) throw invalid('policyArns')
    const keyId = `ASIA${randomBytes(8).toString('hex').toUpperCase()}`
    const expires = Math.floor(this.#now / 1000) * 1000 + seconds * 1000
    const secret = randomBytes(30).toString('base64')
    const session: AwsSession = {
      keyId,
      secret,
      token: randomBytes(300).toString('base64'),
      expires,
      name,
      seconds,
      policy,
      policyArns,
      tags,
      transitive,
    }
    this.sessions.set(keyId, session)
    const limited = policy !== null || policyArns.length > 0 || Object.keys(tags).length > 0
    return answerXml(session, role, { issuer, subject: claims.sub ?? '', audience: [claims.aud].flat()[0] ?? '' }, limited)
  }
}

interface Proven {
  readonly issuer: string
  readonly subject: string
  readonly audience: string
}

function answerXml(session: AwsSession, role: string, { issuer, subject, audience }: Proven, limited: boolean): string {
  const arn = role
    .replace(':iam:', ':sts:')
    .replace(/:role\/.*\//, ':assumed-role/')
    .replace(':role/', ':assumed-role/')
  return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>${subject}</SubjectFromWebIdentityToken>
    <Audience>${audience}</Audience>
    <AssumedRoleUser>
      <Arn>${arn}/${session.name}</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:${session.name}</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>${session.token}</SessionToken>
      <SecretAccessKey>${session.secret}</SecretAccessKey>
      <Expiration>${new Date(session.expires).toISOString().replace('.000', '')}</Expiration>
      <AccessKeyId>${session.keyId}</AccessKeyId>
    </Credentials>${limited ? '\n    <PackedPolicySize>6</PackedPolicySize>' : ''}
    <Provider>${issuer}</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata>
    <RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId>
  </ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>
`
}

/** Session tags of a web identity are in its token. */
function tagsOf(claims: JWTPayload): { readonly tags: Readonly<Record<string, string>>; readonly transitive: readonly string[] } {
  const claim = claims['https://aws.amazon.com/tags']
  if (claim === undefined) return { tags: {}, transitive: [] }
  const {
    principal_tags: principal,
    transitive_tag_keys: transitive = [],
    ...rest
  } = claim as {
    principal_tags: Record<string, string[]>
    transitive_tag_keys?: string[]
  }
  if (Object.keys(rest).length > 0 || Object.keys(principal).length > 50) throw invalid('tags')
  const tags = Object.entries(principal).map(([key, values]) => {
    const value = values[0] ?? ''
    const fits =
      values.length === 1 && /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u.test(key) && /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u.test(value)
    if (!fits) throw new AwsFault(400, 'IDPRejectedClaim', 'a tag is malformed')
    return [key, value] as const
  })
  if (transitive.some((key) => !(key in principal))) throw invalid('transitive_tag_keys')
  return { tags: Object.fromEntries(tags), transitive }
}

function policyOf(text: string | null): SessionPolicy | null {
  if (text === null) return null
  if (text.length < 1 || text.length > 2048 || !/^[\t\n\r\x20-\xff]+$/.test(text)) throw invalid('policy')
  try {
    const policy = JSON.parse(text) as SessionPolicy
    const sound =
      policy.Version === '2012-10-17' &&
      policy.Statement.every(
        ({ Effect, Action, Resource }) =>
          Effect === 'Allow' &&
          Action.every((one) => /^[a-z0-9-]+:[A-Za-z*?]+$/.test(one)) &&
          Resource.every((one) => one === '*' || one.startsWith('arn:')),
      )
    if (sound) return policy
  } catch {}
  throw new AwsFault(400, 'MalformedPolicyDocument', 'the policy document was malformed')
}

/** As IAM decides for a session whose role may do everything: what its session policy allows. */
export function authorize(session: AwsSession, action: string, resource: string): void {
  const { policy } = session
  if (policy === null) return
  const allowed = policy.Statement.some(
    ({ Action, Resource }) => Action.some((one) => like(one, action, true)) && Resource.some((one) => like(one, resource, false)),
  )
  if (!allowed)
    throw new AwsFault(
      403,
      'AccessDenied',
      `assumed-role/refunds/${session.name} is not authorized to perform: ${action} because no session policy allows it`,
    )
}

function like(pattern: string, text: string, anyCase: boolean): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\/]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, anyCase ? 'i' : '').test(text)
}

function invalid(what: string): AwsFault {
  return new AwsFault(400, 'ValidationError', `1 validation error detected: ${what}`)
}

function denied(action: string): AwsFault {
  return new AwsFault(403, 'AccessDenied', `Not authorized to perform ${action}`)
}
