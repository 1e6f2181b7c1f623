import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { env, execPath } from 'node:process'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const root = join(import.meta.dirname, '../..')
const command = ['--disable-warning=ExperimentalWarning', join(root, 'src/main.ts')]
/** Compiled once, as an installed package is: a start then costs what it costs there. */
const environment = { PATH: env['PATH'], NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/countersign-compiled') }
let compiled: Promise<unknown> | null = null
/** Those that run; a test process that is ended early takes them along. */
const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** A Countersign in a process of its own, started as an operator starts it. */
export class SidecarProcess implements AsyncDisposable {
  /** Listener name → port. */
  readonly ports: Readonly<Record<string, number>>
  /** C2SP verifier key of its ledger. */
  readonly key: string
  /** From spawning it to all its ports being open, ms. */
  readonly startMs: number
  readonly #child: ChildProcess
  /** What it wrote for the operator, line by line. */
  readonly logged: readonly string[]

  private constructor(child: ChildProcess, logged: readonly string[], up: Up, startMs: number) {
    this.#child = child
    this.logged = logged
    this.ports = up.ports
    this.key = up.key
    this.startMs = startMs
  }

  /** Resolves when it is up; rejects with what it said when it ends before. */
  static async start(file: string): Promise<SidecarProcess> {
    await compile()
    const began = performance.now()
    const { child, logged, up } = launch(file)
    return new SidecarProcess(child, logged, await up, performance.now() - began)
  }

  /** Kills one while it starts, `ms` after it was spawned; resolves when it is gone. */
  static async startAndKill(file: string, ms: number): Promise<void> {
    const { child, up } = launch(file)
    const timer = setTimeout(() => child.kill('SIGKILL'), ms)
    const gone = once(child, 'exit')
    await up.then(
      () => child.kill('SIGKILL'),
      () => undefined,
    )
    await gone
    clearTimeout(timer)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  port(name = 'agent.0'): number {
    return this.ports[name] ?? 0
  }

  /** Resolves when it has ended, whoever ended it. */
  async ended(): Promise<void> {
    if (this.alive) await once(this.#child, 'exit')
  }

  /** kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM; gives the exit status once it has drained. */
  async stop(): Promise<number | null> {
    await this.#end('SIGTERM')
    return this.#child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (!this.alive) return
    const gone = once(this.#child, 'exit')
    this.#child.kill(signal)
    await gone
  }
}

/**
 * Only a process that ends by itself writes what it compiled, so one loads all that a start does and ends: where each is killed, every
 * start would otherwise compile everything anew, which takes twice as long as the rest of it.
 */
function compile(): Promise<unknown> {
  const load = `await import(${JSON.stringify(pathToFileURL(join(root, 'src/cli/start.ts')).href)})`
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', load]
  compiled ??= once(spawn(execPath, args, { cwd: root, env: environment, stdio: 'ignore' }), 'exit')
  return compiled
}

interface Up {
  readonly ports: Readonly<Record<string, number>>
  readonly key: string
}

function launch(file: string): { readonly child: ChildProcess; readonly logged: readonly string[]; readonly up: Promise<Up> } {
  const args = [...command, 'start', '--config', file]
  const child = spawn(execPath, args, { cwd: root, env: environment, stdio: ['ignore', 'ignore', 'pipe'] })
  children.add(child)
  child.once('exit', () => children.delete(child))
  const logged: string[] = []
  const { promise, resolve, reject } = Promise.withResolvers<Up>()
  createInterface({ input: child.stderr }).on('line', (line) => {
    logged.push(line)
    if (line.includes('"Countersign is up"')) resolve(JSON.parse(line))
  })
  child.once('exit', (code, signal) => reject(new Error(`the sidecar ended (${code ?? signal}): ${logged.join('\n')}`)))
  // whoever kills it while it starts does not wait for it
  promise.catch(() => undefined)
  return { child, logged, up: promise }
}
