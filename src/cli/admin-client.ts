import { readFileSync } from 'node:fs'
import { request, type IncomingMessage, type RequestOptions } from 'node:http'
import { dirname, resolve } from 'node:path'
import { UsageFault, type Invocation } from './command.ts'

/** Options of every command that talks to a running Countersign. */
export const adminOptions = {
  config: { type: 'string' },
  addr: { type: 'string' },
  key: { type: 'string' },
  'key-pair': { type: 'string' },
  token: { type: 'string' },
} as const

export const adminUsage = `  --config FILE    take the admin address and key from this configuration
  --addr ADDR      admin address, host:port or unix:/path (COUNTERSIGN_ADDR; default 127.0.0.1:7421)
  --key FILE       file with the local key (COUNTERSIGN_KEY)
  --key-pair FILE  your own private key, which signs each request and says who you are (COUNTERSIGN_KEY_PAIR)
  --token FILE     file with a token of the sign-in issuer, which says who you are`

/** Where the admin port is and what opens it. */
export interface AdminAccess {
  readonly at: string
  /** The Authorization header of a request. */
  readonly authorize: (about: { readonly method: string; readonly target: string; readonly body: string }) => Promise<string>
}

/** A running Countersign that could not be asked; main prints the message. */
export class AdminFault extends Error {
  readonly status: number | null

  constructor(message: string, status: number | null = null) {
    super(message)
    this.name = 'AdminFault'
    this.status = status
  }
}

/** What a command line says of where the admin port is, and of who asks. */
export interface AccessOptions {
  readonly config?: string | undefined
  readonly addr?: string | undefined
  readonly key?: string | undefined
  readonly 'key-pair'?: string | undefined
  readonly token?: string | undefined
}

/**
 * Finds the admin port, and what opens it, from options, environment or a configuration: a key pair and a token say who somebody is, and so
 * go before the local key. Throws `UsageFault` when nothing is there.
 */
export async function findAdmin(values: AccessOptions, env: Invocation['env']): Promise<AdminAccess> {
  let at = values.addr ?? env['COUNTERSIGN_ADDR']
  let file = values.key ?? env['COUNTERSIGN_KEY']
  if (values.config !== undefined) {
    const { loadConfig } = await import('../config/load.ts')
    const { config, folder } = loadConfig(values.config, env)
    at ??= config.admin.at
    file ??= resolve(folder, config.admin.key?.file ?? resolve(dirname(resolve(folder, config.task.state.path)), 'admin.key'))
  }
  const place = at ?? '127.0.0.1:7421'
  const pair = keyPairOf(values, env)
  if (values.token !== undefined && values['key-pair'] !== undefined) throw new UsageFault('give --key-pair or --token, not both')
  if (pair !== undefined) return { at: place, authorize: await signing(place, pair) }
  if (values.token !== undefined) return bearer(place, readToken(values.token))
  if (file === undefined)
    throw new UsageFault('which Countersign? Give --config FILE, or --key FILE with the local key (admin.key beside its state)')
  return bearer(place, readKey(file))
}

/** Whether the way in says who somebody is, so that nobody needs to say it. */
export function saysWho(values: AccessOptions, env: Invocation['env']): boolean {
  return values.token !== undefined || keyPairOf(values, env) !== undefined
}

function keyPairOf(values: AccessOptions, env: Invocation['env']): string | undefined {
  return values['key-pair'] ?? (values.key === undefined && values.token === undefined ? env['COUNTERSIGN_KEY_PAIR'] : undefined)
}

function bearer(at: string, key: string): AdminAccess {
  return { at, authorize: () => Promise.resolve(`Bearer ${key}`) }
}

/** Signs each request for the Countersign that answers there: it says its name to whoever asks without a key. */
async function signing(at: string, file: string): Promise<AdminAccess['authorize']> {
  const [{ readKeyPair }, { scheme, signRequest }] = await Promise.all([import('./key-pair.ts'), import('../admin/signed-request.ts')])
  const key = readKeyPair(file)
  const response = await open({ at, authorize: () => Promise.resolve('') }, 'GET', '/v1/status', {})
  await readAll(response)
  const realm = new RegExp(`${scheme} realm="([\\x21\\x23-\\x7e]{1,300})"`).exec(String(response.headers['www-authenticate']))?.[1]
  if (realm === undefined) throw new AdminFault(`what answers at ${at} takes no signed requests`)
  return async (about) => `${scheme} ${await signRequest(key, { ...about, realm }, Date.now())}`
}

function readToken(file: string): string {
  let token: string
  try {
    token = readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new UsageFault(`cannot read the token: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token) || token.length > 8192) throw new UsageFault(`${file} holds no token`)
  return token
}

function readKey(file: string): string {
  let key: string
  try {
    key = readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new UsageFault(`cannot read the local key: ${error instanceof Error ? error.message : String(error)}`)
  }
  // another file given by mistake may hold anything, and would go into a header
  if (!/^[\x21-\x7e]{1,256}$/.test(key)) throw new UsageFault(`${file} holds no local key`)
  return key
}

/** Sends one request and gives the response as a stream. Throws `AdminFault` when it cannot, or when the answer is no 2xx. */
export async function askAdmin(
  access: AdminAccess,
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal } = {},
): Promise<IncomingMessage> {
  const response = await open(access, method, path, options)
  const status = response.statusCode ?? 0
  if (status >= 200 && status < 300) return response
  const text = await readAll(response)
  throw new AdminFault(titleOf(text) ?? `the admin port answered ${status}`, status)
}

/** Sends one request and gives its JSON answer. */
export async function askJson(access: AdminAccess, method: string, path: string, body?: unknown): Promise<unknown> {
  return JSON.parse(await readAll(await askAdmin(access, method, path, body === undefined ? {} : { body })))
}

async function open(
  access: AdminAccess,
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal },
): Promise<IncomingMessage> {
  const body = options.body === undefined ? '' : JSON.stringify(options.body)
  const colon = access.at.lastIndexOf(':')
  const place: RequestOptions = access.at.startsWith('unix:')
    ? { socketPath: access.at.slice(5) }
    : { host: access.at.slice(0, colon).replaceAll(/[[\]]/g, ''), port: Number(access.at.slice(colon + 1)) }
  const authorization = await access.authorize({ method, target: path, body })
  return new Promise((resolvePromise, reject) => {
    const sent = request(
      {
        ...place,
        method,
        path,
        headers: {
          ...(authorization ? { authorization } : {}),
          ...(body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}),
          ...options.headers,
        },
        ...(options.signal ? { signal: options.signal } : {}),
      },
      resolvePromise,
    )
    sent.on('error', (error) => reject(new AdminFault(`no Countersign answers at ${access.at}: ${error.message}`)))
    sent.end(body)
  })
}

async function readAll(response: IncomingMessage): Promise<string> {
  let text = ''
  response.setEncoding('utf8')
  for await (const part of response) text += String(part)
  return text
}

function titleOf(text: string): string | null {
  try {
    const parsed: unknown = JSON.parse(text)
    return parsed !== null && typeof parsed === 'object' && 'title' in parsed ? String(parsed.title) : null
  } catch {
    return null
  }
}
