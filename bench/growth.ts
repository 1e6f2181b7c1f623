/**
 * `npm run bench:growth`: whether a call costs more when there is more of everything. Two Countersigns with the same work to do, beside few
 * others and beside many: tasks that are open, with a lease each, routes and agents that are configured.
 */

import { parseArgs } from 'node:util'
import { alone, type Rig } from './alone.ts'
import { cpuTime } from './cpu.ts'
import type { Goal } from './goals.ts'
import { asking, load, workloads, writeScript } from './load.ts'
import { spread } from './report.ts'
import { startCountersign, type Countersign } from './targets.ts'

const { values } = parseArgs({
  options: {
    few: { type: 'string', default: '10' },
    many: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '2' },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const [plain] = workloads
/** Tasks that are asked by. */
const asked = 10

await alone('growth', async (rig) => {
  const [token = ''] = await rig.who.tokens(1)
  const sides = [
    await grown(rig, 'countersign', Number(values.few), token),
    await grown(rig, 'countersign synced', Number(values.many), token),
  ] as const
  const found: { readonly round: number; readonly few: number; readonly many: number }[] = []
  for (let round = -2; round < rounds; round++) {
    const order = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)
    const cost: [number, number] = [0, 0]
    for (const side of order) cost[side] = await costOf(rig, sides[side], token)
    if (round >= 0) found.push({ round, few: cost[0], many: cost[1] })
  }
  const ratio = spread(found.map(({ few, many }) => many / few))
  const measure = `CPU per request with ${values.many} tasks, leases, routes and agents against ${values.few}`
  const goals: Goal[] = [{ measure, must: 1.15, aim: 1, better: 'less', unit: '×', found: ratio }]
  return { goals, rounds: found }
})

/** `count` tasks of one agent, each with its lease, beside `count` more agents and routes. */
async function grown(
  rig: Rig,
  name: Countersign['name'] & ('countersign' | 'countersign synced'),
  count: number,
  token: string,
): Promise<Countersign> {
  const more = { agents: lines(count, agentOf), routes: lines(count, routeOf) }
  const made = await startCountersign(rig.bench, rig.upstream, rig.who, { name, durability: 'written', tasks: count, node: [], more })
  for (const one of made.processes) rig.keep(one)
  for (const [at, task] of made.tasks.entries()) {
    const headers = { authorization: `Bearer ${token}`, 'countersign-task': task }
    const answer = await fetch(`http://127.0.0.1:${made.port}/api/items/${at}`, { headers })
    await answer.arrayBuffer()
    if (answer.status !== 200) throw new Error(`task ${at} of ${count}: status ${answer.status}`)
  }
  return made
}

/** Microseconds of processor time of a call. */
async function costOf({ bench }: Rig, target: Countersign, token: string): Promise<number> {
  if (plain === undefined) throw new Error('there is no workload')
  const script = writeScript(bench, { ...plain, tasks: asked }, target, asking([token], target, target))
  const pid = target.processes[0]?.pid ?? 0
  const before = cpuTime(pid)
  const { requests, refused, errors } = await load(bench, target.port, { seconds, connections: 32, script })
  if (refused + errors > 0) throw new Error(`${refused + errors} of ${requests} answers were wrong`)
  return (cpuTime(pid) - before) / 1000 / requests
}

function lines(count: number, line: (at: number) => string): string {
  return Array.from({ length: count }, (_, at) => line(at)).join('\n')
}

function agentOf(at: number): string {
  const owners = '{ business: business@acme.example, security: security@acme.example, incident: incident@acme.example }'
  const intent = '{ tools: [items.read], resources: ["item:*"], data: [internal], egress: [internal], budget: { calls: 10 }, ttl: 1h }'
  return `    - { id: "spiffe://acme.example/ns/more/sa/agent-${at}", purpose: stand by, owners: ${owners}, autonomy: bounded, intent: ${intent} }`
}

function routeOf(at: number): string {
  const tool = `{ name: more-${at}.read, match: "GET /things/{id}", effect: read, risk: low, data: [internal], egress: internal, resource: "thing:{id}" }`
  return `    more-${at}: { at: /more-${at}, to: "http://127.0.0.1:9/more", reach: private, owner: more@acme.example, tools: [${tool}] }`
}
