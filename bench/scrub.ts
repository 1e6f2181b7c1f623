/**
 * `npm run bench:scrub`: what the search for a lent secret costs. First the scanner alone, on bodies of several kinds and secrets of several
 * lengths; then ten megabytes at a time through the forward stage alone, in one process with a credential and in one without; then the same
 * through whole sidecars, over a route with a credential and one without. Linux only. `--json` prints the figures, `--rounds` does more or less.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { echoesOf } from '../src/forward/echoes.ts'
import { Scrub } from '../src/forward/scrub.ts'
import { Secret } from '../src/secret.ts'
import { sketchLease } from '../test/support/forward-rig.ts'
import { bodies } from './bodies.ts'
import { compare, endReads, median, type Compared, type Way } from './large-reads.ts'
import type { Large } from './peers/large.ts'
import type { Bench } from './started.ts'
import { callers } from './callers.ts'
import { startCountersign } from './targets.ts'

const { values } = parseArgs({ options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '25' } } })
const rounds = Number(values.rounds)
const chunkBytes = 64 * 1024

interface Scanned {
  readonly body: string
  /** Characters of the secret. */
  readonly secret: number
  /** Bytes per nanosecond: the median of the rounds, and the best. */
  readonly median: number
  readonly best: number
}

interface Streamed extends Compared {
  readonly through: 'forward over TLS' | 'forward over HTTP' | 'sidecar over HTTP'
  readonly secret: number
  readonly body: string
}

function scan(): Scanned[] {
  const found: Scanned[] = []
  for (const length of [12, 20, 40, 100, 800]) {
    const echoes = echoesOf(sketchLease({ secret: new Secret(randomBytes(length).toString('base64url').slice(0, length)) }))
    for (const [body, bytes] of Object.entries(bodies())) {
      const speeds = Array.from({ length: rounds }, () => {
        const scrub = new Scrub(echoes)
        const began = process.hrtime.bigint()
        for (let at = 0; at < bytes.length; at += chunkBytes) scrub.pass(bytes.subarray(at, at + chunkBytes), false)
        return bytes.length / Number(process.hrtime.bigint() - began)
      })
      found.push({ body, secret: length, median: median(speeds), best: Math.max(...speeds) })
    }
  }
  return found
}

const children: ChildProcess[] = []

function forked(file: string): ChildProcess {
  const child = fork(new URL(`peers/${file}`, import.meta.url), { execArgv: ['--disable-warning=ExperimentalWarning'] })
  children.push(child)
  return child
}

const paths = ['/json', '/base64', '/random', '/json?chunked']

/** A process for each side: in one, what the one leaves behind is swept at the cost of the other. */
async function forwarded(upstream: Large): Promise<Streamed[]> {
  const found: Streamed[] = []
  for (const length of [40, 400]) {
    const secret = randomBytes(length).toString('base64url').slice(0, length)
    const started = await Promise.all(
      [forked('lent.ts'), forked('lent.ts')].map(async (proxy) => {
        proxy.send({ ...upstream, secret })
        const [ports] = (await once(proxy, 'message')) as [number[]]
        return { pid: proxy.pid ?? 0, ports }
      }),
    )
    for (const [through, open, lent] of [['forward over TLS', 0, 1] as const, ['forward over HTTP', 2, 3] as const]) {
      for (const path of paths) {
        const [first, second] = [open, lent].map((which, side): Way => {
          const { pid, ports } = started[side] ?? { pid: 0, ports: [] }
          return { pid, port: ports[which] ?? 0, path: () => path }
        }) as [Way, Way]
        found.push({ through, secret: length, body: path.slice(1), ...(await compare(first, second, rounds)) })
      }
    }
  }
  return found
}

/** Every stage on; the credential is a token of some hundred characters that the provider mints. Two sidecars, for the same reason. */
async function whole(upstream: Large): Promise<Streamed[]> {
  const folders = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'countersign-scrub-')))
  const benches = folders.map((folder): Bench => ({ folder, proxyCore: 0, loadCore: 1, nice: 0, env: { PATH: process.env['PATH'] } }))
  const who = await callers()
  const settings = { name: 'countersign', durability: 'written', tasks: 1, node: [] } as const
  const sidecars = await Promise.all(benches.map((bench) => startCountersign(bench, upstream.http, who, settings)))
  const [token = ''] = await who.tokens(1)
  // a task that repeats one call is stopped
  let calls = 0
  const [first, second] = sidecars.map(({ processes, port, tasks }, side): Way => {
    const headers = { authorization: `Bearer ${token}`, 'countersign-task': tasks[0] ?? '' }
    return { pid: processes[0]?.pid ?? 0, port, headers, path: () => `${side === 0 ? '/open' : '/api'}/items/${calls++}` }
  }) as [Way, Way]
  try {
    return [{ through: 'sidecar over HTTP', secret: Number.NaN, body: 'json', ...(await compare(first, second, rounds)) }]
  } finally {
    for (const sidecar of sidecars) for (const one of sidecar.processes) await one.stop()
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  }
}

async function stream(): Promise<Streamed[]> {
  try {
    const [upstream] = (await once(forked('large.ts'), 'message')) as [Large]
    return [...(await forwarded(upstream)), ...(await whole(upstream))]
  } finally {
    for (const child of children) child.kill()
    endReads()
  }
}

const results = { scanned: scan(), streamed: await stream() }
if (values.json) console.log(JSON.stringify(results, null, 2))
else {
  console.log('| body | characters of the secret | GB/s | at best |\n| --- | --- | --- | --- |')
  for (const { body, secret, median: middle, best } of results.scanned)
    console.log(`| ${body} | ${secret} | ${middle.toFixed(2)} | ${best.toFixed(2)} |`)
  console.log(
    '\n| through | secret | ten megabytes of | ns/kB without | with a credential | ratio | MB/s without | with a credential | ratio |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
  )
  for (const { through, secret, body, cpu, cpuRatio, throughput, throughputRatio } of results.streamed) {
    const figures = [...cpu.map((each) => each.toFixed(0)), cpuRatio.toFixed(3)]
    const speeds = [...throughput.map((each) => each.toFixed(0)), throughputRatio.toFixed(3)]
    console.log(`| ${[through, Number.isNaN(secret) ? 'a token' : secret, body, ...figures, ...speeds].join(' | ')} |`)
  }
}
