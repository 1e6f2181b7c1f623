import { readFileSync } from 'node:fs'
import { request, type IncomingMessage, type RequestOptions } from 'node:http'
import { dirname, resolve } from 'node:path'
import { UsageFault, type Invocation } from './command.ts'

/** Options of every command that talks to a running Countersign. */
export const adminOptions = {
  config: { type: 'string' },
  addr: { type: 'string' },
  key: { type: 'string' },
} as const

export const adminUsage = `  --config FILE    take the admin address and key from this configuration
  --addr ADDR      admin address, host:port or unix:/path (COUNTERSIGN_ADDR; default 127.0.0.1:7421)
  --key FILE       file with the local key (COUNTERSIGN_KEY)`

/** Where the admin port is and the key that opens it. */
export interface AdminAccess {
  readonly at: string
  readonly key: string
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

/** Finds the admin port from options, environment or a configuration. Throws `UsageFault` when the key is nowhere. */
export async function findAdmin(
  values: { readonly config?: string | undefined; readonly addr?: string | undefined; readonly key?: string | undefined },
  env: Invocation['env'],
): Promise<AdminAccess> {
  let at = values.addr ?? env['COUNTERSIGN_ADDR']
  let file = values.key ?? env['COUNTERSIGN_KEY']
  if (values.config !== undefined) {
    const { loadConfig } = await import('../config/load.ts')
    const { config, folder } = loadConfig(values.config, env)
    at ??= config.admin.at
    file ??= resolve(folder, config.admin.key?.file ?? resolve(dirname(resolve(folder, config.task.state.path)), 'admin.key'))
  }
  if (file === undefined)
    throw new UsageFault('which Countersign? Give --config FILE, or --key FILE with the local key (admin.key beside its state)')
  return { at: at ?? '127.0.0.1:7421', key: readKey(file) }
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

function open(
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
  return new Promise((resolvePromise, reject) => {
    const sent = request(
      {
        ...place,
        method,
        path,
        headers: {
          authorization: `Bearer ${access.key}`,
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
