/** `npm run bench:through`: how much more memory Countersign has while one answer of a gigabyte goes through it. */

import { truncateSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { alone } from './alone.ts'
import { resident } from './cpu.ts'
import { spread } from './report.ts'
import { startCountersign } from './targets.ts'

const size = 1024 ** 3
const rounds = 3
/** Milliseconds between two looks at the memory. */
const pause = 20

await alone('through', async (rig) => {
  const countersign = await startCountersign(rig.bench, rig.upstream, rig.who, {
    name: 'countersign',
    durability: 'written',
    tasks: 1,
    node: [],
  })
  for (const one of countersign.processes) rig.keep(one)
  const [token] = await rig.who.tokens(1)
  const headers = { authorization: `Bearer ${token}`, 'countersign-task': countersign.tasks[0] ?? '' }
  const file = join(rig.bench.folder, 'huge.bin')
  writeFileSync(file, '')
  truncateSync(file, size)
  const pid = countersign.processes[0]?.pid ?? 0
  await fetched(countersign.port, '/api/items/1', headers)
  // what the start leaves behind is collected
  await wait(2000)
  const found = []
  for (let round = 0; round < rounds; round++) {
    const before = resident(pid)
    let most = before
    const looking = setInterval(() => (most = Math.max(most, resident(pid))), pause)
    const began = performance.now()
    const bytes = await fetched(countersign.port, `/api/items/huge-${round}`, headers)
    clearInterval(looking)
    if (bytes !== size) throw new Error(`${bytes} bytes of ${size}`)
    found.push({ before, most, seconds: (performance.now() - began) / 1000 })
  }
  const start = found[0]?.before ?? 0
  const grown = spread(found.map(({ most }) => (most - start) / 1024 ** 2))
  return {
    goals: [
      { measure: '1 GB through: most memory (RSS) above that at the start', must: 60, aim: 60, better: 'less', unit: 'MiB', found: grown },
    ],
    rounds: found,
  }
})

function fetched(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`))
      let bytes = 0
      response.on('data', (piece: Buffer) => (bytes += piece.length))
      response.on('error', reject)
      response.on('end', () => resolve(bytes))
    }).on('error', reject)
  })
}
