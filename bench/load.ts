/** The load of a closed loop: wrk on its own core, and what it says. */

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { bodies } from './bodies.ts'
import { pinned, type Bench } from './started.ts'
import type { Countersign, Target } from './targets.ts'

/** What is asked for, of every target alike. */
export interface Workload {
  readonly name: string
  readonly method: 'GET' | 'POST'
  readonly body: string | null
  /** Different tokens of the agent, in turn. */
  readonly tokens: number
  /** Different tasks, in turn. */
  readonly tasks: number
  /** One call in so many is outside the task; 0: none is. */
  readonly refusedOf: number
  /** Bytes of each answer. */
  readonly answer: number
  /** Absent: as many as the run is told. */
  readonly connections?: number
  /** Which targets it says something about; absent: all of them. */
  readonly of?: readonly Target['name'][]
}

/** The body of every small answer: 1 KiB of JSON. */
export const answerBody = filled(1024)
/** Bytes of a large answer. */
const large = 10_000_000
/** More than what any of them keeps of the tokens that it has verified. */
const coldTokens = 16_384

const plain = { method: 'GET', body: null, tokens: 1, tasks: 1, refusedOf: 0, answer: 1024 } as const
const judging = ['countersign', 'envoy + opa', 'envoy + opa no-op', 'agentgateway'] as const

export const workloads: readonly Workload[] = [
  { ...plain, name: 'GET 1 KiB' },
  { ...plain, name: 'POST 4 KiB', method: 'POST', body: filled(4096) },
  { ...plain, name: '1,000 tokens', tokens: 1000, of: ['envoy', ...judging] },
  { ...plain, name: 'cold tokens', tokens: coldTokens, of: ['envoy', ...judging] },
  { ...plain, name: '50 tasks', tasks: 50, of: ['envoy', ...judging] },
  { ...plain, name: '10 % refused', refusedOf: 10, of: ['envoy', ...judging] },
  { ...plain, name: '10 MB streams', answer: large, connections: 4 },
]

/** What is asked of every target before anything is measured. */
export const checked = workloads.slice(0, 2)

/** A large answer: JSON of many shapes, in which a credential would be searched for. */
export function largeAnswer(): Buffer {
  return Buffer.alloc(large, bodies().json)
}

function filled(bytes: number): string {
  const frame = '{"item":""}'
  return `{"item":"${'0123456789abcdef'.repeat(bytes / 16).slice(0, bytes - frame.length)}"}`
}

/** Different targets in turn, for a task that repeats one call is stopped by policy; more than a task remembers. */
const targets = 256

export interface LoadOptions {
  readonly seconds: number
  readonly connections: number
  /** A file that `writeScript` made. */
  readonly script: string
}

/** What one round of load saw. */
export interface Loaded {
  readonly requests: number
  readonly seconds: number
  /** In all, heads included. */
  readonly bytes: number
  /** Answers that were not 2xx or 3xx. */
  readonly refused: number
  /** Socket errors and time-outs. */
  readonly errors: number
  /** Milliseconds, at saturation. */
  readonly p50: number
  readonly p99: number
}

/** The names that one target is asked by: its tokens and its tasks, each a file with one a line. */
export interface Asking {
  readonly tokens: readonly string[]
  readonly tasks: readonly string[]
}

/** Writes the script that wrk runs: every request is made before the first is sent. */
export function writeScript(bench: Bench, workload: Workload, target: Target, by: Asking): string {
  const { name, method, body, refusedOf, answer } = workload
  const stem = `${bench.folder}/${`${target.name} ${name}`.replaceAll(/[^a-z0-9]+/gi, '-')}`
  writeFileSync(`${stem}.tokens`, by.tokens.slice(0, workload.tokens).join('\n'))
  writeFileSync(`${stem}.tasks`, by.tasks.slice(0, workload.tasks).join('\n'))
  const fields = ['authorization = "Bearer " .. tokens[(i - 1) % #tokens + 1]', '["countersign-task"] = tasks[(i - 1) % #tasks + 1]']
  if (body !== null) fields.push('["content-type"] = "application/json"')
  if (target.host !== undefined) fields.push(`Host = ${JSON.stringify(target.host)}`)
  const item = answer === large ? 'large-' : ''
  const place = refusedOf === 0 ? '"items"' : `i % ${refusedOf} == 0 and "others" or "items"`
  // from somewhere else each time: what came first would be asked for again before the others
  writeFileSync(
    `${stem}.lua`,
    `local list, at = {}, 0
local function lines(file)
  local all = {}
  for line in io.lines(file) do all[#all + 1] = line end
  return all
end
function init()
  local tokens, tasks = lines("${stem}.tokens"), lines("${stem}.tasks")
  local count = math.max(${targets} * #tasks, #tokens)
  for i = 1, count do
    local place = ${place}
    list[i] = wrk.format("${method}", "/api/" .. place .. "/${item}" .. math.floor((i - 1) / #tasks) % ${targets}, { ${fields.join(', ')} }, ${body === null ? 'nil' : `[[${body}]]`})
  end
  math.randomseed(os.time())
  at = ${workload.tokens > targets ? 'math.random(count)' : '0'}
end
function request()
  at = at % #list + 1
  return list[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"us":%d,"bytes":%.0f,"refused":%d,"errors":%d,"p50":%d,"p99":%d}\\n', summary.requests,
    summary.duration, summary.bytes, e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
`,
  )
  return `${stem}.lua`
}

/** What a target is asked by: Countersign by its own tasks, the others by those of the first Countersign. */
export function asking(tokens: readonly string[], target: Target, first: Countersign): Asking {
  return { tokens, tasks: 'tasks' in target ? (target as Countersign).tasks : first.tasks }
}

const run = promisify(execFile)

/** Drives one target with a closed loop: each connection asks again as soon as it is answered. */
export async function load(bench: Bench, port: number, { seconds, connections, script }: LoadOptions): Promise<Loaded> {
  const url = `http://127.0.0.1:${port}`
  const words = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, url]
  const [file = '', ...all] = pinned(bench, bench.loadCore, words)
  const { stdout } = await run(file, all)
  const line = /^RESULT (.*)$/m.exec(stdout)?.[1]
  if (line === undefined) throw new Error(`wrk said nothing that can be read: ${stdout}`)
  const { us, p50, p99, ...said } = JSON.parse(line) as Readonly<
    Record<'requests' | 'us' | 'bytes' | 'refused' | 'errors' | 'p50' | 'p99', number>
  >
  return { ...said, seconds: us / 1e6, p50: p50 / 1000, p99: p99 / 1000 }
}
