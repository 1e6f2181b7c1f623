import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { loadConfig, type Loaded } from '../config/load.ts'
import { LogWriter, readLogLine } from '../cli/log-line.ts'
import { verifyLedger } from '../record/verify.ts'
import type { Sidecar } from '../sidecar.ts'
import { foundCompany, svidSeconds, type AgentSvids, type Company } from './company.ts'
import { anonymous, calls, curlLine, makeCall, opening, read, type AgentPorts, type Seen, type Step } from './story.ts'

export interface DemonstrationOptions {
  /** End after the story. */
  readonly once: boolean
  readonly colour: boolean
  readonly print: (text: string) => void
  readonly signal: AbortSignal
  readonly open: (loaded: Loaded) => Promise<Sidecar>
}

/** How long the Workload API of the company may take to say its first word, ms. */
const firstKeys = 5000

/** Sets up a small company, tells one task of its agent, and stays up. Resolves with the exit code: 1 when a step was not as told. */
export async function demonstrate(options: DemonstrationOptions): Promise<number> {
  const company = await foundCompany()
  try {
    const loaded = loadConfig(company.configFile, company.env)
    const sidecar = await options.open(loaded)
    try {
      await sidecar.trust().settled(firstKeys)
      const teller = new Teller(company, sidecar, options)
      teller.warn(loaded)
      const asTold = await teller.tell()
      if (!options.once && !options.signal.aborted) await teller.stayUp()
      return asTold ? 0 : 1
    } finally {
      await sidecar.close()
    }
  } finally {
    await company.close()
  }
}

class Teller {
  readonly #company: Company
  readonly #sidecar: Sidecar
  readonly #options: DemonstrationOptions
  readonly #ports: AgentPorts
  #svids: AgentSvids = { token: '', certificate: { cert: '', key: '', ca: '' } }
  /** The call that was refused last. */
  #refused: string | null = null
  #number = 0
  #asTold = true

  constructor(company: Company, sidecar: Sidecar, options: DemonstrationOptions) {
    this.#company = company
    this.#sidecar = sidecar
    this.#options = options
    this.#ports = { plain: sidecar.ports.get('agent.0') ?? 0, tls: sidecar.ports.get('agent.1') ?? 0 }
  }

  async tell(): Promise<boolean> {
    const { agent, audience } = this.#company
    this.#svids = await this.#company.svids()
    this.#say('Countersign stands between an agent and every API it calls.', 'bold')
    this.#say(`Agent    ${agent}\nIdentity a JWT-SVID for ${audience}, by the SPIFFE Workload API`)
    this.#say(`Policy   default, revision ${this.#sidecar.foundation.policy.revision}\nState    ${this.#company.folder}`)
    await this.#call(anonymous)
    const opened = await this.#call(opening)
    const task = idOf(opened.body)
    for (const step of calls) await this.#call({ ...step, path: `/t/${task}${step.path}` })
    await this.#complete(task)
    await this.#replay()
    await this.#verify()
    this.#say(this.#asTold ? 'Every step was as told.' : 'A step was not as told: see above.', this.#asTold ? 'green' : 'red')
    return this.#asTold
  }

  /** The people of this company are made up: nobody would be called. */
  warn({ placeholders }: Loaded): void {
    const of = placeholders.map(({ path }) => path).join(', ')
    this.#say(`CS1603   nobody answers under the owners of an example: ${of}`)
  }

  /** Prints what to try, then the decisions as they come, until the signal. */
  async stayUp(): Promise<void> {
    const { ports, foundation } = this.#sidecar
    const { folder } = this.#company
    const renewal = setInterval(() => void this.#company.svids(), (svidSeconds / 2) * 1000)
    const admin = `--addr 127.0.0.1:${ports.get('admin')} --key ${folder}/admin.key`
    this.#say('Still running. Ports:', 'bold')
    this.#say(`agents ${this.#ports.plain} and over TLS ${this.#ports.tls}, admin ${ports.get('admin')}, health ${ports.get('health')}`)
    this.#say('Try:', 'bold')
    this.#say(
      [
        `TASK=$(${curlLine(opening, this.#ports, this.#company)} | sed -E 's/.*"id":"([^"]*)".*/\\1/')`,
        curlLine({ ...read, path: `/t/$TASK${read.path}` }, this.#ports, this.#company),
        `curl -s http://127.0.0.1:${ports.get('health')}/metrics | grep ^countersign_calls`,
        `npm run -s cs -- dev-identity mint --socket ${this.#company.workloadApi} --id ${this.#company.agent} --audience ${this.#company.audience}`,
        `npm run -s cs -- task ls ${admin}`,
        `npm run -s cs -- policy explain ${this.#refused} --logs ${folder}/ledger`,
        `npm run -s cs -- policy coverage ${admin}`,
        `npm run -s cs -- evidence verify ${folder}/ledger --key ${folder}/ledger/ledger.pub`,
      ].join('\n'),
    )
    this.#say('Decisions as they come (Ctrl-C ends):', 'bold')
    const writer = new LogWriter({ colour: this.#options.colour, wide: false })
    try {
      for await (const { line } of foundation.recorder.tail({ follow: true, signal: this.#options.signal })) {
        const stored = readLogLine(line)
        const text = stored === null ? null : writer.push(stored)
        if (text !== null) this.#options.print(text)
      }
    } catch (error) {
      if (!this.#options.signal.aborted) throw error
    } finally {
      clearInterval(renewal)
    }
  }

  async #call(step: Step): Promise<Seen> {
    const before = this.#sidecar.foundation.recorder.position().seq
    this.#title(step.title, step.text)
    this.#say(`$ ${curlLine(step, this.#ports, this.#company)}`, 'gray')
    const seen = await makeCall(step, this.#ports, this.#svids)
    const { status, code = null } = step.expect
    const good = seen.status === status && seen.code === code
    this.#say(`${seen.status} ${seen.code === null ? short(seen.body) : `${seen.code}: ${seen.reasons.join('; ')}`}`)
    const act = step.path.startsWith('/.countersign/') && seen.status < 300
    for (const line of act ? await this.#events(before) : await this.#decision(seen.call)) this.#options.print(`  ${line}`)
    if (!good) this.#wrong(`expected ${status} ${code ?? ''}`)
    if (seen.code === 'decide.denied') this.#refused = seen.call
    return seen
  }

  async #complete(task: string): Promise<void> {
    const path = `/.countersign/v1/tasks/${task}/complete`
    const step: Step = {
      title: 'The task is completed',
      text: 'Its leases are taken back; what the agent read stays remembered.',
      method: 'POST',
      path,
      expect: { status: 200 },
    }
    await this.#call(step)
    const late = {
      ...anonymous,
      identity: 'token' as const,
      title: 'A late call is refused',
      text: 'The task is over.',
      path: `/t/${task}/crm/orders/1042`,
    }
    await this.#call({ ...late, expect: { status: 403, code: 'task.ended' } })
  }

  /** What a thief would try: the credential that the upstream was last called with, straight at the upstream. */
  async #replay(): Promise<void> {
    const { crm } = this.#company.upstreams
    this.#title(
      'The old credential is dead',
      'Stolen from the upstream itself and played straight back to it, it is refused: Countersign says it was revoked.',
    )
    const answer = await fetch(`${crm.url}/api/orders/1042`, { headers: { authorization: `Bearer ${crm.lastCredential() ?? ''}` } })
    this.#say(`${answer.status} ${short(await answer.json())}`)
    if (answer.status !== 401) this.#wrong('expected 401')
  }

  async #verify(): Promise<void> {
    const { recorder } = this.#sidecar.foundation
    const { folder, key } = this.#sidecar.ledger
    this.#title('The ledger is verified', 'With nothing but its public key: every line in its place, every checkpoint signed.')
    await recorder.checkpoint()
    const report = await verifyLedger(folder, key)
    this.#say(`${report.ok ? 'intact' : 'NOT INTACT'}: ${report.lines} lines, ${report.checkpoints} signed checkpoints`)
    if (!report.ok) this.#wrong('the ledger does not verify')
    this.#title('One bit of a copy is flipped', 'The verifier names the line.')
    const tampered = await verifyLedger(flipOneBit(folder, join(this.#company.folder, 'tampered')), key)
    const { firstBad } = tampered
    this.#say(firstBad === null ? 'nothing found' : `record ${firstBad.seq}: ${firstBad.fault}: ${firstBad.detail}`)
    if (tampered.ok) this.#wrong('the flipped bit was not found')
  }

  /** The lines of a call as the SRE sees them. */
  async #decision(call: string | null): Promise<readonly string[]> {
    if (call === null) return []
    const writer = new LogWriter({ colour: this.#options.colour, wide: false })
    const printed: string[] = []
    const late = AbortSignal.timeout(5000)
    try {
      for await (const { line } of this.#sidecar.foundation.recorder.tail({ fromSeq: 1, follow: true, signal: late })) {
        const stored = readLogLine(line)
        if (stored === null || stored.id !== call) continue
        const text = writer.push(stored)
        if (text !== null) printed.push(text)
        if (stored.fields.kind !== 'decision') return printed
      }
    } catch {
      // told as far as it came
    }
    return printed
  }

  /** What the ledger took since `before`: the events of an act on a task. */
  async #events(before: number): Promise<readonly string[]> {
    const writer = new LogWriter({ colour: this.#options.colour, wide: false })
    const printed: string[] = []
    for await (const { line } of this.#sidecar.foundation.recorder.tail({ fromSeq: before + 1, follow: false })) {
      const stored = readLogLine(line)
      const text = stored === null ? null : writer.push(stored)
      if (text !== null) printed.push(text)
    }
    return printed
  }

  #title(title: string, text: string): void {
    this.#number++
    this.#say(`\n${this.#number}. ${title}`, 'bold')
    this.#say(text)
  }

  #wrong(why: string): void {
    this.#asTold = false
    this.#say(`not as told: ${why}`, 'red')
  }

  #say(text: string, style?: 'bold' | 'gray' | 'green' | 'red'): void {
    this.#options.print(style !== undefined && this.#options.colour ? styleText(style, text, { validateStream: false }) : text)
  }
}

function idOf(body: unknown): string {
  return body !== null && typeof body === 'object' && 'id' in body ? String(body.id) : ''
}

function short(body: unknown): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return text.length > 160 ? `${text.slice(0, 160)}…` : text
}

/** Copies a ledger and changes one bit in the middle of its first segment. */
function flipOneBit(from: string, to: string): string {
  cpSync(from, to, { recursive: true })
  const segment = readdirSync(to).find((name) => name.endsWith('.ndjson')) ?? ''
  const bytes = readFileSync(join(to, segment))
  const at = Math.floor(bytes.length / 2)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(join(to, segment), bytes)
  return to
}
