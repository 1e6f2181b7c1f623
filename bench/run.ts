/**
 * Measures the whole request path beside plain forwarders. See README.md here. Nothing fails on a figure: it fails when an answer
 * is wrong.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { check, checkCountersign, counted } from './check.ts'
import { memory } from './cpu.ts'
import { workloads, writeScript } from './load.ts'
import { summarise, table, type Report } from './report.ts'
import { measure, type Measured, type RoundsOptions } from './rounds.ts'
import type { Bench } from './started.ts'
import {
  startBare,
  startCountersign,
  startEnvoy,
  startNginx,
  startUpstream,
  type Countersign,
  type Target,
  type TargetName,
} from './targets.ts'

const { values } = parseArgs({
  options: {
    /** Under three minutes. */
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    /** Of each round; whole ones. */
    seconds: { type: 'string' },
    connections: { type: 'string', default: '32' },
    /** Targets beside Countersign, comma-separated; all by default. */
    only: { type: 'string' },
    /** Workloads by method, comma-separated; all by default. */
    methods: { type: 'string' },
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
  rounds: Number(values.rounds ?? (values.quick ? 4 : 7)),
  seconds: Number(values.seconds ?? (values.quick ? 1 : 2)),
  connections: Number(values.connections),
  warmUp: values.quick ? 15_000 : 60_000,
  longestWarmUp: values.quick ? 6 : 30,
}
const chosen = workloads.filter(({ method }) => values.methods === undefined || values.methods.toUpperCase().split(',').includes(method))

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
  const upstream = await startUpstream(bench)
  running.push(upstream)
  const countersign = await startCountersign(bench, upstream.port, values.node)
  running.push(countersign.process)
  const targets = [countersign, ...(await startPeers(upstream.port))]
  // every target is asked the same, token, task and all
  const headers = { authorization: `Bearer ${countersign.svid}`, 'countersign-task': countersign.task }
  for (const workload of chosen) {
    for (const target of targets) if (target !== countersign) await check(bench, target, workload, headers)
    await checkCountersign(bench, countersign, workload, headers)
  }
  const { rounds, seconds } = options
  console.log(`answers are right through ${targets.map(({ name }) => name).join(', ')}; ${rounds} rounds of ${seconds} s each`)
  const scripts = new Map(chosen.map((workload) => [workload, writeScript(bench, workload, headers)]))
  const before = await counted(countersign)
  const measured = await measure(bench, targets, scripts, options)
  await checkCounts(countersign, before, measured)
  const sizes = new Map(targets.map(({ name, process: started }) => [name, started === null ? null : memory(started.pid) / 1024 ** 2]))
  tell({ machine: machine(), settings: settings(), ...summarise(measured.rounds, sizes), rounds: measured.rounds })
}

async function startPeers(upstream: number): Promise<Target[]> {
  const wanted = (name: TargetName): boolean => values.only === undefined || values.only.split(',').includes(name)
  const peers: Target[] = wanted('direct') ? [{ name: 'direct', process: null, port: upstream }] : []
  const others = { nginx: startNginx, envoy: startEnvoy, 'bare undici': startBare } as const
  for (const [name, open] of Object.entries(others)) {
    if (!wanted(name as TargetName)) continue
    const target = await open(bench, upstream)
    if (target === null) console.log(`${name}: not installed, left out (npm run engines)`)
    else peers.push(target)
    if (target !== null && target.process !== null) running.push(target.process)
  }
  return peers
}

/** Every answer that wrk counted was a permitted call with two lines; a call may be under way on each connection when wrk stops. */
async function checkCounts(countersign: Countersign, before: Awaited<ReturnType<typeof counted>>, { asked }: Measured): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 500))
  const after = await counted(countersign)
  const { answers, loads } = asked.get(countersign.name) ?? { answers: 0, loads: 0 }
  const [calls, lines] = [after.calls - before.calls, after.lines - before.lines]
  if (calls < answers || calls > answers + loads * options.connections)
    throw new Error(`wrk counted ${answers} answers, Countersign ${calls} calls`)
  if (lines < 2 * calls) throw new Error(`${calls} calls left ${lines} lines in the ledger`)
  if (after.refusals !== before.refusals) throw new Error(`${after.refusals - before.refusals} calls were refused under load`)
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

function settings(): Report['settings'] {
  const bundle = readFileSync(new URL('../rego/policy.tar.gz', import.meta.url))
  return { ...options, nice: bench.nice, policyBytes: bundle.length }
}

function tell(report: Report): void {
  const file = values.out ?? join(import.meta.dirname, 'results', `${values.quick ? 'quick' : 'full'}.json`)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(report, rounded, 2)}\n`)
  console.log(table(report))
}

/** Five digits say more than is known. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value
}
