import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig, type Loaded } from '../config/load.ts'
import { LogWriter, readLogLine } from '../cli/log-line.ts'
import { verifyLedger } from '../record/verify.ts'
import type { Sidecar } from '../sidecar.ts'
import { tellApproval } from './approval.ts'
import { curlLine } from './call.ts'
import { foundCompany, svidSeconds } from './company.ts'
import { tellHandOff } from './hand-off.ts'
import { atTheDesk, recordOf } from './person.ts'
import { tellKill } from './stop.ts'
import { anonymous, calls, opening, refund, type Step } from './story.ts'
import { short, Teller } from './teller.ts'
import type { Ask } from './terminal.ts'

export interface DemonstrationOptions {
  /** End after the story. */
  readonly once: boolean
  readonly colour: boolean
  readonly print: (text: string) => void
  /** Asks whoever sits at the terminal to approve; null: nobody does, and the demonstration answers itself. */
  readonly ask: Ask | null
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
      warn(teller, loaded)
      const asTold = await tell(teller, sidecar, options)
      if (!options.once && !options.signal.aborted) await stayUp(teller, sidecar, options)
      return asTold ? 0 : 1
    } finally {
      await sidecar.close()
    }
  } finally {
    await company.close()
  }
}

/** What stands in the lines of the record. */
const legend = `
Each step shows the call, what came back and, indented, the record as its operators read it (countersign logs):
✓ allowed   ✗ refused   ⏸ waits for a person   · something happened   ■ a kill
lease: a credential that is lent for one task. ASI02, NHI5 and so on: entries of OWASP's lists of risks.`

/** The story, in its order. Gives whether every step was as told. */
async function tell(teller: Teller, sidecar: Sidecar, { ask, signal }: Pick<DemonstrationOptions, 'ask' | 'signal'>): Promise<boolean> {
  const { company } = teller
  teller.equip(await company.svids())
  teller.say('Countersign stands between an agent and every API it calls.', 'bold')
  teller.say(`Agent    ${company.agent}\nIdentity a JWT-SVID for ${company.audience}, by the SPIFFE Workload API`)
  teller.say(`Policy   default, revision ${sidecar.foundation.policy.revision}\nState    ${company.folder}`)
  teller.say(legend, 'gray')
  await teller.call(anonymous)
  const opened = await teller.call(opening)
  const task = String(recordOf(opened.body)['id'])
  for (const step of calls) await teller.call({ ...step, path: `/t/${task}${step.path}` })
  const ada = await atTheDesk(company, sidecar.ports.get('admin') ?? 0)
  await tellApproval({ teller, ada, ask, signal }, task)
  const part = await tellHandOff(teller, ada, task)
  await tellKill({ teller, ada, task, part })
  await complete(teller, task)
  await replay(teller)
  await verify(teller, sidecar)
  teller.say(teller.asTold ? 'Every step was as told.' : 'A step was not as told: see above.', teller.asTold ? 'green' : 'red')
  return teller.asTold
}

/** The people of this company are made up: nobody would be called. */
function warn(teller: Teller, { placeholders }: Loaded): void {
  const of = placeholders.map(({ path }) => path).join(', ')
  teller.say(`CS1603   nobody answers under the owners of an example: ${of}`)
  teller.say(`         ${teller.company.person.name}, who approves and stops in this story, is made up too`)
}

/** Prints what to try, then the decisions as they come, until the signal. */
async function stayUp(teller: Teller, sidecar: Sidecar, options: DemonstrationOptions): Promise<void> {
  const { company, ports: agents } = teller
  const { ports, foundation } = sidecar
  const { folder } = company
  const renewal = setInterval(() => void company.svids(), (svidSeconds / 2) * 1000)
  const cs = 'npm run -s cs --'
  teller.say('Still running. Ports:', 'bold')
  teller.say(`agents ${agents.plain} and over TLS ${agents.tls}, admin ${ports.get('admin')}, health ${ports.get('health')}`)
  teller.say(`Try, in another terminal, as ${company.person.name}:`, 'bold')
  teller.say(
    [
      `export COUNTERSIGN_ADDR=127.0.0.1:${ports.get('admin')} COUNTERSIGN_KEY_PAIR=${company.person.keyPair}`,
      `TASK=$(${curlLine(opening, agents, company)} | sed -E 's/.*"id":"([^"]*)".*/\\1/')`,
      curlLine({ ...refund, path: `/t/$TASK${refund.path}` }, agents, company),
      `${cs} page                                 # a link to the page: approve, stop and look there; --open opens it`,
      `${cs} approvals                            # then: approvals approve ID --reason "…", and the call again`,
      `${cs} task tree`,
      `${cs} kill task $TASK --reason "enough"    # then: kills, and lift ID --reason "…"`,
    ].join('\n'),
  )
  teller.say('And to look behind it:', 'bold')
  teller.say(
    [
      `${cs} policy explain ${teller.refused} --logs ${folder}/ledger`,
      `${cs} policy coverage`,
      `${cs} evidence verify ${folder}/ledger --key ${folder}/ledger/ledger.pub`,
      `${cs} dev-identity mint --socket ${company.workloadApi} --id ${company.agent} --audience ${company.audience}`,
      `curl -s http://127.0.0.1:${ports.get('health')}/metrics | grep ^countersign_calls`,
    ].join('\n'),
  )
  teller.say('Decisions as they come (Ctrl-C ends):', 'bold')
  const writer = new LogWriter({ colour: options.colour, wide: false })
  try {
    for await (const { line } of foundation.recorder.tail({ follow: true, signal: options.signal })) {
      const stored = readLogLine(line)
      const text = stored === null ? null : writer.push(stored)
      if (text !== null) options.print(text)
    }
  } catch (error) {
    if (!options.signal.aborted) throw error
  } finally {
    clearInterval(renewal)
  }
}

async function complete(teller: Teller, task: string): Promise<void> {
  const path = `/.countersign/v1/tasks/${task}/complete`
  const step: Step = {
    title: 'The task is completed',
    text: 'The credentials that were lent for it are taken back; what the agent has read stays remembered.',
    method: 'POST',
    path,
    expect: { status: 200 },
  }
  await teller.call(step)
  const late = {
    ...anonymous,
    identity: 'token' as const,
    title: 'A late call is refused',
    text: 'The task is over.',
    path: `/t/${task}/crm/orders/1042`,
  }
  await teller.call({ ...late, expect: { status: 403, code: 'task.ended' } })
}

/** What a thief would try: the credential that the upstream was last called with, straight at the upstream. */
async function replay(teller: Teller): Promise<void> {
  const { crm } = teller.company.upstreams
  teller.title(
    'The old credential is dead',
    'Stolen from the upstream itself and played straight back to it, it is refused: Countersign says it was revoked.',
  )
  const answer = await fetch(`${crm.url}/api/orders/1042`, { headers: { authorization: `Bearer ${crm.lastCredential() ?? ''}` } })
  teller.say(`${answer.status} ${short(await answer.json())}`)
  if (answer.status !== 401) teller.wrong('expected 401')
}

async function verify(teller: Teller, sidecar: Sidecar): Promise<void> {
  const { recorder } = sidecar.foundation
  const { folder, key } = sidecar.ledger
  teller.title('The ledger is verified', 'With nothing but its public key: every line in its place, every checkpoint signed.')
  await recorder.checkpoint()
  const report = await verifyLedger(folder, key)
  teller.say(`${report.ok ? 'intact' : 'NOT INTACT'}: ${report.lines} lines, ${report.checkpoints} signed checkpoints`)
  if (!report.ok) teller.wrong('the ledger does not verify')
  teller.title('One bit of a copy is flipped', 'The verifier names the line.')
  const tampered = await verifyLedger(flipOneBit(folder, join(teller.company.folder, 'tampered')), key)
  const { firstBad } = tampered
  teller.say(firstBad === null ? 'nothing found' : `record ${firstBad.seq}: ${firstBad.fault}: ${firstBad.detail}`)
  if (tampered.ok) teller.wrong('the flipped bit was not found')
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
