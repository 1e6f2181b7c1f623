import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { freePort } from './people-rig.ts'

const run = promisify(execFile)
/** Debian keeps the server's programs off the PATH, by version. */
const versions = '/usr/lib/postgresql'
const newest = existsSync(versions) ? readdirSync(versions).toSorted((a, b) => Number(b) - Number(a))[0] : undefined
const program = (name: string): string => (newest === undefined ? name : join(versions, newest, 'bin', name))
/** The server will not run as root: then it is nobody's. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** What `psql` said of a session over TCP. */
export interface Session {
  readonly ok: boolean
  readonly text: string
}

/** A real PostgreSQL on a free port of loopback, in a folder of its own. Over TCP it asks for a password; its socket is the superuser's. */
export class Postgres implements AsyncDisposable {
  readonly port: number
  readonly superuser = { name: 'super', password: randomBytes(12).toString('hex') }
  readonly #folder: string
  #server: ChildProcess | null = null

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.port = port
  }

  static async start(): Promise<Postgres> {
    const folder = mkdtempSync(join(tmpdir(), 'cs-pg-'))
    chmodSync(folder, 0o755)
    const postgres = new Postgres(folder, await freePort())
    const password = join(folder, 'password')
    writeFileSync(password, postgres.superuser.password)
    if (nobody.uid !== undefined) for (const path of [folder, password]) chownSync(path, nobody.uid, nobody.gid)
    const settings = [
      '-U',
      postgres.superuser.name,
      `--pwfile=${password}`,
      '--auth-host=scram-sha-256',
      '--auth-local=trust',
      '--no-sync',
      '-E',
      'UTF8',
    ]
    await run(program('initdb'), ['-D', join(folder, 'data'), ...settings], { ...nobody, cwd: folder, env: {} })
    await postgres.serve()
    return postgres
  }

  /** Starts the server; resolves when it takes connections. */
  async serve(): Promise<void> {
    const args = [
      '-D',
      join(this.#folder, 'data'),
      '-p',
      String(this.port),
      '-h',
      '127.0.0.1',
      '-k',
      this.#folder,
      '-c',
      'fsync=off',
      '-c',
      'max_connections=60',
    ]
    const server = spawn(program('postgres'), args, { ...nobody, cwd: this.#folder, env: {}, stdio: ['ignore', 'ignore', 'pipe'] })
    this.#server = server
    process.on('exit', () => server.kill('SIGQUIT'))
    await new Promise<void>((resolve, reject) => {
      const said: string[] = []
      createInterface({ input: server.stderr }).on('line', (line) => {
        said.push(line)
        if (line.includes('ready to accept connections')) resolve()
      })
      server.once('exit', () => reject(new Error(`PostgreSQL ended: ${said.join('\n')}`)))
    })
  }

  /** Ends it at once, as if its machine were gone. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null || server.exitCode !== null) return
    const gone = once(server, 'exit')
    // at once, and with all its sessions
    server.kill('SIGQUIT')
    await gone
  }

  /** One statement of the superuser; gives its rows as text. */
  async query(sql: string): Promise<readonly string[]> {
    const { stdout } = await run('psql', [
      '-h',
      this.#folder,
      '-p',
      String(this.port),
      '-U',
      this.superuser.name,
      '-d',
      'postgres',
      '-XAtc',
      sql,
    ])
    return stdout.split('\n').filter((line) => line !== '')
  }

  /** Roles that were made for tasks. */
  roles(): Promise<readonly string[]> {
    return this.query("select rolname from pg_roles where rolname like 'v-%'")
  }

  /** Logs in over TCP as anybody would, and says who it is. */
  async session(user: string, password: string): Promise<Session> {
    const args = ['-h', '127.0.0.1', '-p', String(this.port), '-U', user, '-d', 'postgres', '-XAtc', 'select current_user']
    try {
      const { stdout } = await run('psql', args, { env: { PATH: process.env['PATH'], PGPASSWORD: password, PGCONNECT_TIMEOUT: '5' } })
      return { ok: true, text: stdout.trim() }
    } catch (error) {
      return { ok: false, text: error instanceof Error && 'stderr' in error ? String(error.stderr) : 'psql failed' }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
