import { spawn, type ChildProcess } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
/** Compiled code is kept from one process to the next: most of a short command is reading its own source. */
const cache = { NODE_COMPILE_CACHE: join(tmpdir(), 'countersign-compiled') }

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** The real command line in a process of its own, with an environment of its own; ended by `await using`. */
export class Command implements AsyncDisposable {
  stdout = ''
  stderr = ''
  /** Exit status; null when a signal ended it. */
  readonly exited: Promise<number | null>
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()
  #over = false

  constructor(args: readonly string[], options: CommandOptions = {}) {
    const { env = {}, cwd } = options
    const words = ['--disable-warning=ExperimentalWarning', main, ...args]
    this.#child = spawn(process.execPath, words, {
      env: { PATH: process.env['PATH'] ?? '', ...cache, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#took(() => (this.stdout += text)))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#took(() => (this.stderr += text)))
    this.#child.stdin?.on('error', () => {})
    this.exited = new Promise((resolve) => {
      this.#child.on('close', (code) => {
        this.#took(() => (this.#over = true))
        resolve(code)
      })
    })
  }

  /** Writes the text to its standard input and ends it. */
  input(text: string): this {
    this.#child.stdin?.end(text)
    return this
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Closes our end of its standard output, as `| head` does. */
  hangUp(): void {
    this.#child.stdout?.destroy()
  }

  /** Resolves when what it has written satisfies the test; rejects, with what it has written, when it ends before. */
  until(test: (command: this) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const there = test(this)
        if (!there && !this.#over) return
        this.#waiting.delete(look)
        if (there) resolve()
        else reject(new Error(`the command ended before that\n${this.stdout}\n${this.stderr}`))
      }
      this.#waiting.add(look)
      look()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) this.#child.kill('SIGKILL')
    await this.exited
  }

  #took(change: () => unknown): void {
    change()
    for (const look of this.#waiting) look()
  }
}

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs one command to its end. */
export async function countersign(args: readonly string[], options: CommandOptions & { readonly input?: string } = {}): Promise<Ran> {
  const command = new Command(args, options).input(options.input ?? '')
  const code = await command.exited
  return { code, stdout: command.stdout, stderr: command.stderr }
}
