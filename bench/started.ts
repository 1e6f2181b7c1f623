/** Starts what is measured, each on its core, and ends it again. */

import { spawn, type ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { connect, createServer } from 'node:net'
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

/** Starts a command pinned to a core; resolves when its port answers, rejects with the end of its output when it does not. */
export async function start(bench: Bench, name: string, core: number, port: number, command: readonly string[]): Promise<Started> {
  const log = openSync(`${bench.folder}/${name}.log`, 'a')
  const [file = '', ...words] = pinned(bench, core, command)
  const child = spawn(file, words, { stdio: ['ignore', log, log], env: bench.env, cwd: bench.folder })
  const failed = new Promise<never>((_resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}: see ${bench.folder}/${name}.log`)))
  })
  failed.catch(() => {})
  await Promise.race([answers(port), failed])
  return { pid: child.pid ?? 0, port, stop: () => stop(child) }
}

async function answers(port: number): Promise<void> {
  for (const began = Date.now(); Date.now() - began < 20_000; await wait(20)) if (await accepts(port)) return
  throw new Error(`nothing listens on port ${port}`)
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
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
