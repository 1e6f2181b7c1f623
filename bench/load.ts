/** The load: wrk on its own core, and what it says. */

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { pinned, type Bench } from './started.ts'

/** What is asked for, of every target alike. */
export interface Workload {
  readonly name: string
  readonly method: 'GET' | 'POST'
  readonly body: string | null
}

/** The body of every answer: 1 KiB of JSON. */
export const answerBody = filled(1024)

export const workloads: readonly Workload[] = [
  { name: 'GET 1 KiB', method: 'GET', body: null },
  { name: 'POST 4 KiB', method: 'POST', body: filled(4096) },
]

function filled(bytes: number): string {
  const frame = '{"item":""}'
  return `{"item":"${'0123456789abcdef'.repeat(bytes / 16).slice(0, bytes - frame.length)}"}`
}

export interface LoadOptions {
  readonly port: number
  readonly seconds: number
  readonly connections: number
  /** A file that `writeScript` made. */
  readonly script: string
}

/** What one round of load saw. */
export interface Loaded {
  readonly requests: number
  readonly seconds: number
  /** Bytes per answer, heads included. */
  readonly bytesEach: number
  /** Socket errors, time-outs and answers that were not 2xx or 3xx. */
  readonly errors: number
  /** Milliseconds, at saturation. */
  readonly p50: number
  readonly p99: number
}

/** Different targets in turn, for a task that repeats one call is stopped by policy; more than a task remembers. */
const targets = 256

/** Writes the script that wrk runs: every request is made before the first is sent. */
export function writeScript(bench: Bench, workload: Workload, headers: Readonly<Record<string, string>>): string {
  const file = `${bench.folder}/${workload.method.toLowerCase()}.lua`
  const fields = Object.entries(headers).map(([name, value]) => `[${JSON.stringify(name)}] = ${JSON.stringify(value)}`)
  if (workload.body !== null) fields.push('["content-type"] = "application/json"')
  const body = workload.body === null ? 'nil' : `[[${workload.body}]]`
  writeFileSync(
    file,
    `local list, at = {}, 0
function init()
  for i = 1, ${targets} do list[i] = wrk.format("${workload.method}", "/api/items/" .. i, { ${fields.join(', ')} }, ${body}) end
end
function request()
  at = at % ${targets} + 1
  return list[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"us":%d,"bytes":%d,"errors":%d,"p50":%d,"p99":%d}\\n', summary.requests, summary.duration,
    summary.bytes, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
`,
  )
  return file
}

const run = promisify(execFile)

/** Drives one target with a closed loop: each connection asks again as soon as it is answered. */
export async function load(bench: Bench, options: LoadOptions): Promise<Loaded> {
  const { port, seconds, connections, script } = options
  const url = `http://127.0.0.1:${port}`
  const words = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, url]
  const [file = '', ...all] = pinned(bench, bench.loadCore, words)
  const { stdout } = await run(file, all)
  const line = /^RESULT (.*)$/m.exec(stdout)?.[1]
  if (line === undefined) throw new Error(`wrk said nothing that can be read: ${stdout}`)
  const said = JSON.parse(line) as Readonly<Record<'requests' | 'us' | 'bytes' | 'errors' | 'p50' | 'p99', number>>
  return {
    requests: said.requests,
    seconds: said.us / 1e6,
    bytesEach: said.bytes / Math.max(1, said.requests),
    errors: said.errors,
    p50: said.p50 / 1000,
    p99: said.p99 / 1000,
  }
}
