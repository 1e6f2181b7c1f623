/**
 * `npm run bench:evidence`: how long the evidence of one task takes out of a ledger of 100,000 decisions, which the ledger itself wrote,
 * tiles and all. Prints the figures as JSON; ends with 1 when the median is above one second.
 */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { exportSet } from '../src/evidence/export-set.ts'
import { verifySet } from '../src/evidence/verify-set.ts'
import { idSource } from '../src/id.ts'
import { openRecorder, type OpenRecorder } from '../src/record/recorder.ts'
import { sketchDecision, sketchOutcome, sketchOwnLease, sketchPermit } from '../test/support/decision.ts'
import { sketchAgent, sketchCall, sketchQuestion, sketchRow } from '../test/support/question.ts'

/** Most ms that it may take. */
const most = 1000

const { values } = parseArgs({
  options: {
    decisions: { type: 'string', default: '100000' },
    tasks: { type: 'string', default: '1000' },
    input: { type: 'string', default: '3000' },
    rounds: { type: 'string', default: '5' },
  },
})
const dir = mkdtempSync(join(tmpdir(), 'evidence-bench-'))
try {
  const { task, recorder } = await written()
  const took: number[] = []
  const busy: number[] = []
  let counts: object = {}
  for (let round = 0; round < Number(values.rounds); round++) {
    const cpu = process.cpuUsage()
    const began = performance.now()
    await recorder.checkpoint()
    const set = await exportSet({
      dir,
      task,
      by: 'person:bench',
      now: Date.now(),
      signer: { verifierKey: recorder.publicKey(), sign: (bytes) => recorder.sign(bytes) },
      rulesOf: () => null,
      most: Infinity,
    })
    took.push(performance.now() - began)
    const { user, system } = process.cpuUsage(cpu)
    busy.push((user + system) / 1000)
    counts = set.summary.counts
    const { firstBad } = verifySet(set.files, [recorder.publicKey()])
    if (firstBad !== null) throw new Error(JSON.stringify(firstBad))
  }
  await recorder.close()
  const sizes = readdirSync(dir).flatMap((name) => (name.endsWith('.ndjson') ? [statSync(join(dir, name)).size] : []))
  const median = (all: readonly number[]): number => Math.round(all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0)
  const ms = { median: median(took), all: took.map((one) => Math.round(one)) }
  console.log(
    JSON.stringify({
      decisions: Number(values.decisions),
      megabytes: Math.round(sizes.reduce((a, b) => a + b, 0) / 1e6),
      ms,
      cpu_ms: median(busy),
      counts,
    }),
  )
  if (ms.median > most) process.exitCode = 1
} finally {
  rmSync(dir, { recursive: true })
}

/** Calls of many tasks that take turns; the one in the middle is asked for. */
async function written() {
  const clock = (): number => Date.now()
  const newId = idSource(clock)
  const quiet = { info: () => {}, warn: () => {}, error: () => {} }
  const key = generateKeyPairSync('ed25519').privateKey
  const labels = { id: 'bench', version: '0' }
  const how = { durability: 'written', quota: 2 ** 40, flushState: () => {} } as const
  const open = (): Promise<OpenRecorder> =>
    openRecorder({ dir, ledgerId: 'ledger.acme.example/bench', labels, key, clock, newId, log: quiet, ...how })
  const recorder = await open()
  const ids = Array.from({ length: Number(values.tasks) }, () => newId('t'))
  const tasks = ids.map((id) => ({ row: sketchRow({ id }), agent: sketchAgent() }))
  const filler = 'x'.repeat(Number(values.input))
  for (const id of ids)
    await recorder.event({ kind: 'task.opened', task: id, by: 'bench', detail: { purpose: 'bench', tools: ['*'], root: 'agent:bench' } })
  for (let done = 0; done < Number(values.decisions);) {
    const group: Promise<void>[] = []
    for (let at = 0; at < 500; at++, done++) {
      const task = tasks[done % tasks.length]
      const question = sketchQuestion({ call: Object.assign(sketchCall(), { id: newId('c') }), ...(task && { task }) })
      const inputText = JSON.stringify({
        v: 1,
        request: { id: question.call.id, method: 'GET', path: '/customers/42' },
        task: { id: task?.row.id },
        filler,
      })
      const entry = recorder.call(question.call)
      entry.identified(question.caller)
      entry.tasked(question.task)
      entry.matched(question.target)
      entry.permitted(sketchPermit(entry.decided(sketchDecision(question, { inputText }))))
      group.push(
        entry.commit().then(() => {
          entry.leased(sketchOwnLease())
          entry.close(sketchOutcome())
        }),
      )
    }
    await Promise.all(group)
  }
  // a ledger that is written at full speed has its tiles when it closes
  await recorder.close()
  return { recorder: await open(), task: ids[Math.floor(ids.length / 2)] ?? '' }
}
