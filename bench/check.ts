/** Nothing is measured that does not answer correctly. */

import { readdirSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { answerBody, type Workload } from './load.ts'
import type { Bench } from './started.ts'
import type { Countersign, Target } from './targets.ts'

interface Answer {
  readonly status: number
  readonly text: string
  /** Countersign's name for the call; empty from others. */
  readonly call: string
}

/** Asks one target for one answer of each workload; throws with what is wrong. */
export async function check(bench: Bench, target: Target, workload: Workload, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const path = `/api/items/check-${workload.method.toLowerCase()}-${target.name.replace(' ', '-')}`
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
  return answer
}

/** The upstream writes its line after it has answered: it is waited for, a second at most. */
async function seenAt(bench: Bench, path: string): Promise<Record<string, unknown>[]> {
  for (const deadline = Date.now() + 1000; ;) {
    const seen = await until(
      () => seenByUpstream(bench).filter((one) => one['target'] === path),
      (found) => found.length > 0,
    )
    if (seen.length > 0 || Date.now() > deadline) return seen
    await wait(10)
  }
}

/** What Countersign adds: a lease where the identity was, no trace of the task, and two lines in the ledger. */
export async function checkCountersign(bench: Bench, target: Countersign, workload: Workload, headers: Readonly<Record<string, string>>) {
  const { call } = await check(bench, target, workload, headers)
  const one = seenByUpstream(bench).findLast((seen) => seen['method'] === workload.method) ?? {}
  const credential = String(one['authorization'])
  const claims: unknown = JSON.parse(Buffer.from(credential.split('.')[1] ?? '', 'base64url').toString('utf8'))
  const wrong = (what: string): never => {
    throw new Error(`countersign, ${workload.name}: ${what}`)
  }
  if (!credential.startsWith('Bearer ') || credential.includes(target.svid)) wrong('the upstream did not get a lease')
  if (claims === null || typeof claims !== 'object' || !('aud' in claims) || claims.aud !== 'https://api.acme.example') {
    wrong('the lease is not for the upstream')
  }
  if (one['task'] !== '') wrong('the task went upstream')
  const kinds = await linesOf(target, call)
  if (kinds.join() !== 'decision,outcome') wrong(`the ledger says of the call: ${kinds.join() || 'nothing'}`)
  const anonymous = await ask(target.port, '/api/items/1', workload, {})
  if (anonymous.status !== 401) wrong(`a call without an identity was answered ${anonymous.status}`)
  const outside = await ask(target.port, '/api/others/1', workload, headers)
  if (outside.status !== 403) wrong(`a call outside the intent was answered ${outside.status}`)
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

function ask(port: number, path: string, workload: Workload, headers: Readonly<Record<string, string>>): Promise<Answer> {
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

function seenByUpstream(bench: Bench): Readonly<Record<string, unknown>>[] {
  return readFileSync(join(bench.folder, 'seen.log'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Readonly<Record<string, unknown>> => JSON.parse(line))
}

/** Kinds of the ledger lines of one call, in order. */
function linesOf(target: Countersign, call: string): Promise<string[]> {
  const folder = join(target.folder, 'ledger')
  const look = (): string[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.ndjson'))
      .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
      .filter((event) => event.decision_id === call)
      .map((event) => String(event.custom.countersign.kind))
  return until(look, (kinds) => kinds.length >= 2)
}

/** What others write down may be there a moment after the answer: looks again for a second. */
async function until<Value>(look: () => Value, enough: (value: Value) => boolean): Promise<Value> {
  for (let tries = 0; ; tries++) {
    const value = look()
    if (enough(value) || tries === 50) return value
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
