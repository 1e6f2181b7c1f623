import { styleText } from 'node:util'
import { LogWriter, readLogLine, type LogLine } from '../cli/log-line.ts'
import type { Sidecar } from '../sidecar.ts'
import { curlLine, makeCall, type AgentPorts, type Seen } from './call.ts'
import type { AgentSvids, Company } from './company.ts'
import type { Step } from './story.ts'

export interface TellerOptions {
  readonly colour: boolean
  readonly print: (text: string) => void
}

/** How long what the ledger is to hold may take, ms. */
const patience = 5000

/** Tells one step after the other: its title, the call, what came back, and the decision as the SRE sees it. */
export class Teller {
  readonly company: Company
  readonly ports: AgentPorts
  readonly #recorder: Pick<Sidecar['foundation']['recorder'], 'position' | 'tail'>
  readonly #options: TellerOptions
  #svids: AgentSvids = { token: '', readerToken: '', certificate: { cert: '', key: '', ca: '' } }
  #refused: string | null = null
  #number = 0
  #asTold = true

  constructor(company: Company, { ports, foundation }: Pick<Sidecar, 'ports' | 'foundation'>, options: TellerOptions) {
    this.company = company
    this.ports = { plain: ports.get('agent.0') ?? 0, tls: ports.get('agent.1') ?? 0 }
    this.#recorder = foundation.recorder
    this.#options = options
  }

  /** What the agents prove themselves with from now on. */
  equip(svids: AgentSvids): void {
    this.#svids = svids
  }

  get svids(): AgentSvids {
    return this.#svids
  }

  /** Whether every step so far was as told. */
  get asTold(): boolean {
    return this.#asTold
  }

  /** The call that policy refused last. */
  get refused(): string | null {
    return this.#refused
  }

  /** Where the ledger is now, to tell what it took `since`. */
  get position(): number {
    return this.#recorder.position().seq
  }

  /** Makes one call as the agent and tells all of it. */
  async call(step: Step): Promise<Seen> {
    const before = this.position
    this.title(step.title, step.text)
    this.command(curlLine(step, this.ports, this.company))
    const seen = await makeCall(step, this.ports, this.#svids)
    const { status, code = null } = step.expect
    this.say(`${seen.status} ${seen.code === null ? short(seen.body) : `${seen.code}: ${seen.reasons.join('; ')}`}`)
    const act = step.path.startsWith('/.countersign/') && seen.status < 300
    if (act) await this.since(before)
    else if (seen.call !== null) await this.decision(seen.call)
    if (seen.status !== status || seen.code !== code) this.wrong(`expected ${status} ${code ?? ''}`)
    if (seen.code === 'decide.denied') this.#refused = seen.call
    return seen
  }

  /** Tells the lines of a call as the SRE sees them. */
  async decision(call: string): Promise<void> {
    await this.#lines(1, { is: ({ id }) => id === call, last: ({ kind }) => kind !== 'decision' })
  }

  /** Tells what the ledger took since `before`, but for leases, which calls show; with `last`, waits for the last line to tell. */
  async since(before: number, last?: (line: LogLine) => boolean): Promise<void> {
    await this.#lines(before + 1, { is: ({ own }) => own['event'] !== 'lease.issued', ...(last === undefined ? {} : { last }) })
  }

  title(title: string, text: string): void {
    this.#number++
    this.say(`\n${this.#number}. ${title}`, 'bold')
    this.say(text)
  }

  /** A line to copy. */
  command(line: string): void {
    this.say(`$ ${line}`, 'gray')
  }

  wrong(why: string): void {
    this.#asTold = false
    this.say(`not as told: ${why}`, 'red')
  }

  say(text: string, style?: 'bold' | 'gray' | 'green' | 'red'): void {
    this.#options.print(style !== undefined && this.#options.colour ? styleText(style, text, { validateStream: false }) : text)
  }

  async #lines(
    fromSeq: number,
    want: { readonly is: (line: LogLine) => boolean; readonly last?: (line: LogLine) => boolean },
  ): Promise<void> {
    const writer = new LogWriter({ colour: this.#options.colour, wide: false })
    const late = AbortSignal.timeout(patience)
    const tail = this.#recorder.tail({ fromSeq, follow: want.last !== undefined, ...(want.last === undefined ? {} : { signal: late }) })
    try {
      for await (const { line } of tail) {
        const stored = readLogLine(line)
        if (stored === null || !want.is(stored)) continue
        const text = writer.push(stored)
        if (text !== null) this.#options.print(`  ${text}`)
        if (want.last?.(stored) === true) return
      }
    } catch (error) {
      // told as far as it came
      if (!late.aborted) throw error
    }
    if (want.last !== undefined) this.wrong('the ledger does not hold what it should')
  }
}

/** What came back, on one line. */
export function short(body: unknown): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return text.length > 160 ? `${text.slice(0, 160)}…` : text
}
