/**
 * `node bench/simulate.ts`: how long a record of 100,000 decisions takes to be judged again by a candidate, on one core.
 * The record is written by the lines of the record stage itself, of calls that differ in tool, task, sensitivity and budget.
 */
import { createHash } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openCandidate } from '../src/author/candidate.ts'
import { linesAt } from '../src/author/ledger-lines.ts'
import { simulate } from '../src/author/simulate.ts'
import { makeDecide } from '../src/decide/decide.ts'
import { readBundle } from '../src/decide/bundle/bundle.ts'
import { openPolicy } from '../src/decide/module.ts'
import { idSource } from '../src/id.ts'
import { decisionPart, refusalPart } from '../src/record/call-lines.ts'
import { OpaForm } from '../src/record/opa.ts'
import { Refusal } from '../src/refusal.ts'
import { readFileSync } from 'node:fs'
import {
  sketchCall,
  sketchFacts,
  sketchIntent,
  sketchQuestion,
  sketchRow,
  sketchAgent,
  sketchTarget,
  sketchTool,
} from '../test/support/question.ts'

const { values } = parseArgs({
  options: { decisions: { type: 'string', default: '100000' }, policy: { type: 'string', default: 'default' }, json: { type: 'boolean' } },
})
const decisions = Number(values.decisions)
const folder = mkdtempSync(join(tmpdir(), 'countersign-simulate-'))
try {
  const started = performance.now()
  const path = writeLedger(join(folder, '000000000001.ndjson'))
  const written = performance.now() - started
  const candidate = openCandidate(values.policy, {})
  const cpu = process.cpuUsage()
  const began = performance.now()
  const report = await simulate(linesAt(folder), candidate, { damaged: (line, why) => console.error(line, why) })
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpu)
  candidate.close()
  const found = {
    decisions: report.read.judged,
    megabytes: Math.round(statSync(path).size / 1e6),
    seconds: round(seconds),
    cpu_seconds: round((user + system) / 1e6),
    us_each: round((seconds * 1e6) / report.read.judged),
    write_seconds: round(written / 1000),
    classes: report.classes,
    peak_mb: Math.round(process.resourceUsage().maxRSS / 1024),
  }
  console.log(values.json ? JSON.stringify(found) : found)
} finally {
  rmSync(folder, { recursive: true })
}

/** Calls of 40 tasks and 6 tools, a tenth of them refused or asked about. */
function writeLedger(path: string): string {
  const bundle = readBundle(readFileSync(fileURLToPath(new URL('../rego/policy.tar.gz', import.meta.url))))
  let now = 1_790_000_000_000
  const clock = (): number => now
  const quiet = { info: () => {}, warn: () => {}, error: () => {} }
  const engine = openPolicy(bundle, { clock, log: quiet })
  const newId = idSource(clock)
  const masking = { parse: (text: string): unknown => JSON.parse(text), log: quiet, engine: () => engine }
  const form = new OpaForm({ labels: { id: 'bench', version: '0' }, clock, newId })
  const intent = { ...sketchIntent, tools: ['crm.*', 'mail.send', 'payments.refund.create'], resources: ['customer:*', 'order:*'] }
  const tasks = Array.from({ length: 40 }, () => ({ agent: sketchAgent({ intent }), row: sketchRow({ id: newId('t'), intent }) }))
  const tools = [
    sketchTool(),
    sketchTool({ name: 'crm.order.read', data: ['internal'], resource: 'order:{id}' }),
    sketchTool({ name: 'mail.send', effect: 'send', risk: 'medium', data: [], egress: 'partner', accepts: ['public', 'internal'] }),
    sketchTool({ name: 'payments.refund.create', effect: 'write', risk: 'high' }),
    sketchTool({ name: 'crm.customer.note', effect: 'write', risk: 'medium' }),
    sketchTool({ name: 'crm.order.list', data: ['internal'], resource: null }),
  ]
  let facts = sketchFacts()
  const decide = makeDecide({ engine: () => engine, log: quiet, mode: 'enforce', environment: 'bench', facts: () => facts, clock })
  const fd = openSync(path, 'w')
  let prev = '0'.repeat(64)
  let group = ''
  for (let seq = 1; seq <= decisions; seq++) {
    now += 40
    const task = tasks[seq % tasks.length]
    const tool = tools[(seq * 7) % tools.length]
    if (task === undefined || tool === undefined) throw new Error('no such task or tool')
    const read = seq % 10 === 0 ? ['internal', 'personal'] : ['internal']
    const last = tools.slice(0, 5).map((one, at) => ({ tool: one.name, effect: one.effect, egress: one.egress, at: now - at * 100 }))
    const counts = Object.fromEntries(tools.map(({ name }, at) => [name, at + (seq % 50)]))
    facts = sketchFacts({
      step: seq % 100,
      last,
      counts,
      spent: { calls: seq % 100 },
      sensitivity: read,
      hosts: { size: 2, times: () => 1 },
    })
    const call = Object.assign(sketchCall({ target: `/customers/${seq}` }), { id: newId('c') })
    const target = sketchTarget({ tool, resource: tool.resource === null ? null : `customer:${seq}` })
    const question = sketchQuestion({ call, task, target })
    const decision = decide(question)
    const lines = {
      call,
      caller: question.caller,
      task,
      target,
      decision,
      lease: null,
      stages: '{"identify":40,"task":12,"match":9,"decide":41}',
    }
    const part =
      decision.effect === 'allow' ? decisionPart(form, lines, masking) : refusalPart(form, lines, new Refusal('decide.denied'), masking)
    const line = `${part.head}"seq":${seq},"prev":"sha256:${prev}"${part.tail}\n`
    prev = createHash('sha256').update(line).digest('hex')
    group += line
    if (seq % 200 !== 0 && seq !== decisions) continue
    writeSync(fd, group)
    group = ''
  }
  closeSync(fd)
  engine.close()
  return path
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
