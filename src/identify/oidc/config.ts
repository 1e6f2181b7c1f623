import { z } from 'zod'
import { durationBetween } from '../../units.ts'
import { isKeyUrl } from '../keys/key-document.ts'
import { MalformedSpiffeId } from '../spiffe-id.ts'
import { presets } from './presets.ts'
import type { Preset, PresetName } from './presets.ts'
import { parseTemplate, placeholders } from './template.ts'
import type { Template } from './template.ts'

const presetNames = Object.keys(presets) as [PresetName, ...PresetName[]]
const httpsUrl = z.string().max(512).refine(isKeyUrl, 'must be an https URL, or http on loopback, without user or fragment')
const path = z.string().min(1).max(256)
const scalar = z.union([z.string().max(1024), z.number(), z.boolean()])

/** Platforms renew such files in place. */
function file(meaning: string) {
  return z.strictObject({ file: z.string().min(1).describe(`${meaning}; read again for every request.`) })
}

const review = z.strictObject({
  url: httpsUrl.optional().describe('The API server; default: the one of the cluster that Countersign runs in.'),
  ca: file('PEM of the CA of the API server (default inside a cluster: that of the service account)').optional(),
  token: file('Token that may create TokenReviews (default inside a cluster: that of the service account)').optional(),
  keep: durationBetween(1000, 60_000).default(30_000).describe('How long an answer of the API server holds.'),
})

const settings = z.strictObject({
  type: z.literal('oidc'),
  preset: z
    .enum(presetNames)
    .optional()
    .describe('Platform whose tokens these are: fills in what is the same for all, and checks what has to agree.'),
  issuer: httpsUrl
    .refine((text) => !text.includes('?'), 'must have no query')
    .optional()
    .describe('`iss` of its tokens, exactly; where its metadata is found. Required unless the preset has it.'),
  audience: z.string().min(1).max(512).describe('What `aud` has to hold. Ask for an audience that no other service has.'),
  id: z
    .string()
    .max(2048)
    .describe('SPIFFE ID of the caller, with {claim} for a claim that is one path segment; with a preset, a trust domain alone will do.'),
  keys: z
    .union([
      z.strictObject({ file: z.string().min(1).describe('Path; read again when it changes.') }),
      z.strictObject({ url: httpsUrl.describe('Redirects are not followed.') }),
    ])
    .optional()
    .describe('Its JWKS, instead of finding it by discovery.'),
  ca: file('PEM of the CA that vouches for the servers of the issuer, instead of those that Node trusts').optional(),
  bearer: file('Token to present to the servers of the issuer, as the API server of Kubernetes wants').optional(),
  require: z
    .record(path, z.union([scalar, z.array(scalar).min(1).max(64)]))
    .optional()
    .describe('By path of a claim: the value it must have, or a list of values of which it must have one.'),
  claims: z.array(path).max(32).default([]).describe('Paths of claims that policy and record may see.'),
  typ: z.enum(['JWT', 'at+jwt']).default('JWT').describe('Kind of token: JWT (or none said), or OAuth access tokens as RFC 9068 has them.'),
  max_lifetime: durationBetween(1000, 604_800_000).default(86_400_000).describe('Tokens valid for longer are refused.'),
  leeway: durationBetween(0, 30_000).default(5000).describe('How far nbf and iat may lie ahead of our clock; never given to exp.'),
  max_age: durationBetween(10_000, 604_800_000).default(3_600_000).describe('How long keys serve when they cannot be read again.'),
  review: review.optional().describe('Ask the API server of Kubernetes (TokenReview) whether a token, its pod and its account still are.'),
})

export const config = settings
  .superRefine((own, context) => {
    for (const { at, message } of faults(own)) context.addIssue({ code: 'custom', path: at, message, input: own })
  })
  .describe('Workload tokens of an OpenID Connect issuer: Kubernetes, CI, clouds. Claims make the SPIFFE ID.')

export type OidcConfig = z.infer<typeof config>

/** What settings come to once the preset has filled them in. */
export interface Resolved {
  readonly issuer: string
  readonly template: Template
  readonly preset: Preset | null
}

/** Takes settings that passed the schema. Throws an Error for those that cannot have. */
export function resolveOidc(own: OidcConfig): Resolved {
  const preset = presetOf(own)
  const issuer = own.issuer ?? preset?.issuer
  if (issuer === undefined || issuer === null) throw new Error('an oidc source needs an issuer')
  return { issuer, preset, template: parseTemplate(templateText(own.id, preset)) }
}

interface Fault {
  readonly at: string[]
  readonly message: string
}

function faults(own: OidcConfig): Fault[] {
  return [...issuerFaults(own), ...audienceFaults(own), ...idFaults(own), ...requireFaults(own), ...reviewFaults(own)]
}

function issuerFaults(own: OidcConfig): Fault[] {
  const preset = presetOf(own)
  const issuer = own.issuer ?? preset?.issuer ?? null
  if (issuer === null) return [{ at: ['issuer'], message: 'has to be set: only the presets github-actions and gcp know their issuer' }]
  const fault = preset?.issuerFault(issuer) ?? null
  return fault === null ? [] : [{ at: ['issuer'], message: fault }]
}

/** A token for the API server of Kubernetes is in every pod that does not decline it, and must prove nothing here. */
function audienceFaults({ audience, issuer, preset }: OidcConfig): Fault[] {
  const isApi = /^https:\/\/kubernetes\.default\.svc(\.[a-z0-9.-]+)?\/?$/.test(audience) || (preset === 'kubernetes' && audience === issuer)
  return isApi
    ? [
        {
          at: ['audience'],
          message: 'is that of the API server, which tokens in every pod have: project a token for an audience of its own',
        },
      ]
    : []
}

function idFaults(own: OidcConfig): Fault[] {
  const preset = presetOf(own)
  try {
    const claims = placeholders(parseTemplate(templateText(own.id, preset)))
    const strange = claims.find((claim) => claim.startsWith('@') && !(preset?.parts.includes(claim.slice(1)) ?? false))
    if (strange !== undefined)
      return [{ at: ['id'], message: `{${strange}} is nothing that ${own.preset ?? 'a source without preset'} makes` }]
    if (claims.length > 0 || Object.keys(own.require ?? {}).length > 0) return []
    return [{ at: ['id'], message: 'makes one caller of all tokens: put a {claim} into it, or say with require whose tokens are meant' }]
  } catch (error) {
    if (error instanceof MalformedSpiffeId) return [{ at: ['id'], message: error.message }]
    throw error
  }
}

function requireFaults(own: OidcConfig): Fault[] {
  const pins = presetOf(own)?.pins ?? null
  if (pins === null || pins.some((pin) => Object.hasOwn(own.require ?? {}, pin))) return []
  const at = own.require === undefined ? ['preset'] : ['require']
  return [{ at, message: `${own.preset} serves strangers too: require at least one of ${pins.join(', ')}` }]
}

/** The token of our own pod is for our own API server: another one gets another. */
function reviewFaults({ review: own }: OidcConfig): Fault[] {
  return own?.url !== undefined && own.token === undefined
    ? [
        {
          at: ['review', 'token'],
          message: 'has to be set with a url: the token of the service account is for the API server of this cluster',
        },
      ]
    : []
}

function presetOf({ preset }: OidcConfig): Preset | null {
  return preset === undefined ? null : presets[preset]
}

/** With a preset, an ID that is no more than a trust domain takes the preset's path. */
function templateText(id: string, preset: Preset | null): string {
  return preset !== null && !id.includes('/', 'spiffe://'.length) ? `${id}${preset.path}` : id
}
