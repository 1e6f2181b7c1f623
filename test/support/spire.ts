import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findEngine } from './spiffe-peer.ts'

/** A real SPIRE server and agent on loopback and unix sockets, in a folder of their own. */

const exec = promisify(execFile)

/** Paths of the binaries; null when one is missing. */
export function findSpire(): { readonly server: string; readonly agent: string } | null {
  const [server, agent] = [findEngine('spire-server'), findEngine('spire-agent')]
  return server === null || agent === null ? null : { server, agent }
}

export interface EntryOptions {
  readonly id: string
  /** Seconds. */
  readonly ttl?: number
  readonly hint?: string
}

export interface Entry extends AsyncDisposable {
  /** As SPIRE names it. */
  readonly id: string
  delete(): Promise<void>
}

interface Launched {
  readonly child: ChildProcess
  said: string
}

/** Those that run; a test process that is ended early takes them along. */
const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

export class Spire implements AsyncDisposable {
  /** SPIFFE_ENDPOINT_SOCKET of the agent. */
  readonly socket: string
  /** Of the server's bundle endpoint, profile https_spiffe. */
  readonly bundleUrl: string
  readonly folder: string
  readonly #server: string
  readonly #running: readonly ChildProcess[]

  private constructor(folder: string, server: string, bundlePort: number, running: readonly ChildProcess[]) {
    this.folder = folder
    this.socket = `unix://${folder}/api/agent.sock`
    this.bundleUrl = `https://127.0.0.1:${bundlePort}/`
    this.#server = server
    this.#running = running
  }

  /** Resolves when the agent serves the Workload API, without an entry for anybody yet. */
  static async start(trustDomain: string): Promise<Spire> {
    const binaries = findSpire()
    if (binaries === null) throw new Error('SPIRE is not installed: run `npm run engines -- spire-server spire-agent`')
    const folder = mkdtempSync(join(tmpdir(), 'spire-'))
    for (const name of ['server', 'agent', 'api']) mkdirSync(join(folder, name))
    const [port, bundlePort] = [await freePort(), await freePort()]
    writeFileSync(join(folder, 'server.conf'), serverConfig(folder, trustDomain, port, bundlePort))
    writeFileSync(join(folder, 'agent.conf'), agentConfig(folder, trustDomain, port))
    const server = launch(binaries.server, ['run', '-config', join(folder, 'server.conf')])
    const serverSocket = join(folder, 'server/api.sock')
    await answers(server, binaries.server, ['healthcheck', '-socketPath', serverSocket])
    const ask = async (...args: readonly string[]): Promise<string> =>
      (await exec(binaries.server, [...args, '-socketPath', serverSocket])).stdout
    writeFileSync(join(folder, 'bundle.pem'), await ask('bundle', 'show'))
    const { value }: { value: string } = JSON.parse(await ask('token', 'generate', '-spiffeID', nodeId(trustDomain), '-output', 'json'))
    const agent = launch(binaries.agent, ['run', '-config', join(folder, 'agent.conf'), '-joinToken', value])
    await answers(agent, binaries.agent, ['healthcheck', '-socketPath', join(folder, 'api/agent.sock')])
    return new Spire(folder, binaries.server, bundlePort, [agent.child, server.child])
  }

  /** Registers this user's processes under an ID, until the entry is deleted. */
  async create({ id, ttl = 60, hint = '' }: EntryOptions): Promise<Entry> {
    const [, trustDomain = ''] = /^spiffe:\/\/([^/]+)/.exec(id) ?? []
    const lives = ['-x509SVIDTTL', String(ttl), '-jwtSVIDTTL', String(ttl)]
    const selector = `unix:uid:${process.getuid?.() ?? 0}`
    const args = ['-parentID', nodeId(trustDomain), '-spiffeID', id, '-selector', selector, '-hint', hint, ...lives]
    const { results }: { results: { entry: { id: string } }[] } = JSON.parse(await this.ask('entry', 'create', ...args, '-output', 'json'))
    const entry = results[0]?.entry.id ?? ''
    let there = true
    const remove = async (): Promise<void> => {
      if (there) await this.ask('entry', 'delete', '-entryID', entry)
      there = false
    }
    return { id: entry, delete: remove, [Symbol.asyncDispose]: remove }
  }

  /** Runs a command of `spire-server`; gives what it prints. */
  async ask(...args: readonly string[]): Promise<string> {
    return (await exec(this.#server, [...args, '-socketPath', join(this.folder, 'server/api.sock')])).stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function nodeId(trustDomain: string): string {
  return `spiffe://${trustDomain}/node`
}

/** Short lives, and changes of entries seen within seconds. */
function serverConfig(folder: string, trustDomain: string, port: number, bundlePort: number): string {
  return `
server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${folder}/server/api.sock"
  trust_domain = "${trustDomain}"
  data_dir = "${folder}/server"
  log_level = "WARN"
  federation {
    bundle_endpoint {
      address = "127.0.0.1"
      port = ${bundlePort}
      profile "https_spiffe" {}
    }
  }
  experimental { cache_reload_interval = "1s" }
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${folder}/server/data.sqlite3" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
}
`
}

function agentConfig(folder: string, trustDomain: string, port: number): string {
  return `
agent {
  data_dir = "${folder}/agent"
  log_level = "WARN"
  server_address = "127.0.0.1"
  server_port = "${port}"
  socket_path = "${folder}/api/agent.sock"
  trust_bundle_path = "${folder}/bundle.pem"
  trust_domain = "${trustDomain}"
  experimental { sync_interval = "1s" }
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
  WorkloadAttestor "unix" { plugin_data {} }
}
`
}

function launch(command: string, args: readonly string[]): Launched {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const launched = { child, said: '' }
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (launched.said += chunk.toString()))
  children.add(child)
  child.once('exit', () => children.delete(child))
  return launched
}

/** Asks until it is healthy; each question takes the time of a process. */
async function answers(launched: Launched, command: string, question: readonly string[]): Promise<void> {
  for (;;) {
    if (launched.child.exitCode !== null) throw new Error(`${command} ended with ${launched.child.exitCode}: ${launched.said}`)
    const healthy = await exec(command, [...question]).then(
      () => true,
      () => false,
    )
    if (healthy) return
  }
}

/** Free a moment ago; SPIRE takes no port 0. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
