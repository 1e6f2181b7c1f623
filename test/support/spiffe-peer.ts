import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { env } from 'node:process'
import { createInterface } from 'node:readline'

/** The SPIFFE programs of `test/engines/`, made from go-spiffe and from the Python client: they share no code with us. One JSON object a line. */

const root = join(import.meta.dirname, '../..')
const bin = join(root, '.engines/bin')
const python = join(root, '.engines/python')

export type Line = Readonly<Record<string, unknown>>

interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** `spiffe-peer` with these arguments. */
export function goPeer(...args: readonly string[]): Program {
  const command = join(bin, 'spiffe-peer')
  if (!existsSync(command)) throw new Error('spiffe-peer is not installed: run `npm run engines`')
  return { command, args, env: { PATH: env['PATH'] } }
}

/** `client.py` with these arguments. */
export function pythonPeer(...args: readonly string[]): Program {
  if (!existsSync(join(python, 'spiffe'))) throw new Error('the Python SPIFFE client is not installed: run `npm run engines`')
  const script = join(root, 'test/engines/spiffe-py/client.py')
  // a program of its own, so that nothing of ours or of the system answers for the client
  return { command: 'python3', args: [script, ...args], env: { PATH: env['PATH'], PYTHONPATH: python, PYTHONDONTWRITEBYTECODE: '1' } }
}

/** Where a binary of an optional engine is, in `.engines/bin` or on the PATH; null when it is nowhere. */
export function findEngine(name: string): string | null {
  const folders = [bin, ...(env['PATH'] ?? '').split(delimiter)]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null
}

/** Runs it to its end; gives the last line that it said. Rejects with what it said was wrong. */
export async function run({ command, args, env: environment }: Program): Promise<Line> {
  const { promise, resolve, reject } = Promise.withResolvers<Line>()
  const child = execFile(command, [...args], { env: environment, maxBuffer: 1 << 26, timeout: 60_000 }, (error, stdout, stderr) => {
    const last: Line = parse(stdout.trimEnd().split('\n').at(-1) ?? '')
    if (error === null) resolve(last)
    else reject(new Error(failure(last) || `${error.message}\n${stdout}${stderr}`))
  })
  child.stdin?.end()
  return promise
}

/** One that stays: told what to do on its stdin, until `await using` ends it. */
export class Peer implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: Line[] = []
  readonly #waiting: (() => void)[] = []
  readonly #answers = new Map<number, (line: Line) => void>()
  #read = 0
  #asked = 0
  #said = ''
  #ended: string | null = null

  private constructor({ command, args, env: environment }: Program) {
    this.#child = spawn(command, args, { env: environment, stdio: ['pipe', 'pipe', 'pipe'] })
    children.add(this.#child)
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#said += chunk.toString()))
    // it may be gone when it is told the next thing: then its end says so
    this.#child.stdin?.on('error', () => undefined)
    if (this.#child.stdout !== null) createInterface({ input: this.#child.stdout }).on('line', (text) => this.#take(parse(text)))
    this.#child.once('close', (code, signal) => {
      children.delete(this.#child)
      this.#ended = `${command} ended (${code ?? signal}): ${this.#said}${this.#lines.map(failure).join(' ')}`
      this.#take({ ended: this.#ended })
      for (const answer of this.#answers.values()) answer({ error: this.#ended })
    })
  }

  /** Resolves at once: what it says first is the first that `next` gives. */
  static start(program: Program): Peer {
    return new Peer(program)
  }

  /** Tells it something; gives its answer, or rejects with what it could not do. */
  async ask(order: Line): Promise<Line> {
    if (this.#ended !== null) throw new Error(this.#ended)
    const id = ++this.#asked
    const { promise, resolve } = Promise.withResolvers<Line>()
    this.#answers.set(id, resolve)
    this.#child.stdin?.write(`${JSON.stringify({ ...order, id })}\n`)
    const answer = await promise
    if (answer['error'] !== undefined) throw new Error(failure(answer))
    return answer
  }

  /** The next line of those not yet read that is such; what came before it counts as read. */
  async next(matches: (line: Line) => boolean = () => true): Promise<Line> {
    for (;;) {
      while (this.#read < this.#lines.length) {
        const line = this.#lines[this.#read++] ?? {}
        if (matches(line)) return line
        if (typeof line['ended'] === 'string') throw new Error(line['ended'])
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** The next event of this kind. */
  async event(kind: string, matches: (line: Line) => boolean = () => true): Promise<Line> {
    return this.next((line) => line['event'] === kind && matches(line))
  }

  /** Kills it and waits until it is gone, as when the machine takes it away. */
  async kill(): Promise<void> {
    if (this.#ended !== null) return
    const gone = once(this.#child, 'close')
    this.#child.kill('SIGKILL')
    await gone
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  #take(line: Line): void {
    const answer = typeof line['id'] === 'number' ? this.#answers.get(line['id']) : undefined
    if (answer !== undefined && typeof line['id'] === 'number') {
      this.#answers.delete(line['id'])
      answer(line)
      return
    }
    this.#lines.push(line)
    for (const go of this.#waiting.splice(0)) go()
  }
}

export interface ServeOptions {
  /** SPIFFE IDs of its entries, each with its hint after a comma. */
  readonly ids?: readonly string[]
  readonly trustDomain?: string
  readonly federated?: readonly string[]
  /** On TCP and a free port instead of a unix socket. */
  readonly tcp?: boolean
  /** More arguments of `serve`. */
  readonly more?: readonly string[]
  /** Path of the socket, to come back where one was before. */
  readonly path?: string
}

/** A Workload API made from go-spiffe's stubs, with authorities of its own. */
export class WorkloadApiPeer implements AsyncDisposable {
  readonly peer: Peer
  /** SPIFFE_ENDPOINT_SOCKET. */
  readonly socket: string
  readonly path: string
  readonly #folder: string | null

  private constructor(peer: Peer, socket: string, path: string, folder: string | null) {
    this.peer = peer
    this.socket = socket
    this.path = path
    this.#folder = folder
  }

  static async start(options: ServeOptions = {}): Promise<WorkloadApiPeer> {
    const folder = options.path === undefined ? mkdtempSync(join(tmpdir(), 'countersign-spiffe-')) : null
    const path = options.path ?? join(folder ?? '', 'api.sock')
    const args = options.tcp === true ? ['--tcp', '127.0.0.1:0'] : ['--socket', path]
    if (options.trustDomain !== undefined) args.push('--td', options.trustDomain)
    for (const id of options.ids ?? ['spiffe://acme.example/countersign']) args.push('--id', id)
    for (const name of options.federated ?? []) args.push('--federated', name)
    const peer = Peer.start(goPeer('serve', ...args, ...(options.more ?? [])))
    const { socket } = await peer.event('listening')
    return new WorkloadApiPeer(peer, String(socket), path, folder)
  }

  async ask(order: Line): Promise<Line> {
    return this.peer.ask(order)
  }

  /** Gone as after a crash: the socket's file stays. */
  async kill(): Promise<void> {
    await this.peer.kill()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer.kill()
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true })
  }
}

function failure(line: Line): string {
  return typeof line['error'] === 'string' ? line['error'] : ''
}

function parse(text: string): Line {
  try {
    const line: Line | null = JSON.parse(text)
    return typeof line === 'object' && line !== null ? line : { text }
  } catch {
    return { text }
  }
}
