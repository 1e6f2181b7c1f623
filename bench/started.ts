/** Starts what is measured, each on its core, and ends it again. */

import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer, type NetConnectOpts } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

/** Where everything of one run lies and runs. */
export interface Bench {
  /** Fresh folder of this run. */
  readonly folder: string
  /** For the proxy that is measured, alone. */
  readonly proxyCore: number
  /** For load and upstream. */
  readonly loadCore: number
  /** Priority of everything that is measured, as nice(1) takes it: below 0 (root only) it keeps neighbours away. */
  readonly nice: number
  readonly env: NodeJS.ProcessEnv
}

/** The words that pin a command to a core, at the priority of the run. */
export function pinned(bench: Bench, core: number, command: readonly string[]): string[] {
  return [...(bench.nice === 0 ? [] : ['nice', '-n', String(bench.nice)]), 'taskset', '-c', String(core), ...command]
}

/** A process that listens. */
export interface Started {
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

/** Starts a command pinned to a core; resolves when its port answers, rejects with where its output is when it does not. */
export async function start(
  bench: Bench,
  name: string,
  core: number,
  port: number,
  command: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Started> {
  return { port, ...(await launch(bench, name, core, command, env, () => accepts({ host: '127.0.0.1', port }))) }
}

/** The same of a command that listens on a path of the file system. */
export async function startOnPath(
  bench: Bench,
  name: string,
  core: number,
  path: string,
  command: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Started> {
  return { port: 0, ...(await launch(bench, name, core, command, env, () => accepts({ path }))) }
}

/** The same, until something else says that it is there; that is asked every few milliseconds. */
export async function begin(
  bench: Bench,
  name: string,
  core: number,
  port: number,
  command: readonly string[],
  ready: () => Promise<boolean>,
): Promise<Started> {
  return { port, ...(await launch(bench, name, core, command, {}, ready)) }
}

/** What was started and has not ended: none outlives a run that is interrupted. */
const living = new Set<ChildProcess>()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of living) child.kill('SIGTERM')
    process.exit(130)
  })
}

/** A busy machine starts a process slowly, ms. */
const patience = 90_000

async function launch(
  bench: Bench,
  name: string,
  core: number,
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  ready: () => Promise<boolean>,
): Promise<Omit<Started, 'port'>> {
  const output = `${bench.folder}/${name.replaceAll(' ', '-')}.log`
  const log = openSync(output, 'a')
  const [file = '', ...words] = pinned(bench, core, command)
  const child = spawn(file, words, { stdio: ['ignore', log, log], env: { ...bench.env, ...env }, cwd: bench.folder })
  closeSync(log)
  living.add(child)
  child.once('exit', () => living.delete(child))
  const failed = new Promise<never>((_resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) =>
      reject(new Error(`${name} ended with ${code}; its last words:\n${readFileSync(output, 'utf8').slice(-2000)}`)),
    )
  })
  failed.catch(() => {})
  await Promise.race([until(ready, name), failed]).catch(async (error: unknown) => {
    await stop(child)
    throw error
  })
  return { pid: child.pid ?? 0, stop: () => stop(child) }
}

async function until(ready: () => Promise<boolean>, name: string): Promise<void> {
  for (const began = Date.now(); Date.now() - began < patience; await wait(5)) if (await ready()) return
  throw new Error(`${name} does not listen after ${patience / 1000} s`)
}

function accepts(place: NetConnectOpts): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(place)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const hard = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await ended
  clearTimeout(hard)
}

/** A loopback port that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}
