/**
 * `npm run bench:scrub`: what the search for a lent secret costs. First the scanner alone, on bodies of several kinds and secrets of several
 * lengths; then ten megabytes at a time through the forward stage, with a credential and without in one run, by the processor time of its
 * process. Linux only. `--json` prints the figures, `--rounds` does more or less.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { Agent, get } from 'node:http'
import { parseArgs } from 'node:util'
import { echoesOf } from '../src/forward/echoes.ts'
import { Scrub } from '../src/forward/scrub.ts'
import { Secret } from '../src/secret.ts'
import { sketchLease } from '../test/support/forward-rig.ts'
import { bodies } from './bodies.ts'
import { cpuTime } from './cpu.ts'
import type { Large } from './peers/large.ts'

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

interface Streamed {
  readonly upstream: string
  readonly secret: number
  readonly body: string
  /** Nanoseconds of the process for each kilobyte, without a credential and with one: the least of the rounds, since a busy machine only ever adds. */
  readonly open: number
  readonly lent: number
  /** Of these two. */
  readonly ratio: number
  /** The median of what each round says for itself. */
  readonly median: number
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
      found.push({ body, secret: length, median: quantile(speeds, 0.5), best: Math.max(...speeds) })
    }
  }
  return found
}

function quantile(all: readonly number[], part: number): number {
  return all.toSorted((a, b) => a - b)[Math.floor((all.length - 1) * part)] ?? Number.NaN
}

async function stream(): Promise<Streamed[]> {
  const children: ChildProcess[] = []
  const forked = (file: string): ChildProcess => {
    const child = fork(new URL(`peers/${file}`, import.meta.url), { execArgv: ['--disable-warning=ExperimentalWarning'] })
    children.push(child)
    return child
  }
  try {
    const [upstream] = (await once(forked('large.ts'), 'message')) as [Large]
    const found: Streamed[] = []
    for (const length of [40, 400]) {
      const proxy = forked('lent.ts')
      proxy.send({ ...upstream, secret: randomBytes(length).toString('base64url').slice(0, length) })
      const [[tlsOpen = 0, tlsLent = 0, open = 0, lent = 0]] = (await once(proxy, 'message')) as [number[]]
      const pid = proxy.pid ?? 0
      for (const path of paths) found.push(await compare('TLS', length, path, { open: tlsOpen, lent: tlsLent }, pid))
      for (const path of paths) found.push(await compare('HTTP', length, path, { open, lent }, pid))
    }
    return found
  } finally {
    for (const child of children) child.kill()
  }
}

const paths = ['/json', '/base64', '/random', '/json?chunked']

const agent = new Agent({ keepAlive: true })
/** Answers for one figure. */
const batch = 4

async function compare(
  upstream: string,
  secret: number,
  body: string,
  { open, lent }: { readonly open: number; readonly lent: number },
  pid: number,
): Promise<Streamed> {
  const costs = { open: [] as number[], lent: [] as number[] }
  const measure = async (port: number): Promise<number> => {
    const before = cpuTime(pid)
    let bytes = 0
    for (let index = 0; index < batch; index++) bytes += await read(port, body)
    return (cpuTime(pid) - before) / (bytes / 1000)
  }
  for (let round = -2; round < rounds; round++) {
    // in turns first, so that neither is always the one whose memory is swept
    const order = round % 2 === 0 ? (['open', 'lent'] as const) : (['lent', 'open'] as const)
    for (const which of order) {
      const cost = await measure(which === 'open' ? open : lent)
      if (round >= 0) costs[which].push(cost)
    }
  }
  const ratios = costs.lent.map((cost, round) => cost / (costs.open[round] ?? Number.NaN))
  const [least, leastLent] = [Math.min(...costs.open), Math.min(...costs.lent)]
  return { upstream, secret, body, open: least, lent: leastLent, ratio: leastLent / least, median: quantile(ratios, 0.5) }
}

function read(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, (answer) => {
      let bytes = 0
      answer.on('data', (part: Buffer) => (bytes += part.length))
      answer.on('end', () => resolve(bytes))
      answer.on('error', reject)
    }).on('error', reject)
  })
}

const results = { scanned: scan(), streamed: await stream() }
if (values.json) console.log(JSON.stringify(results, null, 2))
else {
  console.log('| body | characters of the secret | GB/s | at best |\n| --- | --- | --- | --- |')
  for (const { body, secret, median, best } of results.scanned)
    console.log(`| ${body} | ${secret} | ${median.toFixed(2)} | ${best.toFixed(2)} |`)
  console.log(
    '\n| upstream | secret | ten megabytes of | ns/kB without | with a credential | ratio | median |\n| --- | --- | --- | --- | --- | --- | --- |',
  )
  for (const { upstream, secret, body, open, lent, ratio, median } of results.streamed)
    console.log(
      `| ${upstream} | ${secret} | ${body.slice(1)} | ${open.toFixed(0)} | ${lent.toFixed(0)} | ${ratio.toFixed(3)} | ${median.toFixed(3)} |`,
    )
}
agent.destroy()
