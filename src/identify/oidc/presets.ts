/** What is known of the tokens of platforms: where they come from, what in them names a workload, and what must agree. docs/oidc.md */
import { isMembers, member } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'
import { UnfitClaims } from './claim-path.ts'

/** Texts that a preset makes of claims which no placeholder could use as they are: `{@name}`. */
export type Parts = Readonly<Record<string, string>>

/** A platform. Whatever the settings say themselves counts instead; the check of claims always holds. */
export interface Preset {
  /** Its issuer, where that is the same for everybody; null where it has to be configured. */
  readonly issuer: string | null
  /** The path of IDs, for an `id` that is no more than a trust domain. */
  readonly path: string
  /** Names of its parts. */
  readonly parts: readonly string[]
  /** Claims of which at least one has to be required, where an issuer serves strangers too; null where all its tokens are ours. */
  readonly pins: readonly string[] | null
  /** Why this issuer cannot be one of the platform's; null when it can. */
  issuerFault(issuer: string): string | null
  /** Gives the parts; throws `UnfitClaims` when claims are missing or contradict each other. */
  read(claims: Members, issuer: string): Parts
}

const kubernetes: Preset = {
  issuer: null,
  path: '/ns/{kubernetes.io.namespace}/sa/{kubernetes.io.serviceaccount.name}',
  parts: [],
  pins: null,
  issuerFault: () => null,
  read(claims) {
    const own = object(claims, 'kubernetes.io')
    const namespace = text(own, 'namespace')
    const name = text(object(own, 'serviceaccount'), 'name')
    // what policy reads and what the API server calls the account must be the same workload
    if (text(claims, 'sub') !== `system:serviceaccount:${namespace}:${name}`)
      throw new UnfitClaims('sub is not the service account that is named')
    return {}
  },
}

/** Names of repositories and owners can be given up and taken by others; their numbers cannot. */
const githubActions: Preset = {
  issuer: 'https://token.actions.githubusercontent.com',
  path: '/github/{repository_owner_id}/{repository_id}',
  parts: [],
  pins: ['repository_id', 'repository_owner_id', 'enterprise_id'],
  issuerFault: () => null,
  read(claims) {
    digits(claims, 'repository_id')
    digits(claims, 'repository_owner_id')
    return {}
  },
}

const gcp: Preset = {
  issuer: 'https://accounts.google.com',
  path: '/gcp/{sub}',
  parts: [],
  pins: ['sub', 'email', 'google.compute_engine.project_number', 'google.compute_engine.project_id'],
  issuerFault: () => null,
  read(claims) {
    digits(claims, 'sub')
    if (member(claims, 'email') !== undefined && member(claims, 'email_verified') !== true) throw new UnfitClaims('email is not verified')
    return {}
  },
}

const arn = /^arn:aws[a-z-]*:iam::(\d{12}):(role|user)\/(.+)$/

/** Tokens of `sts:GetWebIdentityToken`, whose issuer belongs to one account. Pods on EKS have Kubernetes tokens: preset kubernetes. */
const aws: Preset = {
  issuer: null,
  path: '/aws/{@account}/{@kind}/{+@name}',
  parts: ['account', 'kind', 'name'],
  pins: null,
  issuerFault: () => null,
  read(claims) {
    const [, account = '', kind = '', name = ''] = arn.exec(text(claims, 'sub')) ?? []
    if (account === '') throw new UnfitClaims('sub is not the ARN of a role or user')
    if (member(object(claims, 'https://sts.amazonaws.com/'), 'aws_account') !== account)
      throw new UnfitClaims('sub is of another account than aws_account')
    return { account, kind, name }
  },
}

const guid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const tenantOf = new RegExp(`^https://[a-z0-9.-]+/(${guid})(?:/v2\\.0|/)$`)

/** Entra ID: version 2 tokens (`azp`, issuer ending in /v2.0) and version 1 tokens (`appid`, sts.windows.net), of applications alone. */
const azure: Preset = {
  issuer: null,
  path: '/azure/{tid}/{oid}',
  parts: ['app'],
  pins: null,
  issuerFault: (issuer) =>
    tenantOf.test(issuer)
      ? null
      : 'must name one tenant by its GUID: https://login.microsoftonline.com/TENANT/v2.0 or https://sts.windows.net/TENANT/',
  read(claims, issuer) {
    if (text(claims, 'tid') !== tenantOf.exec(issuer)?.[1]) throw new UnfitClaims('tid is not the tenant of the issuer')
    text(claims, 'oid')
    const idtyp = member(claims, 'idtyp')
    // a token with scopes acts for a person: its oid is that person's
    if (member(claims, 'scp') !== undefined || (idtyp !== undefined && idtyp !== 'app'))
      throw new UnfitClaims('the token acts for a person')
    return { app: text(claims, member(claims, 'azp') === undefined ? 'appid' : 'azp') }
  },
}

export const presets = { kubernetes, 'github-actions': githubActions, gcp, aws, azure } as const satisfies Record<string, Preset>

export type PresetName = keyof typeof presets

function object(claims: Members, name: string): Members {
  const value = member(claims, name)
  if (!isMembers(value)) throw new UnfitClaims(`no claim ${name}`)
  return value
}

function text(claims: Members, name: string): string {
  const value = member(claims, name)
  if (typeof value !== 'string' || value === '') throw new UnfitClaims(`no claim ${name}`)
  return value
}

function digits(claims: Members, name: string): void {
  if (!/^\d{1,32}$/.test(text(claims, name))) throw new UnfitClaims(`the claim ${name} is not a number`)
}
