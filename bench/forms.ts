/**
 * `npm run bench:forms`: what a start costs, as the sources and as the image have it, with and without rehearsal: from spawning to ready on
 * the wall and on processors, with an empty cache of compiled code, on an empty state, and after that; proportional memory at rest; and
 * latencies in the first two seconds after ready, at an open rate. Linux with two cores and nginx. `--form sources` starts the sources,
 * `image` (the default) what the image has; `--node=FLAG` is given to node;
 * `--nice=-10` keeps neighbours away, as root.
 */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { bundle } from '../scripts/bundle.ts'
import { developmentIssuer } from '../src/demo/issuer.ts'
import { onMessages } from '../src/rehearsal/framing.ts'
import { cpuTime, memory } from './cpu.ts'
import { freePort, pinned, type Bench } from './started.ts'
import { startUpstream } from './targets.ts'

const { values } = parseArgs({
  options: {
    form: { type: 'string', default: 'image' },
    node: { type: 'string', multiple: true, default: [] },
    rounds: { type: 'string', default: '5' },
    rates: { type: 'string', default: '500,3000' },
    rehearsals: { type: 'string', default: '0s,300ms' },
    nice: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
  },
})
const root = resolve(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
const bench: Bench = { folder, proxyCore: 0, loadCore: Math.min(1, cpus().length - 1), nice: Number(values.nice), env: process.env }
const agent = 'spiffe://acme.example/ns/bench/sa/agent'
const audience = 'spiffe://acme.example/countersign'
const [port, healthPort, adminPort] = [await freePort(), await freePort(), await freePort()]

interface Ready {
  readonly child: ChildProcess
  /** Spawned to ready, ms. */
  readonly wall: number
  /** Of the whole process until then, ms. */
  readonly cpu: number
}

interface Window {
  readonly sent: number
  readonly failed: number
  readonly p50: number
  readonly p99: number
}

const main = await program()
const upstream = await startUpstream(bench, await freePort())
const issuer = await developmentIssuer('acme.example')
const token = await issuer.mint(agent, audience, 6 * 3600)
try {
  await measure()
} finally {
  await upstream.stop()
  rmSync(folder, { recursive: true, force: true })
}

async function measure(): Promise<void> {
  const found: object[] = []
  for (const rehearsal of values.rehearsals.split(',')) {
    const conf = configure(rehearsal)
    const first = await start(conf)
    const task = await openTask()
    await end(first.child)
    const later: Ready[] = []
    const rest: number[] = []
    const windows = new Map<number, Window[]>(values.rates.split(',').map((rate) => [Number(rate), []]))
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [rate, seen] of windows) {
        const ready = await start(conf)
        seen.push(await firstSeconds(rate, task))
        await end(ready.child)
      }
      const ready = await start(conf)
      later.push(ready)
      await wait(2000)
      rest.push(memory(ready.child.pid ?? 0) / 2 ** 20)
      await end(ready.child)
    }
    found.push({
      rehearsal,
      first: figures([first]),
      later: figures(later),
      restMiB: round1(median(rest)),
      windows: [...windows].map(([rate, seen]) => ({
        rate,
        p50: round1(median(seen.map(({ p50 }) => p50))),
        p99: round1(median(seen.map(({ p99 }) => p99))),
        best: round1(Math.min(...seen.map(({ p99 }) => p99))),
        failed: seen.reduce((sum, { failed }) => sum + failed, 0),
      })),
    })
  }
  const load = loadavg().map(round1)
  console.log(JSON.stringify({ form: values.form, node: values.node, version: process.version, load, found }, null, values.json ? 2 : 1))
}

function figures(all: readonly Ready[]): object {
  const of = (part: 'wall' | 'cpu'): object => ({
    median: Math.round(median(all.map((one) => one[part]))),
    least: Math.round(Math.min(...all.map((one) => one[part]))),
  })
  return { wallMs: of('wall'), cpuMs: of('cpu') }
}

/** The file to start: bundled as for the image, beside what it looks for, or the sources. */
async function program(): Promise<string> {
  if (values.form === 'sources') return join(root, 'src/main.ts')
  const app = join(folder, 'app')
  mkdirSync(app)
  for (const name of ['rego', 'node_modules']) symlinkSync(join(root, name), join(app, name))
  cpSync(join(root, 'package.json'), join(app, 'package.json'))
  await bundle(join(app, 'dist'))
  return join(app, 'dist/main.js')
}

/** A state, a ledger and a cache of its own. */
function configure(rehearsal: string): { readonly file: string; readonly cache: string } {
  const own = join(folder, `with-${rehearsal}`)
  mkdirSync(own)
  writeFileSync(join(own, 'bundle.json'), issuer.bundle)
  const places: Readonly<Record<string, unknown>> = { PORT: port, HEALTH: healthPort, ADMIN: adminPort, UPSTREAM: upstream.port }
  const text = readFileSync(join(import.meta.dirname, 'peers/countersign.yaml'), 'utf8')
    .replaceAll(/\$\{([A-Z]+)\}/g, (_whole, name: string) => String(places[name]))
    .replace('listen:\n', `listen:\n  rehearsal: ${rehearsal}\n`)
  writeFileSync(join(own, 'countersign.yaml'), text)
  return { file: join(own, 'countersign.yaml'), cache: join(own, 'compiled') }
}

async function start({ file, cache }: ReturnType<typeof configure>): Promise<Ready> {
  const node = [process.execPath, ...values.node, '--disable-warning=ExperimentalWarning']
  const [command = '', ...words] = pinned(bench, bench.proxyCore, [...node, main, 'start', '--config', file])
  const began = performance.now()
  const child = spawn(command, words, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
  })
  const told: string[] = []
  await new Promise<void>((done, failed) => {
    createInterface({ input: child.stderr }).on('line', (line) => (line.includes('"Countersign is up"') ? done() : told.push(line)))
    child.once('exit', (code) => failed(new Error(`it ended with ${code}: ${told.join('\n')}`)))
  })
  while (!(await isReady())) await wait(2)
  return { child, wall: performance.now() - began, cpu: cpuTime(child.pid ?? 0) / 1e6 }
}

async function isReady(): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${healthPort}/readyz`)
  await answer.arrayBuffer()
  return answer.ok
}

async function end(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}

async function openTask(): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/.countersign/v1/tasks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ purpose: 'measure', tools: ['items.read', 'items.write'], resources: ['item:*'], ttl: '10h' }),
  })
  const task: unknown = await answer.json()
  if (answer.status !== 201 || task === null || typeof task !== 'object' || !('id' in task)) throw new Error(`no task: ${answer.status}`)
  return String(task.id)
}

/** Sends at a rate for two seconds, ready or not, each call timed from when it was due: what waits for a connection counts. */
async function firstSeconds(rate: number, task: string): Promise<Window> {
  const every = 1000 / rate
  const total = rate * 2
  const times: number[] = []
  const waiting: number[] = []
  let sent = 0
  let failed = 0
  let at = 0
  const head = `host: 127.0.0.1:${port}\r\nauthorization: Bearer ${token}\r\ncountersign-task: ${task}\r\n\r\n`
  const lanes = Array.from({ length: 32 }, () => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const lane = { due: 0, busy: false, begin: (due: number) => begin(due) }
    const begin = (due: number): void => {
      lane.due = due
      lane.busy = true
      socket.write(`GET /api/items/${(at = (at + 1) % 256)} HTTP/1.1\r\n${head}`)
    }
    onMessages(socket, (answer) => {
      if (!answer.startsWith('HTTP/1.1 200')) failed++
      times.push(performance.now() - lane.due)
      const next = waiting.shift()
      if (next === undefined) lane.busy = false
      else begin(next)
    })
    return { lane, socket }
  })
  await Promise.all(lanes.map(({ socket }) => once(socket, 'connect')))
  const began = performance.now()
  while (times.length < total && performance.now() - began < 10_000) {
    for (const now = performance.now(); sent < total && began + sent * every <= now; sent++) {
      const idle = lanes.find(({ lane }) => !lane.busy)
      if (idle === undefined) waiting.push(began + sent * every)
      else idle.lane.begin(began + sent * every)
    }
    await wait(1)
  }
  for (const { socket } of lanes) socket.destroy()
  times.sort((one, other) => one - other)
  const of = (part: number): number => times[Math.floor(times.length * part)] ?? Number.NaN
  return { sent, failed: failed + total - times.length, p50: of(0.5), p99: of(0.99) }
}

function median(list: readonly number[]): number {
  return list.toSorted((one, other) => one - other)[list.length >> 1] ?? Number.NaN
}

function round1(value: number): number {
  return Math.round(value * 10) / 10
}
