/** What is measured: Countersign with everything on, and plain forwarders beside it. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { developmentIssuer } from '../src/demo/issuer.ts'
import { answerBody } from './load.ts'
import { freePort, start, type Bench, type Started } from './started.ts'

export type TargetName = 'direct' | 'nginx' | 'envoy' | 'bare undici' | 'countersign'

/** A way from the load to the upstream. */
export interface Target {
  readonly name: TargetName
  /** Null: the upstream itself. */
  readonly process: Started | null
  readonly port: number
}

/** Countersign, and what a caller of it needs. */
export interface Countersign extends Target {
  readonly process: Started
  readonly healthPort: number
  readonly folder: string
  readonly svid: string
  /** An open task. */
  readonly task: string
}

const here = import.meta.dirname
const root = resolve(here, '..')
/** Longer than any run. */
const svidSeconds = 6 * 3600
const agent = 'spiffe://acme.example/ns/bench/sa/agent'
const audience = 'spiffe://acme.example/countersign'

/** nginx, answering 1 KiB, on the core of the load. */
export async function startUpstream(bench: Bench): Promise<Started> {
  const port = await freePort()
  const conf = fill(bench, 'upstream.conf', { PORT: port, BODY: answerBody })
  return start(bench, 'upstream', bench.loadCore, port, ['nginx', '-c', conf])
}

export async function startNginx(bench: Bench, upstream: number): Promise<Target> {
  const port = await freePort()
  const conf = fill(bench, 'nginx.conf', { PORT: port, UPSTREAM: upstream })
  const process = await start(bench, 'nginx', bench.proxyCore, port, ['nginx', '-c', conf])
  return { name: 'nginx', process, port }
}

/** Null when Envoy is not installed. */
export async function startEnvoy(bench: Bench, upstream: number): Promise<Target | null> {
  const binary = join(root, '.engines/bin/envoy')
  if (!existsSync(binary)) return null
  const port = await freePort()
  const conf = fill(bench, 'envoy.yaml', { PORT: port, UPSTREAM: upstream })
  const words = [binary, '-c', conf, '--concurrency', '1', '--log-level', 'error', '--use-dynamic-base-id']
  const process = await start(bench, 'envoy', bench.proxyCore, port, words)
  return { name: 'envoy', process, port }
}

export async function startBare(bench: Bench, upstream: number): Promise<Target> {
  const port = await freePort()
  const command = [process.execPath, join(here, 'peers/bare.ts'), String(upstream), String(port)]
  const started = await start(bench, 'bare', bench.proxyCore, port, command)
  return { name: 'bare undici', process: started, port }
}

/** A process of its own with a fresh state and ledger, one agent, and one explicit task opened by it. */
export async function startCountersign(bench: Bench, upstream: number, nodeOptions: readonly string[]): Promise<Countersign> {
  const folder = join(bench.folder, 'countersign')
  mkdirSync(folder)
  const [port, healthPort, admin] = [await freePort(), await freePort(), await freePort()]
  const issuer = await developmentIssuer('acme.example')
  writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
  const places = { PORT: port, HEALTH: healthPort, ADMIN: admin, UPSTREAM: upstream }
  const conf = fill({ ...bench, folder }, 'countersign.yaml', places)
  const command = [process.execPath, ...nodeOptions, join(root, 'src/main.ts'), 'start', '--config', conf]
  const started = await start(bench, 'countersign-log', bench.proxyCore, port, command)
  const svid = await issuer.mint(agent, audience, svidSeconds)
  const task = await openTask(port, svid)
  return { name: 'countersign', process: started, port, healthPort, folder, svid, task }
}

async function openTask(port: number, svid: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/.countersign/v1/tasks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${svid}`, 'content-type': 'application/json' },
    body: JSON.stringify({ purpose: 'measure', tools: ['items.read', 'items.write', 'items.open'], resources: ['item:*'], ttl: '10h' }),
  })
  const task: unknown = await answer.json()
  if (answer.status !== 201 || task === null || typeof task !== 'object' || !('id' in task)) {
    throw new Error(`no task was opened: ${answer.status} ${JSON.stringify(task)}`)
  }
  return String(task.id)
}

/** Writes a peer's configuration with its places filled in; gives the file. */
function fill(bench: Bench, template: string, places: Readonly<Record<string, string | number>>): string {
  const all: Readonly<Record<string, string | number>> = { FOLDER: bench.folder, ...places }
  const text = readFileSync(join(here, 'peers', template), 'utf8').replaceAll(/\$\{([A-Z]+)\}/g, (_whole, name: string) => {
    const value = all[name]
    if (value === undefined) throw new Error(`${template}: nothing for ${name}`)
    return String(value)
  })
  const file = join(bench.folder, template)
  writeFileSync(file, text)
  return file
}
