/**
 * `node bench/logs.ts`: how long `countersign logs` takes to filter a ledger of 100,000 decisions with their outcomes, about 500 MB, process
 * and all, and how long the newest that fit take to find. The folder may be given and is kept; else one is written and removed.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, mkdtempSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseFilter, type FilterWords } from '../src/evidence/filter.ts'
import { newestEntries } from '../src/evidence/newest.ts'
import { idSource } from '../src/id.ts'

const { values } = parseArgs({
  options: { decisions: { type: 'string', default: '100000' }, ledger: { type: 'string' }, json: { type: 'boolean' } },
})
const decisions = Number(values.decisions)
const folder = values.ledger ?? mkdtempSync(join(tmpdir(), 'countersign-logs-'))
try {
  if (values.ledger === undefined || !existsSync(folder)) writeLedger(folder)
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
  const found = { megabytes: Math.round(bytes / 1e6), seconds: commands(), page_ms: await pages() }
  console.log(values.json ? JSON.stringify(found) : found)
} finally {
  if (values.ledger === undefined) rmSync(folder, { recursive: true })
}

/** Wall time of the command. */
function commands(): Record<string, number> {
  const runs: [string, string[]][] = [
    ['one task, compact', ['--task', 't_0000000007*']],
    ['deny and ask, compact', ['--decision', 'deny,ask']],
    ['one rule, json', ['--rule', 'data.beyond-destination', '-o', 'json']],
    ['one agent and tool, compact', ['--agent', 'agent-3', '--tool', 'mail.send']],
    ['nothing fits', ['--tool', 'not.there']],
    ['the newest 50 of one task', ['--task', 't_0000000007*', '-n', '50']],
  ]
  const main = join(import.meta.dirname, '../src/main.ts')
  return Object.fromEntries(
    runs.map(([name, words]) => {
      const began = performance.now()
      const run = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'logs', '--file', folder, ...words], {
        maxBuffer: 1 << 30,
      })
      if (run.status !== 0) throw new Error(String(run.stderr))
      return [`${name} (${run.stdout.toString().split('\n').length - 1} lines)`, Math.round(performance.now() - began) / 1000]
    }),
  )
}

/** What the page of decisions costs, without the page. */
async function pages(): Promise<Record<string, number>> {
  const asked: FilterWords[] = [{}, { decision: 'deny' }, { task: 't_0000000007*' }, { tool: 'not.there' }]
  const times: Record<string, number> = {}
  for (const words of asked) {
    const began = performance.now()
    await newestEntries(folder, { filter: parseFilter(words, Date.now()), limit: 50, mostBytes: 64 * 1024 * 1024 })
    times[JSON.stringify(words)] = Math.round(performance.now() - began)
  }
  return times
}

/** Calls of 400 tasks, 7 agents and 5 tools, a tenth refused; inputs as large as real ones, some with text that JSON escapes. */
function writeLedger(dir: string): void {
  mkdirSync(dir, { recursive: true })
  let now = Date.UTC(2026, 10, 22, 8)
  const newId = idSource(() => now)
  const tools = ['crm.customer.read', 'crm.order.read', 'mail.send', 'payments.refund.create', 'llm.complete']
  const filler = JSON.stringify(Array.from({ length: 60 }, (_, at) => ({ tool: tools[at % 5], effect: 'read', at: now - at })))
  let [seq, prev, fd, size, group] = [0, '0'.repeat(64), -1, 0, '']
  const flush = (): void => {
    if (group !== '') writeSync(fd, group)
    group = ''
  }
  const append = (id: string, path: string, middle: string, own: string): void => {
    seq++
    if (fd < 0 || size > 64 * 1024 * 1024) {
      flush()
      if (fd >= 0) closeSync(fd)
      fd = openSync(join(dir, `${String(seq).padStart(12, '0')}.ndjson`), 'w')
      size = 0
    }
    const stamp = `${new Date(now).toISOString().slice(0, -1)}000Z`
    const line = `{"decision_id":"${id}","timestamp":"${stamp}","labels":{"id":"bench","version":"0"},"path":"countersign/${path}"${middle},"custom":{"countersign":{"seq":${seq},"prev":"sha256:${prev}"${own}}}}`
    prev = createHash('sha256').update(line).digest('hex')
    group += `${line}\n`
    size += line.length + 1
    if (group.length > 1_000_000) flush()
  }
  for (let at = 0; at < decisions; at++) {
    now += 40
    const id = newId('c')
    const tool = tools[(at * 7) % 5] ?? ''
    const route = tool.split('.')[0] ?? ''
    const who = `,"caller":"spiffe://acme.example/ns/support/sa/agent-${at % 7}","trust_domain":"acme.example","method":"jwt-svid","confirmed":"bearer","issuer":null,"task":"t_${String(at % 400).padStart(10, '0')}${'0'.repeat(16)}","root":"user:u-17","human":{"subject":"u-17","issuer":"https://login.acme.example"}`
    const what = `,"route":"${route}","downstream":"${route}.acme.example","tool":"${tool}","resource":"order:${at}"`
    const input = `,"bundles":{"countersign":{"revision":"4f1c"}},"input":{"v":1,"request":{"id":"${id}","method":"GET","path":"/orders/${at}","headers":{"user-agent":"sdk \\"1\\""}},"facts":${filler}}`
    const refused = at % 10 === 0
    const judged = `,"effect":"${refused ? 'deny' : 'allow'}","rules":${refused ? '["data.beyond-destination"],"controls":["ASI02","NHI5"]' : '[],"controls":[]'}`
    if (refused) {
      append(id, 'decision', input, `,"kind":"refusal"${who}${what}${judged},"code":"decide.denied","refused":403,"fault":"policy"`)
      continue
    }
    append(id, 'decision', input, `,"kind":"decision"${who}${what}${judged}`)
    const lease = `,"lease":{"id":"${newId('l')}","provider":"${route}","digest":"sha256:${prev}","expires":${now},"revocation":"issuer","standing":false,"scopes":[]}`
    append(
      id,
      'outcome',
      '',
      `,"kind":"outcome"${who}${what},"status":200,"ended":"complete","bytes_out":120,"bytes_in":4096,"duration_ms":12.5,"body_sha256":null,"dialled":"10.0.0.7:443"${lease},"stages":{"forward":12000}`,
    )
  }
  flush()
  closeSync(fd)
}
