/** `admin.sign_in` and `admin.approvers`: how people prove who they are, and whose answers count. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { isSafeEndpoint } from '../credential/ask-issuer.ts'
import { roles } from '../admin/roles.ts'
import { SecretRef } from '../credential/secret-ref.ts'
import { durationBetween } from '../units.ts'

const printable = z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be printable ASCII without spaces')
const personName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/, 'must be a short name of letters, digits, ".", "_", "@", "+" and "-"')
const groupName = z
  .string()
  .max(128)
  .regex(/^[^\p{C}\p{Z},:]+$/u, 'must be a name without spaces, commas or colons')

/** `group:<name>` or `person:<name>`. */
export const who = z
  .string()
  .max(200)
  .regex(/^(group|person):[^\p{C}\p{Z},]+$/u, 'must be group:<name> or person:<name>')

const people = z
  .union([who, z.array(who).max(1000)])
  .default([])
  .transform((named) => [named].flat())

const url = z.url().refine(isSafeEndpoint, 'must be https, or http on loopback')

const oidc = z
  .strictObject({
    issuer: url.describe('Issuer identifier; its endpoints are discovered (OpenID Connect Discovery).'),
    client: printable.describe('Client id of this Countersign at the issuer; the redirect URI there is `<public_url>/sign-in/callback`.'),
    secret: SecretRef.optional().describe('Client secret. Absent: a public client, held by PKCE alone.'),
    approvers: people.describe(
      'People of the issuer who are approvers: `group:<name>` by the groups claim, or `person:<name>`. Whoever has no role does not get in.',
    ),
    groups_claim: z
      .string()
      .min(1)
      .default('groups')
      .describe('Claim with a list of groups; looked up at userinfo when the ID token has none.'),
    name_claim: z
      .string()
      .min(1)
      .default('sub')
      .describe('Claim that people are called by. `email` counts only when it is verified. A name must never pass to another person.'),
    scope: z.array(printable).default([]).describe('Scopes asked for besides `openid`, such as the one that the issuer gives groups for.'),
    audiences: z
      .array(printable)
      .default([])
      .describe('Audiences whose access tokens (`at+jwt`) command lines may send; ID tokens of the client always do.'),
    session: durationBetween(60_000, 43_200_000).prefault('1h').describe('Longest time until one signs in again.'),
    idle: durationBetween(60_000, 43_200_000).prefault('15m').describe('A session that is not used for so long ends.'),
    unsafe_plain: z
      .boolean()
      .default(false)
      .describe('Allows a public_url of plain http: a cookie then goes to whatever else listens on that host, on any port.'),
  })
  .describe('People sign in at an OpenID Connect issuer (authorization code with PKCE).')

/** `admin.sign_in`. */
export const signInConfig = z.strictObject({ oidc: oidc.optional() })

export type OidcSettings = z.infer<typeof oidc>

const approver = z
  .strictObject({
    name: personName.describe('What the ledger calls this person: `person:<name>`.'),
    key: z
      .string()
      .refine((text) => approverKey(text) !== null, 'must be the public key that `countersign approver show` prints')
      .optional()
      .describe('Public key (Ed25519 or P-256) that signs requests of this person: what `countersign approver show` prints.'),
    subject: printable.optional().describe('`sub` of this person at the sign-in issuer: one person stays one, however they sign in.'),
    roles: z
      .array(z.enum(roles))
      .min(1)
      .optional()
      .describe('What this person may do, however they sign in. Absent: approver, with the key pair.'),
    groups: z
      .array(groupName)
      .default([])
      .describe('Groups that policy may name as approvers. One who signs in by OIDC has those of the issuer.'),
  })
  .refine(({ key, subject }) => key !== undefined || subject !== undefined, 'say key, subject or both')

/** `admin.approvers`. */
export const approversConfig = z
  .array(approver)
  .max(1000)
  .default([])
  .describe('People with a key pair of their own, or with a subject at the sign-in issuer.')

/** `admin.roles`. Each role reads; `admin` does everything. */
export const rolesConfig = z.strictObject({
  viewer: people.describe('Who reads: tasks, approvals, kills, agents, the ledger.'),
  approver: people.describe('Who also answers approvals, besides `sign_in.oidc.approvers` and key pairs in `approvers`.'),
  operator: people.describe('Who also opens, pauses and ends tasks, engages kills, suspends agents, gives signals.'),
  admin: people.describe('Who does everything: also registers agents, lifts kills, clears what a caller has read.'),
})

/** Reads base64 of a SubjectPublicKeyInfo; null unless it is an Ed25519 or P-256 key in its one canonical spelling. */
export function approverKey(text: string): KeyObject | null {
  const der = Buffer.from(text, 'base64')
  if (der.toString('base64') !== text) return null
  try {
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
    const fits = key.asymmetricKeyType === 'ed25519' || key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    return fits && key.export({ format: 'der', type: 'spki' }).equals(der) ? key : null
  } catch {
    return null
  }
}
