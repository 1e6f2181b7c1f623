/**
 * `npm run bench:idle`: what ten thousand open connections cost, first without a word, then with a head that comes a letter at a time, while
 * others call at an even pace.
 */

import { connect, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { alone } from './alone.ts'
import { memory } from './cpu.ts'
import { asking } from './load.ts'
import { paced, paceOf } from './open-loop.ts'
import { spread } from './report.ts'
import { startCountersign } from './targets.ts'

const { values } = parseArgs({ options: { connections: { type: 'string', default: '10000' } } })
const count = Number(values.connections)
/** Calls a second of those who mean it, and for how long. */
const [rate, seconds] = [500, 5]
const head = 'GET /api/items/1 HTTP/1.1\r\nX-Slow: '
/** Letters of it that were said. */
let spoken = 0

await alone('idle', async (rig) => {
  const countersign = await startCountersign(rig.bench, rig.upstream, rig.who, {
    name: 'countersign',
    durability: 'written',
    tasks: 1,
    node: [],
  })
  for (const one of countersign.processes) rig.keep(one)
  const pid = countersign.processes[0]?.pid ?? 0
  const pace = { ...paceOf(countersign, asking(await rig.who.tokens(1), countersign, countersign)), rate, seconds }
  const calm = await paced(rig.bench, pace)
  await wait(3000)
  const before = memory(pid)
  const sockets = await opened(countersign.port, count)
  await wait(3000)
  const each = (memory(pid) - before) / 1024 / count
  const letters = setInterval(() => speak(sockets), 500)
  const slow = await paced(rig.bench, pace)
  clearInterval(letters)
  const left = sockets.filter(({ destroyed }) => !destroyed).length
  for (const socket of sockets) socket.destroy()
  for (const one of [calm, slow]) if (one.wrong > 0) throw new Error(`${one.wrong} of ${one.sent} answers were wrong`)
  return {
    goals: [
      { measure: `each of ${count} idle connections (PSS)`, must: 16, aim: 10, better: 'less', unit: 'KiB', found: spread([each]) },
      {
        measure: `p99 of others beside ${count} slow connections`,
        must: 50,
        aim: 50,
        better: 'less',
        unit: 'ms',
        found: spread([slow.p99]),
      },
    ],
    rounds: { each, calm, slow, left },
  }
})

/** A hundred at a time, for a queue of connections to be accepted is short. */
async function opened(port: number, wanted: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < wanted) {
    const some = Array.from({ length: Math.min(100, wanted - sockets.length) }, () => opening(port))
    sockets.push(...(await Promise.all(some)))
  }
  return sockets
}

function opening(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('error', reject)
    socket.once('connect', () => {
      // those that are too slow are hung up on
      socket.off('error', reject).on('error', () => undefined)
      resolve(socket)
    })
  })
}

/** One more letter from each that still listens. */
function speak(sockets: readonly Socket[]): void {
  const letter = head[spoken] ?? 'x'
  spoken += 1
  for (const socket of sockets) if (!socket.destroyed) socket.write(letter)
}
