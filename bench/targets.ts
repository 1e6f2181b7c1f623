/** What is measured: Countersign with everything on. What it is measured beside is in peers.ts. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { openTasks, type Callers } from './callers.ts'
import { answerBody, largeAnswer } from './load.ts'
import { freePort, start, type Bench, type Started } from './started.ts'

/** In the order of the report. */
export const targetNames = [
  'direct',
  'countersign',
  'countersign synced',
  'nginx',
  'envoy',
  'bare undici',
  'http-proxy',
  'envoy + opa',
  'envoy + opa no-op',
  'agentgateway',
  'iron-proxy',
] as const
export type TargetName = (typeof targetNames)[number]

/** A way from the load to the upstream. */
export interface Target {
  readonly name: TargetName
  /** All that stands between; none: the upstream itself. */
  readonly processes: readonly Started[]
  readonly port: number
  /** Refuses what is outside the task, and calls without an identity. */
  readonly judges: boolean
  /** Puts a credential in place of the caller's token. */
  readonly lends: boolean
  /** Host that it has to be asked for; absent: its own. */
  readonly host?: string
}

/** Countersign, and what a caller of it needs. */
export interface Countersign extends Target {
  readonly healthPort: number
  readonly folder: string
  /** Open tasks. */
  readonly tasks: readonly string[]
}

export interface CountersignOptions {
  readonly name: 'countersign' | 'countersign synced'
  readonly durability: 'written' | 'synced'
  readonly tasks: number
  /** Options of node, such as --cpu-prof. */
  readonly node: readonly string[]
  /** More agents and routes, as lines of the configuration; absent: none. */
  readonly more?: { readonly agents: string; readonly routes: string }
}

const here = import.meta.dirname
export const root = resolve(here, '..')

/** nginx, answering 1 KiB and 10 MB, on the core of the load. What comes in pieces, `events`, is another's. */
export async function startUpstream(bench: Bench, events: number): Promise<Started> {
  const port = await freePort()
  writeFileSync(join(bench.folder, 'large.json'), largeAnswer())
  const conf = fill(bench, 'upstream.conf', { PORT: port, BODY: answerBody, EVENTS: events })
  return start(bench, 'upstream', bench.loadCore, port, ['nginx', '-c', conf])
}

/** A process of its own with a fresh state and ledger, one agent, and explicit tasks opened by it. */
export async function startCountersign(bench: Bench, upstream: number, who: Callers, options: CountersignOptions): Promise<Countersign> {
  const made = await makeCountersign(bench, upstream, who, options)
  const started = await start(bench, `${options.name}-log`, bench.proxyCore, made.port, made.command)
  const [token = ''] = await who.tokens(1)
  const tasks = await openTasks(made.port, token, options.tasks)
  return { name: options.name, processes: [started], ...made, tasks, judges: true, lends: true }
}

/** A Countersign that has not been started: the same command again finds its state and its ledger. */
export interface Made {
  readonly command: readonly string[]
  readonly port: number
  readonly healthPort: number
  readonly folder: string
}

export async function makeCountersign(
  bench: Bench,
  upstream: number,
  who: Callers,
  { name, durability, node, more = { agents: '', routes: '' } }: Omit<CountersignOptions, 'tasks'>,
): Promise<Made> {
  const folder = join(bench.folder, name.replace(' ', '-'))
  mkdirSync(folder)
  const [port, healthPort, admin] = [await freePort(), await freePort(), await freePort()]
  writeFileSync(join(folder, 'bundle.json'), who.bundle)
  const own = { PORT: port, HEALTH: healthPort, ADMIN: admin, UPSTREAM: upstream, DURABILITY: durability }
  const conf = fill({ ...bench, folder }, 'countersign.yaml', { ...own, AGENTS: more.agents, ROUTES: more.routes })
  return { command: [process.execPath, ...node, join(root, 'src/main.ts'), 'start', '--config', conf], port, healthPort, folder }
}

/** Writes a peer's configuration with its places filled in; gives the file. */
export function fill(bench: Bench, template: string, places: Readonly<Record<string, string | number>>): string {
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
