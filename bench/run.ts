/**
 * Measures the whole request path beside others. See README.md here. Nothing fails on a figure: it fails when an answer is wrong.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { callers } from './callers.ts'
import { check, checkCountersign, checkOpa, counted } from './check.ts'
import { memory } from './cpu.ts'
import { asking, checked, workloads } from './load.ts'
import { peers } from './peers.ts'
import type { Setting } from './programs.ts'
import { delayRows, delayTable } from './delays.ts'
import { measureEvents, startEvents } from './events.ts'
import { goalsOf, goalTable } from './goals.ts'
import { measurePaced } from './open-loop.ts'
import { summarise, table, type Report } from './report.ts'
import { measure, type Measured, type RoundsOptions } from './rounds.ts'
import type { Bench } from './started.ts'
import { startCountersign, startUpstream, targetNames, type Countersign, type Target, type TargetName } from './targets.ts'

const { values } = parseArgs({
  options: {
    /** Under three minutes. */
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    /** Of each round; whole ones. */
    seconds: { type: 'string' },
    connections: { type: 'string', default: '32' },
    /** Targets beside Countersign, comma-separated; all by default, fewer when quick. */
    only: { type: 'string' },
    /** Workloads by name, comma-separated, or the beginnings of their names; all by default, fewer when quick. `none`: no closed loop. */
    loads: { type: 'string' },
    /** Leaves out the fixed rates. */
    'no-paced': { type: 'boolean', default: false },
    /** Leaves out the streams of tokens. */
    'no-events': { type: 'boolean', default: false },
    /** Options of node for Countersign, such as --cpu-prof. */
    node: { type: 'string', multiple: true, default: [] },
    /** Priority, as nice(1) takes it: with a negative one, which root may give, a busy machine disturbs less. */
    nice: { type: 'string', default: '0' },
    /** Where the JSON goes. */
    out: { type: 'string' },
    /** Keeps the folder of the run. */
    keep: { type: 'boolean', default: false },
  },
})

const options: RoundsOptions = {
  rounds: Number(values.rounds ?? (values.quick ? 3 : 7)),
  seconds: Number(values.seconds ?? (values.quick ? 1 : 2)),
  connections: Number(values.connections),
  warmUp: values.quick ? 15_000 : 60_000,
  longestWarmUp: values.quick ? 3 : 30,
}
const pacedOptions = values.quick ? { rounds: 2, seconds: 1.5, warmUp: 1.5 } : { rounds: 5, seconds: 5, warmUp: 8 }
const eventsOptions = values.quick ? { rounds: 2, streams: 8 } : { rounds: 5, streams: 40 }
/** The delays of these are worth their time. */
const timed: readonly TargetName[] = values.quick
  ? ['direct', 'countersign', 'envoy', 'bare undici']
  : ['direct', 'countersign', 'nginx', 'envoy', 'bare undici', 'envoy + opa', 'agentgateway']
/** Left to the long form. */
const slow: readonly TargetName[] = ['countersign synced', 'nginx', 'http-proxy', 'iron-proxy']
const asked = (values.loads ?? (values.quick ? 'GET,POST,10 MB' : '')).split(',')
const chosen = workloads
  .filter(({ name }) => asked.some((start) => name.startsWith(start)))
  // of what large answers cost, few say enough
  .map((workload) => (values.quick && workload.connections !== undefined ? { ...workload, of: timed } : workload))

const tools = ['wrk', 'nginx', 'taskset']
const missing = tools.filter((tool) => spawnSync(tool, ['-v']).error !== undefined)
if (missing.length > 0 || cpus().length < 2) {
  console.error(`the bench needs two cores and ${tools.join(', ')}; not here: ${missing.join(', ') || 'a second core'}`)
  console.error('apt-get install wrk nginx-light util-linux; see bench/README.md')
  process.exit(69)
}

const bench: Bench = {
  folder: mkdtempSync(join(tmpdir(), 'countersign-bench-')),
  proxyCore: 0,
  loadCore: 1,
  nice: Number(values.nice),
  env: { PATH: process.env['PATH'] },
}
// where the kernel weighs sessions against each other, nice alone changes nothing
if (bench.nice !== 0 && existsSync('/proc/self/autogroup')) writeFileSync('/proc/self/autogroup', String(bench.nice))
const running: { stop(): Promise<void> }[] = []
try {
  await run()
} finally {
  for (const one of running.toReversed()) await one.stop()
  if (values.keep) console.log(`kept: ${bench.folder}`)
  else rmSync(bench.folder, { recursive: true, force: true })
}

async function run(): Promise<void> {
  const who = await callers()
  const tokens = await who.tokens(Math.max(1, ...chosen.map((workload) => workload.tokens)))
  const events = await startEvents(bench)
  running.push(events)
  const upstream = await startUpstream(bench, events.port)
  running.push(upstream)
  const settings = { durability: 'written', tasks: Math.max(1, ...chosen.map(({ tasks }) => tasks)), node: values.node } as const
  const first = await startCountersign(bench, upstream.port, who, { ...settings, name: 'countersign' })
  running.push(...first.processes)
  const own = [first]
  if (wanted('countersign synced')) {
    const synced = await startCountersign(bench, upstream.port, who, { ...settings, name: 'countersign synced', durability: 'synced' })
    running.push(...synced.processes)
    own.push(synced)
  }
  const inputs = new Map<string, unknown>()
  const results = new Map<string, unknown>()
  for (const workload of checked) {
    for (const one of own) {
      const { input, result } = await checkCountersign(bench, one, workload, asking(tokens, one, first))
      if (!inputs.has(workload.method)) inputs.set(workload.method, input)
      results.set(workload.method, result)
    }
  }
  const others = await startPeers({ bench, upstream: upstream.port, callers: who, inputs: Object.fromEntries(inputs) })
  for (const workload of checked) {
    for (const target of others) await check(bench, target, workload, asking(tokens, target, first))
    if (others.some(({ name }) => name === 'envoy + opa')) await checkOpa(bench, workload, results.get(workload.method))
  }
  const targets = [...own, ...others].toSorted((a, b) => targetNames.indexOf(a.name) - targetNames.indexOf(b.name))
  const { rounds, seconds } = options
  console.log(`answers are right through ${targets.map(({ name }) => name).join(', ')}; ${rounds} rounds of ${seconds} s each`)
  const before = await counted(first)
  const measured = await measure(bench, targets, chosen, { tokens, first, options })
  await checkCounts(first, before, measured)
  const pss = ({ processes }: Target): number => processes.reduce((sum, { pid }) => sum + memory(pid), 0) / 1024 ** 2
  const sizes = new Map(targets.map((target) => [target.name, target.processes.length === 0 ? null : pss(target)]))
  const delayed = targets.filter(({ name }) => timed.includes(name))
  const paced = values['no-paced'] ? [] : await measurePaced(bench, delayed, { tokens, first, options: pacedOptions })
  const heard = values['no-events'] ? [] : await measureEvents(bench, delayed, { tokens, first, options: eventsOptions })
  const delays = delayRows(paced, heard)
  const goals = goalsOf({ rounds: measured.rounds, paced, delays })
  const closed = summarise(measured.rounds, sizes)
  tell({ machine: machine(), settings: settingsOf(), ...closed, delays, goals, rounds: measured.rounds, paced, heard })
}

function wanted(name: TargetName): boolean {
  return values.only === undefined ? !(values.quick && slow.includes(name)) : values.only.split(',').includes(name)
}

async function startPeers(setting: Setting): Promise<Target[]> {
  const started: Target[] = []
  for (const [name, open] of Object.entries(peers)) {
    if (!wanted(name as TargetName)) continue
    const target = await open(setting)
    if (target === null) console.log(`${name}: not installed, left out (npm run engines -- bench)`)
    else started.push(target)
    running.push(...(target?.processes ?? []))
  }
  return started
}

/**
 * Every answer that wrk counted as well was a permitted call with two lines, every other one a refusal; a call may be under way on each
 * connection when wrk stops.
 */
async function checkCounts(countersign: Countersign, before: Awaited<ReturnType<typeof counted>>, measured: Measured): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 500))
  const after = await counted(countersign)
  const { well, refused, loads } = measured.asked.get(countersign.name) ?? { well: 0, refused: 0, loads: 0 }
  const [calls, lines, refusals] = [after.calls - before.calls, after.lines - before.lines, after.refusals - before.refusals]
  const underWay = loads * options.connections
  if (calls < well || calls > well + underWay) throw new Error(`wrk counted ${well} answers, Countersign ${calls} calls`)
  if (lines < 2 * calls) throw new Error(`${calls} calls left ${lines} lines in the ledger`)
  if (refusals < refused || refusals > refused + underWay) throw new Error(`wrk counted ${refused} refusals, Countersign ${refusals}`)
}

/** Its class, never its name. */
function machine(): Report['machine'] {
  const [first] = cpus()
  return {
    cores: cpus().length,
    processor: first?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
  }
}

function settingsOf(): Report['settings'] {
  const bundle = readFileSync(new URL('../rego/policy.tar.gz', import.meta.url))
  return { ...options, nice: bench.nice, policyBytes: bundle.length }
}

function tell(report: Report): void {
  const file = values.out ?? join(import.meta.dirname, 'results', `${values.quick ? 'quick' : 'full'}.json`)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(report, rounded, 2)}\n`)
  console.log([table(report), delayTable(report.delays), '', goalTable(report.goals)].join('\n'))
}

/** Five digits say more than is known. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value
}
