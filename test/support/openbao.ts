import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { freePort } from './people-rig.ts'
import type { Postgres } from './postgres.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const bin = join(root, '.engines/bin')
if (!existsSync(join(bin, 'bao'))) throw new Error('OpenBao is not here: npm run engines -- bao postgresql')

/** A token as `auth/token/lookup-accessor` tells of it. */
export interface KnownToken {
  readonly path: string
  readonly policies: readonly string[]
  readonly meta: Readonly<Record<string, string>> | null
  readonly ttl: number
}

/** A real OpenBao on a free port of loopback, all in memory. */
export class OpenBao implements AsyncDisposable {
  readonly url: string
  readonly #token: string
  readonly #folder: string
  readonly #server: ChildProcess

  private constructor(port: number, token: string, folder: string, server: ChildProcess) {
    this.url = `http://127.0.0.1:${port}`
    this.#token = token
    this.#folder = folder
    this.#server = server
  }

  static async start(): Promise<OpenBao> {
    const folder = mkdtempSync(join(tmpdir(), 'cs-bao-'))
    const [port, token] = [await freePort(), randomUUID()]
    const args = ['server', '-dev', '-dev-no-store-token', `-dev-root-token-id=${token}`, `-dev-listen-address=127.0.0.1:${port}`]
    const server = spawn(join(bin, 'bao'), args, { cwd: folder, env: { HOME: folder }, stdio: ['ignore', 'pipe', 'pipe'] })
    const bao = new OpenBao(port, token, folder, server)
    process.on('exit', () => server.kill('SIGKILL'))
    await new Promise<void>((resolve, reject) => {
      const said: string[] = []
      const hear = (line: string): void => {
        said.push(line)
        if (line.includes('Development mode should NOT be used')) resolve()
      }
      for (const stream of [server.stdout, server.stderr]) createInterface({ input: stream }).on('line', hear)
      server.once('exit', () => reject(new Error(`OpenBao ended: ${said.join('\n')}`)))
    })
    return bao
  }

  /** Runs the commands of docs/vault.md as they stand there. */
  async setUp(countersign: string, postgres: Postgres): Promise<void> {
    const page = readFileSync(join(root, 'docs/vault.md'), 'utf8')
    const commands = Array.from(page.matchAll(/^```sh\n([\s\S]*?)^```/gm), (match) => match[1] ?? '').join('\n')
    const env = {
      PATH: `${bin}:${process.env['PATH']}`,
      HOME: this.#folder,
      BAO_ADDR: this.url,
      BAO_TOKEN: this.#token,
      COUNTERSIGN: countersign,
      POSTGRES: `127.0.0.1:${postgres.port}`,
      POSTGRES_PASSWORD: postgres.superuser.password,
      POSTGRES_TLS: 'disable',
    }
    await run('sh', ['-euc', commands], { env })
  }

  /** Asks as root. */
  async ask(
    method: string,
    path: string,
    body?: object,
  ): Promise<{ readonly status: number; readonly json: Readonly<Record<string, unknown>> }> {
    const headers = { 'X-Vault-Token': this.#token }
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) }
    const response = await fetch(`${this.url}/v1/${path}`, init)
    const text = await response.text()
    return { status: response.status, json: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) }
  }

  /** Every token that is alive, but for root. */
  async tokens(): Promise<readonly KnownToken[]> {
    const { json } = await this.ask('LIST', 'auth/token/accessors')
    const keys = (json['data'] as { keys?: string[] } | undefined)?.keys ?? []
    const all = await Promise.all(keys.map((accessor) => this.ask('POST', 'auth/token/lookup-accessor', { accessor })))
    // one that ended between list and look is none
    const known = all.filter(({ status }) => status === 200).map((one) => one.json['data'] as KnownToken)
    return known.filter(({ path, policies }) => path !== 'auth/token/root' && !policies.includes('root'))
  }

  /** Leases of the role of docs/vault.md. */
  async leases(): Promise<readonly string[]> {
    const { json } = await this.ask('LIST', 'sys/leases/lookup/database/creds/orders-reader')
    return (json['data'] as { keys?: string[] } | undefined)?.keys ?? []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.exitCode === null) {
      const gone = once(this.#server, 'exit')
      this.#server.kill('SIGKILL')
      await gone
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
