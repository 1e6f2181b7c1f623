import { Refusal } from '../refusal.ts'
import { AwsConfig } from './aws-config.ts'
import { assumed, judgeSession, type AskedSession, type Session } from './aws-session.ts'
import { askIssuer, type Answer } from './ask-issuer.ts'
import type { CredentialProvider, Issued, Wanted } from './credential.ts'
import { ownIdentity } from './own-identity.ts'
import { judged } from './judge.ts'
import { defineProvider, unanswered, type ProviderServices } from './provider.ts'
import { canonicalScopes } from './scopes.ts'
import { readSts } from './sts-xml.ts'

/** STS gives no less (`DurationSeconds`), ms. */
const floor = 900_000
/** How far its clock may be ahead of ours, ms. */
const skew = 60_000
/** Most characters of a session policy in plain text. */
const longestPolicy = 2048
/** Most characters of a session tag's value. */
const longestTag = 256

/**
 * Keys of a role for one task, by AssumeRoleWithWebIdentity. STS revokes nothing, so `revocation` is `expiry`; but the keys sign here, request
 * by request, and never reach the agent: once a lease ends, nobody has them.
 */
export const aws = defineProvider({ type: 'aws', config: AwsConfig, open })

function open(config: AwsConfig, services: ProviderServices): CredentialProvider {
  const scopes = canonicalScopes(config.scope)
  if (config.tags && config.identity !== 'signed')
    throw new Error('session tags are in the token that our own key signs: set `identity: signed`, or leave out `tags`')
  const size = policyOf(config, scopes)?.length ?? 0
  if (size > longestPolicy)
    throw new Error(
      `the session policy of all of \`scope\` and \`resources\` has ${size} characters, and STS takes ${longestPolicy}: name fewer, or use wildcards`,
    )
  return {
    type: 'aws',
    placement: { in: 'sigv4', ...config.apply.sigv4 },
    standing: false,
    offer: { scopes, audiences: [], ttl: config.ttl, subject: false },
    floor,
    issue: (wanted, signal) => issue(config, services, wanted, signal),
  }
}

async function issue(config: AwsConfig, services: ProviderServices, wanted: Wanted, signal: AbortSignal): Promise<Issued> {
  signal.throwIfAborted()
  if (wanted.scopes.length === 0 && config.scope.length > 0)
    throw new Refusal('credential.unavailable', {
      detail: 'no action is asked for, and without a session policy the role may do all it can',
    })
  const claims = config.tags ? tagsOf(wanted) : {}
  const token = await ownIdentity(config.identity, services, config.audience, wanted.lease, signal, claims)
  const policy = policyOf(config, wanted.scopes)
  const asked: AskedSession = {
    role: config.role,
    session: wanted.task,
    audience: config.audience,
    token,
    limited: policy !== null || config.policy_arns.length > 0 || config.tags,
  }
  const seconds = Math.floor(Math.max(floor, wanted.ttl) / 1000)
  const answer = await ask(config, services, parametersOf(config, asked, policy, seconds), signal)
  return issued(wanted, answer, asked, services.clock())
}

/** Its session name is the task's id: it stands in the role's ARN, in CloudTrail and, as `aws:userid`, in policies. */
function parametersOf(config: AwsConfig, asked: AskedSession, policy: string | null, seconds: number): URLSearchParams {
  const form = new URLSearchParams({
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    RoleArn: asked.role,
    RoleSessionName: asked.session,
    WebIdentityToken: asked.token.reveal(),
    DurationSeconds: String(seconds),
  })
  if (policy !== null) form.set('Policy', policy)
  for (const [at, arn] of config.policy_arns.entries()) form.set(`PolicyArns.member.${at + 1}.arn`, arn)
  return form
}

/** What the session may do is what this and the role both allow. Null: the role alone decides. */
function policyOf({ resources }: AwsConfig, actions: readonly string[]): string | null {
  if (actions.length === 0) return null
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: actions, Resource: resources }] })
}

/** Session tags, which a web identity brings in its token; transitive, so that a role assumed from here carries them on. */
function tagsOf({ task, caller, tool }: Wanted): Record<string, unknown> {
  if (caller.length > longestTag || tool.length > longestTag)
    throw new Refusal('credential.unavailable', {
      detail: `a session tag has at most ${longestTag} characters: the caller's ID or the tool's name is longer`,
    })
  const principal = { task: [task], agent: [caller], tool: [tool] }
  return { 'https://aws.amazon.com/tags': { principal_tags: principal, transitive_tag_keys: Object.keys(principal) } }
}

async function ask(config: AwsConfig, services: ProviderServices, body: URLSearchParams, signal: AbortSignal): Promise<Answer> {
  const suffix = config.role.startsWith('arn:aws-cn:') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const url = config.endpoint ?? `https://sts.${config.region}.${suffix}/`
  const headers = { accept: 'text/xml', 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
  const question = { url, headers, body: body.toString(), timeout: config.timeout, what: 'AssumeRoleWithWebIdentity' }
  const answer = await askIssuer(services, question, signal, [400, 403])
  if (answer.status >= 300) throw refused(answer)
  return answer
}

/** What an operator can do about it, by the code of STS. Its message is not told: it may quote the token. */
const remedies: Readonly<Record<string, string>> = {
  AccessDenied: 'the trust policy of the role does not allow our identity (subject, audience), or with tags lacks sts:TagSession',
  ExpiredTokenException: 'our identity token had expired: compare the clocks',
  IDPCommunicationError: 'AWS could not read the keys of our issuer',
  IDPRejectedClaim: 'AWS did not accept a claim of our identity token',
  InvalidIdentityToken: 'IAM has no identity provider for our issuer, it lists another audience, or the signature does not verify',
  MalformedPolicyDocument: 'an action or ARN of `scope` and `resources` is none',
  PackedPolicyTooLarge: 'session policy and tags together are too large when packed: name fewer actions or resources',
  RegionDisabledException: 'STS is not activated in this region',
  ValidationError: 'a parameter is out of bounds: perhaps the role allows no session as long as `ttl`',
}

const passing: ReadonlySet<string> = new Set(['IDPCommunicationError', 'Throttling', 'ThrottlingException', 'RequestLimitExceeded'])

/** A plain no: nothing was issued. */
function refused({ status, text }: Answer): Refusal {
  const told = readSts(text)
  const found = told?.root === 'ErrorResponse' ? (told.leaves.get('Error/Code') ?? '') : ''
  const code = /^[A-Za-z.]{1,64}$/.test(found) ? found : ''
  const remedy = Object.hasOwn(remedies, code) ? `: ${remedies[code] ?? ''}` : ''
  const detail = `AssumeRoleWithWebIdentity: STS answered ${status}${code === '' ? '' : ` ${code}`}${remedy}`
  return new Refusal('credential.unavailable', { detail, retry: passing.has(code) ? 'later' : 'never' })
}

function issued(wanted: Wanted, answer: Answer, asked: AskedSession, now: number): Issued {
  const session: Session | null = assumed(answer.text)
  if (session === null) throw unanswered('the answer of STS is not one that can be read')
  const came = { scopes: wanted.scopes, audience: null, expires: session.expires, revocable: false }
  return {
    secret: session.secret,
    user: session.keyId,
    parts: { session_token: session.token },
    expires: session.expires,
    scopes: wanted.scopes,
    handle: null,
    revocation: 'expiry',
    // whole seconds of its clock, and no less than the floor
    excess: judgeSession(asked, session) ?? judged(wanted, came, { surplus_ttl: skew, floor: floor + skew }, now),
  }
}
