/** Nothing is measured that does not answer correctly. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { answerBody, type Asking, type Workload } from './load.ts'
import { logOf } from './opa.ts'
import type { Bench } from './started.ts'
import type { Countersign, Target } from './targets.ts'

interface Answer {
  readonly status: number
  readonly text: string
  /** Countersign's name for the call; empty from others. */
  readonly call: string
}

type Fields = Readonly<Record<string, string>>

/** Asks one target for one answer; throws with what is wrong. Gives the answer and what the upstream saw of the request. */
export async function check(bench: Bench, target: Target, workload: Workload, by: Asking): Promise<{ answer: Answer; seen: Fields }> {
  const path = `/api/items/check-${workload.method.toLowerCase()}-${target.name.replaceAll(/[^a-z]+/g, '-')}`
  const headers = headersOf(target, by)
  const answer = await ask(target.port, path, workload, headers)
  const wrong = (what: string): never => {
    throw new Error(`${target.name}, ${workload.name}: ${what}`)
  }
  if (answer.status !== 200) wrong(`status ${answer.status}: ${answer.text.slice(0, 400)}`)
  if (answer.text !== answerBody) wrong(`a body of ${answer.text.length} bytes that is not the upstream's`)
  const seen = await seenAt(bench, path)
  if (seen.length !== 1) wrong(`the upstream saw the request ${seen.length} times`)
  const [one = {}] = seen
  if (one['method'] !== workload.method) wrong('the upstream saw another method')
  if ((one['body'] ?? '') !== (workload.body ?? '')) wrong('the upstream saw another body')
  const [token = ''] = by.tokens
  const credential = one['authorization'] ?? ''
  if (target.lends && (!credential.startsWith('Bearer ') || credential.includes(token))) {
    wrong('the upstream did not get a credential in place of the token')
  }
  if (target.judges) await checkJudging(target, workload, by, wrong)
  return { answer, seen: one }
}

/** What judges refuses strangers and what is outside. */
async function checkJudging(target: Target, workload: Workload, by: Asking, wrong: (what: string) => never): Promise<void> {
  const anonymous = await ask(target.port, '/api/items/1', workload, {})
  if (anonymous.status !== 401) wrong(`a call without an identity was answered ${anonymous.status}`)
  const outside = await ask(target.port, '/api/others/1', workload, headersOf(target, by))
  if (outside.status !== 403) wrong(`a call outside the intent was answered ${outside.status}`)
}

/**
 * What Countersign adds: a lease for this upstream, no trace of the task, and two lines in the ledger. Gives what its policy was asked and
 * what it answered.
 */
export async function checkCountersign(bench: Bench, target: Countersign, workload: Workload, by: Asking) {
  const { answer, seen } = await check(bench, target, workload, by)
  const wrong = (what: string): never => {
    throw new Error(`${target.name}, ${workload.name}: ${what}`)
  }
  const claims: unknown = JSON.parse(Buffer.from((seen['authorization'] ?? '').split('.')[1] ?? '', 'base64url').toString('utf8'))
  if (claims === null || typeof claims !== 'object' || !('aud' in claims) || claims.aud !== 'https://api.acme.example') {
    wrong('the lease is not for the upstream')
  }
  if (seen['task'] !== '') wrong('the task went upstream')
  const lines = await linesOf(target, answer.call)
  const kinds = lines.map(({ custom }) => custom.countersign.kind)
  if (kinds.join() !== 'decision,outcome') wrong(`the ledger says of the call: ${kinds.join() || 'nothing'}`)
  return { input: lines[0]?.input, result: lines[0]?.result }
}

/** OPA decided what Countersign decided, word for word, about the same call. */
export async function checkOpa(bench: Bench, workload: Workload, countersign: unknown): Promise<void> {
  const path = `/items/check-${workload.method.toLowerCase()}-envoy-opa`
  const ofPath = (): Readonly<Record<string, unknown>>[] =>
    jsonLines(logOf(bench.folder)).filter(({ input }) => (input as { request: { path: string } }).request.path === path)
  const [line] = await until(ofPath, (found) => found.length > 0)
  if (line === undefined) throw new Error(`OPA's decision log has no line of ${path}`)
  if (!isDeepStrictEqual(line['result'], countersign)) {
    throw new Error(`OPA and Countersign decided differently: ${JSON.stringify(line['result'])} and ${JSON.stringify(countersign)}`)
  }
}

function headersOf(target: Target, { tokens, tasks }: Asking): Fields {
  const host = target.host === undefined ? {} : { host: target.host }
  return { authorization: `Bearer ${tokens[0]}`, 'countersign-task': tasks[0] ?? '', ...host }
}

/** The upstream writes its line after it has answered: it is waited for, a second at most. */
async function seenAt(bench: Bench, path: string): Promise<Fields[]> {
  for (const deadline = Date.now() + 1000; ; await wait(10)) {
    const seen = jsonLines(join(bench.folder, 'seen.log')).filter((one) => one['target'] === path) as Fields[]
    if (seen.length > 0 || Date.now() > deadline) return seen
  }
}

/** Calls that Countersign counted as allowed and well answered, and the lines in its ledger. */
export async function counted(target: Countersign): Promise<{ readonly calls: number; readonly refusals: number; readonly lines: number }> {
  const text = await (await fetch(`http://127.0.0.1:${target.healthPort}/metrics`)).text()
  const sum = (pattern: RegExp): number => text.split('\n').reduce((total, line) => total + Number(pattern.exec(line)?.[1] ?? 0), 0)
  return {
    calls: sum(/^countersign_requests_total\{.*decision="allow".*status="2xx".*\} (\d+)/),
    refusals: sum(/^countersign_refusals_total\{.*\} (\d+)/),
    lines: sum(/^countersign_log_chain_height (\d+)/),
  }
}

function ask(port: number, path: string, workload: Workload, headers: Fields): Promise<Answer> {
  const { method, body } = workload
  const length = body === null ? {} : { 'content-length': String(Buffer.byteLength(body)), 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, agent: false, headers: { ...length, ...headers } }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => (text += piece))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text, call: String(response.headers['countersign-call'] ?? '') }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

interface Line {
  readonly decision_id: string
  readonly input: unknown
  readonly result: unknown
  readonly custom: { readonly countersign: { readonly kind: string } }
}

/** The ledger lines of one call, in order. */
function linesOf(target: Countersign, call: string): Promise<Line[]> {
  const folder = join(target.folder, 'ledger')
  const look = (): Line[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.ndjson'))
      .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))
      .map((line): Line => JSON.parse(line))
      .filter((event) => event.decision_id === call)
  return until(look, (lines) => lines.length >= 2)
}

/** What others write down may be there a moment after the answer: looks again for a second. */
async function until<Value>(look: () => Value, enough: (value: Value) => boolean): Promise<Value> {
  for (let tries = 0; ; tries++) {
    const value = look()
    if (enough(value) || tries === 50) return value
    await wait(20)
  }
}

/** Lines of a file that is still being written, as JSON. */
function jsonLines(file: string): Readonly<Record<string, unknown>>[] {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  return text
    .split('\n')
    .slice(0, -1)
    .map((line): Readonly<Record<string, unknown>> => JSON.parse(line))
}
