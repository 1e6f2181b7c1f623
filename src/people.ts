/** How people come in and how they are told: sign-in, page and chats of the admin port, and the channels of approvals. */
import { randomBytes } from 'node:crypto'
import type { AdminOptions } from './admin/admin.ts'
import { makeChat } from './admin/chat.ts'
import { cookieName } from './admin/cookies.ts'
import { Desk } from './admin/desk.ts'
import { Oidc, type OidcOptions } from './admin/oidc.ts'
import { Links, Tries } from './admin/links.ts'
import { linkNoun } from './admin/local-sign-in.ts'
import { opens } from './admin/local-key.ts'
import type { Noun } from './admin/noun.ts'
import { makePages } from './admin/page.ts'
import { placeOfPage } from './admin/place.ts'
import { Sessions } from './admin/sessions.ts'
import { rolesOf, type Role, type RoleRules } from './admin/roles.ts'
import { makeSignIn, signed, type Browsers } from './admin/sign-in.ts'
import { thumbprint, type KnownKey } from './admin/signed-request.ts'
import type { Part } from './admin/visit.ts'
import { nameOf, openChannel } from './approve/registry.ts'
import type { Channel } from './approve/channel.ts'
import { secretReader } from './config/keys.ts'
import type { Loaded } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { approverKey, type OidcSettings } from './config/sign-in.ts'
import type { Foundation } from './foundation.ts'
import { ProofMemory } from './identify/dpop/proofs.ts'
import { readJson } from './match/json.ts'
import type { Telling } from './notify/approval-notices.ts'
import { signer } from './notify/webhook.ts'
import type { Secret } from './secret.ts'
import { makeSeal } from './state/seal.ts'

export interface PeopleOptions {
  /** The configuration in force: who may do what is looked up for each request. */
  readonly inForce: () => Loaded
  readonly refused: AdminOptions['refused']
  /** What the page shows, and lets people do. */
  readonly parts: (desk: Desk) => readonly Part[]
  /** Where the admin port listens; 0: on a unix socket. */
  readonly port: () => number
}

export interface People extends Pick<AdminOptions, 'ask' | 'pages' | 'chat' | 'rolesOf' | 'refused'> {
  readonly desk: Desk
  /** `/v1/page`. */
  readonly link: Noun
}

/** Takes the configuration the process began with, which fixes the ways in. */
export function people(loaded: Loaded, on: Foundation, key: Secret, { inForce, refused, parts, port }: PeopleOptions): People {
  const { clock } = on
  const config = (): Config => inForce().config
  const desk = new Desk({
    approvals: on.approvals,
    rules: () => ({
      people: config().admin.approvers.length > 0 || config().admin.sign_in.oidc !== undefined,
      unsafeLocalKey: config().admin.unsafe_local_key_approves,
      breakGlass: config().approve.break_glass,
    }),
  })
  const roles: AdminOptions['rolesOf'] = (who) => rolesOf(who, roleRules(config()))
  const browsers = browsersOf(loaded, on, key, { config, admits: (person) => roles(signed(person, 'oidc')).length > 0 })
  const realm = realmOf(on.recorder.publicKey())
  const born = clock()
  const memory = new ProofMemory(born)
  const keys = remembered(config)
  const channels = (): ReadonlyMap<string, Channel> => on.approvalNotices.channels
  const open = (): boolean => [...channels().values()].some(({ type }) => type === 'page')
  return {
    desk,
    rolesOf: roles,
    refused,
    ask: makeSignIn({ key, realm, keys, memory, born, clock, browsers }),
    pages: makePages({
      browsers,
      rolesOf: roles,
      refused,
      parts: parts(desk),
      open,
      came: (kind, { who, name }) => on.recorder.event({ kind, by: `person:${name}`, detail: { method: who.method } }),
    }),
    link: linkNoun({ links: browsers.links, open, origin: () => browsers.originAt(port()) }),
    chat: makeChat({ channels, desk }),
  }
}

/** The channels of a configuration, opened. Throws an Error that names the one whose settings cannot work. */
export function tellingOf({ config, folder }: Loaded, { clock, env, issuer }: Pick<Foundation, 'clock' | 'env' | 'issuer'>): Telling {
  const services = {
    clock,
    secret: secretReader(folder, env),
    signer: (secret: Secret) => signer(secret, clock),
    fetch,
    parseJson: (text: string) => readJson(Buffer.from(text)).value,
    source: issuer,
  }
  const { channels, escalate } = config.approve
  return {
    channels: new Map(channels.map((settings) => [nameOf(settings), openChannel(settings, services)])),
    escalate: escalate === undefined ? null : { after: escalate.after, to: escalate.to ?? null },
    publicUrl: originOf(config),
  }
}

interface InForce extends Pick<OidcOptions, 'admits'> {
  readonly config: () => Config
}

function browsersOf(loaded: Loaded, on: Foundation, key: Secret, inForce: InForce): Browsers {
  const settings = loaded.config.admin.sign_in.oidc
  const origin = originOf(loaded.config)
  const { clock } = on
  const place = placeOfPage(origin)
  return {
    ...place,
    oidc: settings === undefined || origin === null ? null : oidcOf(loaded, on, { ...inForce, settings, origin }),
    sessions: new Sessions(settings ?? usualTimes, clock),
    links: new Links(clock),
    tries: new Tries(clock),
    isKey: (text) => opens(key, `Bearer ${text}`),
    cookie: cookieName('countersign', place.secure),
  }
}

/** Of sessions where no issuer is configured, which would say: as there by default. */
const usualTimes = { session: 3_600_000, idle: 900_000 }

interface Issuer extends InForce {
  readonly settings: OidcSettings
  readonly origin: string
}

function oidcOf({ folder }: Loaded, { clock, env }: Foundation, { settings, origin, config, admits }: Issuer): Oidc {
  return new Oidc({
    settings,
    secret: settings.secret === undefined ? null : secretReader(folder, env)(settings.secret),
    redirectUri: `${origin}/sign-in/callback`,
    clock,
    fetch,
    // what a browser keeps while its person is away is good for this process alone
    seal: makeSeal(randomBytes(32)),
    names: () =>
      new Map(config().admin.approvers.flatMap(({ subject, name }) => (subject === undefined ? [] : [[subject, name] as const]))),
    admits,
  })
}

/** Who has which role, as a configuration says. */
function roleRules({ admin }: Config): RoleRules {
  const { roles, sign_in: signIn, approvers } = admin
  const entries = new Map(approvers.map((entry): [string, readonly Role[] | null] => [entry.name, entry.roles ?? null]))
  return { named: roles, approvers: signIn.oidc?.approvers ?? [], entries }
}

/** The registered keys; read anew when the configuration was swapped. */
function remembered(config: () => Config): () => ReadonlyMap<string, KnownKey> {
  let from: Config | null = null
  let keys: ReadonlyMap<string, KnownKey> = new Map()
  return () => {
    const now = config()
    if (now !== from) keys = keysOf(now)
    from = now
    return keys
  }
}

function keysOf({ admin }: Config): ReadonlyMap<string, KnownKey> {
  const keys = new Map<string, KnownKey>()
  for (const { name, key: text, groups, subject } of admin.approvers) {
    const key = text === undefined ? null : approverKey(text)
    const aliases = subject === undefined ? [name] : [name, subject]
    if (key !== null) keys.set(thumbprint(key), { key, person: { name, aliases, groups, entry: name } })
  }
  return keys
}

function originOf({ admin }: Config): string | null {
  return admin.public_url === undefined ? null : new URL(admin.public_url).origin
}

/** The name and the hash of the ledger's key, without the key: which Countersign this is. */
function realmOf(publicKey: string): string {
  return publicKey.split('+').slice(0, 2).join('+')
}
