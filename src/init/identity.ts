/** How agents will prove who they are: found out from what is there, never guessed. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import type { Env } from '../config/yaml-text.ts'

export type Setup = 'laptop' | 'spire' | 'kubernetes'

/** What the configuration says of identity. */
export interface InitIdentity {
  readonly setup: Setup
  /** SPIFFE ID of the agent, or a pattern of them. */
  readonly agent: string
  /** What tokens must be meant for. */
  readonly audience: string
  /** Entries of `identify.sources`, as YAML flow text. */
  readonly sources: readonly string[]
  /** ID of callers that show nothing, on the loopback listener; null when all must prove themselves. */
  readonly ambient: string | null
  /** Files that the sources need, by name. */
  readonly files: Readonly<Record<string, string>>
  /** What fills the place of an API key, as a comment for the agent's variables. */
  readonly key: { readonly value: string | null; readonly comment: string }
}

/** Something is there, but it cannot be used; the message says what to do. */
export class InitFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'InitFault'
  }
}

export interface Look {
  readonly env: Env
  /** Null to take what is there. */
  readonly setup: Setup | null
  readonly trustDomain: string | null
  readonly agent: string | null
  /** Folder of the service account's files. */
  readonly account: string
}

/** Where Kubernetes puts the files of a pod's account. */
export const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

const usualSockets = [
  '/spiffe-workload-api/spire-agent.sock',
  '/run/spire/agent-sockets/spire-agent.sock',
  '/run/spire/sockets/agent.sock',
  '/tmp/spire-agent/public/api.sock',
]

/** The setup that is asked for, or that of the place: a Workload API before a service account, that before nothing. Throws InitFault. */
export async function lookForIdentity(look: Look): Promise<InitIdentity> {
  const socket = socketOf(look.env)
  const account = isFile(join(look.account, 'token'))
  const setup = look.setup ?? (socket !== null ? 'spire' : account ? 'kubernetes' : 'laptop')
  if (setup === 'laptop') return laptop(look)
  if (setup === 'kubernetes') return kubernetes(look, account)
  if (socket === null) throw new InitFault('there is no Workload API: set SPIFFE_ENDPOINT_SOCKET, or take --setup laptop')
  const { spire } = await import('./spire.ts')
  return spire(look, socket)
}

/** Address of a Workload API: what the variable says, else a socket in one of the usual places. */
function socketOf(env: Env): string | null {
  const said = env['SPIFFE_ENDPOINT_SOCKET']
  if (said !== undefined && said !== '') return said
  const found = usualSockets.find((path) => isSocket(path))
  return found === undefined ? null : `unix:${found}`
}

/** One machine without any authority: whoever reaches the loopback port is the agent, and the record says how little that proves. */
async function laptop({ trustDomain, agent }: Look): Promise<InitIdentity> {
  const domain = trustDomain ?? domainOf(agent) ?? 'laptop.example'
  const id = agent ?? `spiffe://${domain}/agent`
  const { developmentIssuer } = await import('../demo/issuer.ts')
  // its keys go with this process: the bundle makes the source well-formed, and nothing can be signed for it
  const { bundle } = await developmentIssuer(domain)
  return {
    setup: 'laptop',
    agent: id,
    audience: `spiffe://${domain}/countersign`,
    sources: [
      '# on this machine nobody proves an identity: the listener vouches for the agent, and each record says so. The keys of this bundle are\n' +
        '    # gone. With a Workload API (SPIRE, or countersign dev-identity) put { type: spiffe } here and take `ambient` away.\n' +
        `    - { type: jwt-svid, trust_domain: ${domain}, keys: { file: bundle.json } }`,
    ],
    ambient: id,
    files: { 'bundle.json': `${bundle}\n` },
    key: { value: 'countersign', comment: 'any text without a dot: the SDK wants one, Countersign puts the real key in' },
  }
}

/** A pod whose agents prove themselves by projected tokens of their accounts. */
function kubernetes({ trustDomain, agent, account }: Look, there: boolean): InitIdentity {
  if (!there) throw new InitFault(`${account} holds no token of a service account: name the folder with --service-account`)
  const { issuer, namespace, name } = accountOf(account)
  const domain = trustDomain ?? domainOf(agent) ?? 'cluster.local'
  // the API server answers for its own issuer to whoever shows a token, under an authority of its own
  const inside = /^https:\/\/kubernetes\.default(\.svc(\.[^/:]+)?)?(?=[:/]|$)/.test(issuer)
  const asks = inside ? `, ca: { file: ${quote(join(account, 'ca.crt'))} }, bearer: { file: ${quote(join(account, 'token'))} }` : ''
  return {
    setup: 'kubernetes',
    agent: agent ?? `spiffe://${domain}/ns/${namespace}/sa/${name}`,
    audience: 'countersign',
    sources: [`- { type: oidc, preset: kubernetes, issuer: ${quote(issuer)}, audience: countersign, id: spiffe://${domain}${asks} }`],
    ambient: null,
    files: {},
    key: {
      value: null,
      comment: "a projected service-account token with the audience countersign, read anew for each call: docs/oidc.md, 'Kubernetes'",
    },
  }
}

/** Whose account the files are, as its own token says it: read, not verified, for it only fills in a file that a person reads. */
function accountOf(folder: string): { readonly issuer: string; readonly namespace: string; readonly name: string } {
  let claims: ReturnType<typeof decodeJwt>
  try {
    claims = decodeJwt(readFileSync(join(folder, 'token'), 'utf8').trim())
  } catch (error) {
    throw new InitFault(`${join(folder, 'token')} cannot be read as the token of a service account`, { cause: error })
  }
  const { iss, sub } = claims
  const [, namespace, name] = /^system:serviceaccount:([a-z0-9.-]+):([a-z0-9.-]+)$/.exec(sub ?? '') ?? []
  if (iss === undefined || URL.parse(iss) === null || namespace === undefined || name === undefined)
    throw new InitFault(`${join(folder, 'token')} names no issuer and service account`)
  return { issuer: iss, namespace, name }
}

/** Trust domain of a SPIFFE ID. */
export function domainOf(id: string | null): string | null {
  return id === null ? null : (/^spiffe:\/\/([a-z0-9._-]+)\//.exec(id)?.[1] ?? null)
}

/** A text within YAML flow. */
export function quote(text: string): string {
  return JSON.stringify(text)
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

function isSocket(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false
}
