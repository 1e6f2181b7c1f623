/**
 * `node bench/capacity.ts`: what a Countersign takes beside processor time, through whole sidecars in this process: bytes of the ledger for
 * a call, bytes of the state for a task, and how long a copy of that state takes. Docs: docs/capacity.md. `--json` prints the figures.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { agentId, anyTool, ask, routeTo, Running, TestUpstream } from '../test/support/running.ts'

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, calls: { type: 'string', default: '400' }, tasks: { type: 'string', default: '2000' } },
})
const calls = Number(values.calls)
const tasks = Number(values.tasks)

await using upstream = await TestUpstream.start()
await using running = await Running.start({
  routes: { api: routeTo(upstream.url, 'api', { tools: [anyTool('api.use', { args: 'json' })] }) },
  settings: { listen: { agent: [{ at: '127.0.0.1:0' }], limits: { calls_per_caller: 64 } } },
})
const headers = { authorization: `Bearer ${await running.svid()}`, 'content-type': 'application/json' }

const ledgerBytes = (): number =>
  readdirSync(running.ledgerFolder).reduce(
    (sum, name) => sum + (name.endsWith('.ndjson') ? statSync(join(running.ledgerFolder, name)).size : 0),
    0,
  )

/** Mean bytes of the ledger that one call of a kind takes, both its lines and its share of checkpoints. */
async function bytesOf(kind: string, body: string | null): Promise<number> {
  const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: JSON.stringify({ purpose: kind }) })
  const before = ledgerBytes()
  for (let n = 0; n < calls; n++) {
    const answer = await ask(running.port(), `/t/${String(opened.json['id'])}/api/${kind}/${n}`, {
      headers,
      ...(body === null ? {} : { method: 'POST', body: body.replace('0', String(n)) }),
    })
    if (answer.status !== 200) throw new Error(`a call was refused: ${answer.text}`)
  }
  await running.sidecar.foundation.recorder.checkpoint()
  return Math.round((ledgerBytes() - before) / calls)
}

const get = await bytesOf('get', null)
const small = await bytesOf('small', JSON.stringify({ n: 0, text: 'x'.repeat(200) }))
const large = await bytesOf('large', JSON.stringify({ n: 0, text: 'x'.repeat(4000) }))

const { state } = running.sidecar.foundation
const empty = state.copy().length
for (let n = 0; n < tasks; n++) {
  const body = JSON.stringify({ purpose: `task ${n} of ${agentId}` })
  const answer = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body })
  if (answer.status !== 201) throw new Error(`a task was refused: ${answer.text}`)
  const ended = await ask(running.port(), `/.countersign/v1/tasks/${String(answer.json['id'])}/complete`, {
    method: 'POST',
    headers,
    body: '{}',
  })
  if (ended.status >= 300) throw new Error(`a task did not end: ${ended.text}`)
}
const began = performance.now()
const full = state.copy().length
const copied = performance.now() - began

const figures = {
  ledger_bytes_per_get: get,
  ledger_bytes_per_post_of_220_bytes: small,
  ledger_bytes_per_post_of_4_kib: large,
  state_bytes_per_task: Math.round((full - empty) / tasks),
  state_copy_ms: Math.round(copied * 10) / 10,
  state_bytes: full,
}
if (values.json === true) console.log(JSON.stringify(figures, null, 2))
else
  for (const [name, value] of Object.entries(figures)) console.log(`${name.replaceAll('_', ' ').padEnd(40)} ${value.toLocaleString('en')}`)
