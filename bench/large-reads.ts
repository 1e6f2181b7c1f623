/** Reads large answers, and says what they cost the process between. */
import { Agent, get } from 'node:http'
import { cpuTime } from './cpu.ts'

const agent = new Agent({ keepAlive: true })

export interface Way {
  /** Of the process. */
  readonly pid: number
  readonly port: number
  readonly headers?: Readonly<Record<string, string>>
  /** The next path to ask for. */
  readonly path: () => string
}

/** Of two ways in one figure: what the second has of the first, by the median of what each round says. */
export interface Compared {
  /** Nanoseconds of the process for each kilobyte. */
  readonly cpu: readonly [number, number]
  readonly cpuRatio: number
  /** Megabytes a second, through all that is between. */
  readonly throughput: readonly [number, number]
  readonly throughputRatio: number
}

/** Answers in one turn: so many that each way sweeps its own memory several times in its turn. */
const batch = 16

/** Takes turns, the one and the other first. */
export async function compare(first: Way, second: Way, rounds: number): Promise<Compared> {
  const seen: [Read, Read][] = []
  for (let round = -1; round < rounds; round++) {
    const early = round % 2 === 0 ? null : await read(second)
    const base = await read(first)
    const other = early ?? (await read(second))
    // the first is for the compiler
    if (round >= 0) seen.push([base, other])
  }
  const of = (key: keyof Read): [number, number] => [median(seen.map(([left]) => left[key])), median(seen.map(([, right]) => right[key]))]
  const ratio = (key: keyof Read): number => median(seen.map(([left, right]) => right[key] / left[key]))
  return { cpu: of('cpu'), cpuRatio: ratio('cpu'), throughput: of('throughput'), throughputRatio: ratio('throughput') }
}

interface Read {
  readonly cpu: number
  readonly throughput: number
}

async function read(way: Way): Promise<Read> {
  const [began, before] = [performance.now(), cpuTime(way.pid)]
  let bytes = 0
  for (let index = 0; index < batch; index++) bytes += await one(way)
  return { cpu: (cpuTime(way.pid) - before) / (bytes / 1000), throughput: bytes / 1000 / (performance.now() - began) }
}

function one({ port, path, headers = {} }: Way): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: path(), headers, agent }, (answer) => {
      if (answer.statusCode !== 200) return reject(new Error(`an answer with status ${answer.statusCode}`))
      let bytes = 0
      answer.on('data', (part: Buffer) => (bytes += part.length))
      answer.on('end', () => resolve(bytes))
      answer.on('error', reject)
    }).on('error', reject)
  })
}

export function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor((all.length - 1) / 2)] ?? Number.NaN
}

export function endReads(): void {
  agent.destroy()
}
