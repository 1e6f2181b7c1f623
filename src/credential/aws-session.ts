/** What STS gave, and whether it is what it was asked for. */
import { decodeJwt } from 'jose'
import { Secret } from '../secret.ts'
import { readSts } from './sts-xml.ts'

export interface AskedSession {
  readonly role: string
  /** RoleSessionName. */
  readonly session: string
  readonly audience: string
  readonly token: Secret
  /** A session policy or session tags went with it. */
  readonly limited: boolean
}

/** Temporary keys as they came; `null` for what STS did not say. */
export interface Session {
  readonly keyId: string
  readonly secret: Secret
  readonly token: Secret
  /** Epoch ms. */
  readonly expires: number
  readonly arn: string | null
  readonly subject: string | null
  readonly audience: string | null
  readonly packed: string | null
}

/** Reads the answer; null when it is not one, or lacks keys that can be used. */
export function assumed(text: string): Session | null {
  const document = readSts(text)
  if (document?.root !== 'AssumeRoleWithWebIdentityResponse') return null
  const leaf = (path: string): string | null => document.leaves.get(`AssumeRoleWithWebIdentityResult/${path}`)?.trim() ?? null
  const keyId = leaf('Credentials/AccessKeyId') ?? ''
  const secret = leaf('Credentials/SecretAccessKey') ?? ''
  const token = leaf('Credentials/SessionToken') ?? ''
  const expires = instant(leaf('Credentials/Expiration') ?? '')
  if (!/^[A-Za-z0-9_]{16,128}$/.test(keyId) || !isPlain(secret) || !isPlain(token) || Number.isNaN(expires)) return null
  return {
    keyId,
    secret: new Secret(secret),
    token: new Secret(token),
    expires,
    arn: leaf('AssumedRoleUser/Arn'),
    subject: leaf('SubjectFromWebIdentityToken'),
    audience: leaf('Audience'),
    packed: leaf('PackedPolicySize'),
  }
}

/** Why the session is not the one that was asked for, its lifetime apart; null when it is. */
export function judgeSession(asked: AskedSession, session: Session): string | null {
  const [, partition, account, path] = /^arn:([a-z-]+):iam::(\d{12}):role\/(.+)$/.exec(asked.role) ?? []
  const role = path?.slice(path.lastIndexOf('/') + 1)
  if (session.arn !== `arn:${partition}:sts::${account}:assumed-role/${role}/${asked.session}`)
    return 'its session is not the role and task asked for'
  // long-term keys of a user begin so
  if (session.keyId.startsWith('AKIA')) return 'its keys are not temporary'
  if (session.audience !== asked.audience) return 'its audience is not the one of our identity'
  if (session.subject === null || session.subject !== subjectOf(asked.token)) return 'its subject is not our identity'
  // STS tells how much room policy and tags take; who does not has not understood them
  if (asked.limited && !/^\d{1,3}$/.test(session.packed ?? '')) return 'nothing says that its session policy or tags were applied'
  return null
}

/** Null when the token cannot be read: then nobody can say that the subject is ours. */
function subjectOf(token: Secret): string | null {
  try {
    return decodeJwt(token.reveal()).sub ?? null
  } catch {
    return null
  }
}

function isPlain(text: string): boolean {
  return /^[\x21-\x7e]{16,16384}$/.test(text)
}

/** NaN for what is no instant of ISO 8601 in UTC. */
function instant(text: string): number {
  return /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$/.test(text) ? Date.parse(text) : Number.NaN
}
