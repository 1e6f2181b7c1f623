/**
 * `npm run bench:start`: how long Countersign takes from its start until it is ready, what the first two seconds after that are like, and
 * how much memory it has at rest. Each start finds the state, the ledger and whatever is kept of the start before.
 */

import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { alone, type Rig } from './alone.ts'
import { openTasks } from './callers.ts'
import { memory } from './cpu.ts'
import type { Goal } from './goals.ts'
import { paced } from './open-loop.ts'
import { spread } from './report.ts'
import { begin, type Started } from './started.ts'
import { makeCountersign, type Made } from './targets.ts'

const { values } = parseArgs({ options: { starts: { type: 'string', default: '5' }, rate: { type: 'string', default: '3000' } } })
const starts = Number(values.starts)
const rate = Number(values.rate)
/** Seconds of load after ready, and of rest before memory is looked at. */
const [loaded, resting] = [2, 5]

await alone('start', async (rig) => {
  const made = await makeCountersign(rig.bench, rig.upstream, rig.who, { name: 'countersign', durability: 'written', node: [] })
  const [token = ''] = await rig.who.tokens(1)
  const first = await ready(rig, made)
  const [task = ''] = await openTasks(made.port, token, 1)
  await first.started.stop()
  const rounds = []
  for (let round = 0; round < starts; round++) {
    const busy = await ready(rig, made)
    const { p50, p99 } = await underLoad(rig, made, token, task)
    await busy.started.stop()
    const idle = await ready(rig, made)
    await wait(resting * 1000)
    const mebibytes = memory(idle.started.pid) / 1024 ** 2
    await idle.started.stop()
    rounds.push({ ready: [busy.took, idle.took], p50, p99, mebibytes })
  }
  const goals: Goal[] = [
    {
      measure: 'start to ready, rehearsal included',
      must: 650,
      aim: 350,
      better: 'less',
      unit: 'ms',
      found: spread(rounds.flatMap((one) => one.ready)),
    },
    {
      measure: `p99 in the first ${loaded} s after ready, at ${rate}/s`,
      must: 10,
      aim: 3,
      better: 'less',
      unit: 'ms',
      found: spread(rounds.map(({ p99 }) => p99)),
    },
    {
      measure: 'memory at rest (PSS), default policy',
      must: 90,
      aim: 60,
      better: 'less',
      unit: 'MiB',
      found: spread(rounds.map(({ mebibytes }) => mebibytes)),
    },
  ]
  return { goals, rounds }
})

/** Starts it; gives the ms until its health port said ready. */
async function ready({ bench, keep }: Rig, made: Made): Promise<{ readonly started: Started; readonly took: number }> {
  const began = performance.now()
  const url = `http://127.0.0.1:${made.healthPort}/readyz`
  const isReady = async (): Promise<boolean> => (await fetch(url).catch(() => null))?.status === 200
  const started = keep(await begin(bench, 'countersign-log', bench.proxyCore, made.port, made.command, isReady))
  return { started, took: performance.now() - began }
}

async function underLoad({ bench }: Rig, { port }: Made, token: string, task: string) {
  const rest = `Host: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\nCountersign-Task: ${task}\r\n\r\n`
  const requests = Array.from({ length: 256 }, (_, at) => `GET /api/items/${at} HTTP/1.1\r\n${rest}`)
  const found = await paced(bench, { port, rate, seconds: loaded, connections: 32, requests })
  if (found.wrong > 0) throw new Error(`${found.wrong} of ${found.sent} answers after the start were wrong`)
  return found
}
