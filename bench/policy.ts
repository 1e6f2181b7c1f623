/**
 * `npm run bench:policy`: one evaluation of the default policy, side by side in one run: the host that judges calls, the plain
 * WebAssembly SDK, and `opa bench`, when there is an `opa` (`npm run engines`). Prints a table and the figures as JSON; ends with 1 when a bound is missed.
 */
import opa from '@open-policy-agent/opa-wasm'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readBundle } from '../src/decide/bundle/bundle.ts'
import { openPolicy, type PolicyHost } from '../src/decide/module.ts'
import type { Framed } from '../src/decide/frame.ts'
import { buildInput } from '../src/decide/input.ts'
import { sketchCall, sketchFacts, sketchQuestion } from '../test/support/question.ts'

interface Measured {
  readonly what: string
  /** Microseconds an evaluation: the median, and the least and the most of the medians of a round. */
  readonly p50: number
  readonly least: number
  readonly most: number
}

/** What must hold: ours is at most this part of theirs. */
const bounds = { sdk: 0.8, native: 0.2 }

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '300' }, calls: { type: 'string', default: '250' } } })
const [rounds, calls] = [Number(values.rounds), Number(values.calls)]

const root = join(import.meta.dirname, '..')
const bundle = readBundle(readFileSync(join(root, 'rego/policy.tar.gz')))
const quiet = { info: () => {}, warn: () => {}, error: () => {} }
/** One that evaluates every call, and one as it judges at work: answers that rest on the same are given again. */
const host = openPolicy(bundle, { clock: Date.now, log: quiet, always: true })
const atWork = openPolicy(bundle, { clock: Date.now, log: quiet })
const sdk = await plainSdk(bundle.wasm)
const common = sketchQuestion()
/** Calls of one task, as they come: each with an id, a path, a moment and a history of its own. */
const asked = Array.from({ length: 32 }, (_, at) => callOf(at))
const texts = asked.map(({ engine }) => engine)
const inputs = texts.map((one): unknown => JSON.parse(one))
const text = texts[0] ?? ''
const native = nativeEngine()

for (const answer of [host.evaluate('countersign/decision', text), sdk(inputs[0])]) {
  if (!JSON.stringify(answer).includes('"effect":"allow"')) throw new Error('what is measured is not the allow it should be')
}

const times = { host: [] as number[][], atWork: [] as number[][], sdk: [] as number[][], native: [] as number[] }
for (let round = -60; round < rounds; round++) {
  const own = timed((call) => judged(host, asked[call % asked.length]))
  const known = timed((call) => judged(atWork, asked[call % asked.length]))
  await atWork.settled()
  const theirs = timed((call) => sdk(inputs[call % inputs.length]))
  // the first rounds warm up
  if (round < 0) continue
  times.host.push(own)
  times.atWork.push(known)
  times.sdk.push(theirs)
  if (native !== null && round % 100 === 0) times.native.push(native())
}
host.close()
atWork.close()

const measured = {
  host: summary('Countersign, from text to document', times.host),
  atWork: summary('the same, calls of one task, answers given again', times.atWork),
  sdk: summary('@open-policy-agent/opa-wasm, from object to result set', times.sdk),
  native:
    native === null
      ? null
      : summary(
          'opa bench, parsed input to result set',
          times.native.map((one) => [one]),
        ),
}
/** Round by round, as a neighbour on the machine slows a round down and not the next; of native the medians. */
const ratios = {
  sdk: median(times.host.map((own, round) => median(own) / median(times.sdk[round] ?? []))),
  native: measured.native === null ? null : measured.host.p50 / measured.native.p50,
}
report()
if (ratios.sdk > bounds.sdk || (ratios.native !== null && ratios.native > bounds.native)) process.exitCode = 1

/** As the path builds it. */
function callOf(at: number): { readonly engine: string; readonly framed: Framed } {
  const customer = String(42 + at * 37)
  const { target, ...others } = common
  const question = {
    ...others,
    call: { ...sketchCall({ target: `/customers/${customer}` }), id: `c_${String(at).padStart(26, '0')}` },
    target: { ...target, resource: `customer:${customer}` },
  }
  const facts = sketchFacts({
    step: at,
    counts: { 'crm.customer.read': at },
    steps: { 'crm.customer.read': [1, at] },
    spent: { calls: at },
  })
  const setting = { mode: 'enforce', modes: [], environment: 'production' } as const
  return buildInput(question, { facts, now: 1000 + at, revision: bundle.revision }, setting)
}

function judged(by: PolicyHost, call: ReturnType<typeof callOf> | undefined): unknown {
  return call && by.evaluate('countersign/decision', call.engine, call.framed)
}

/** Microseconds of each. */
function timed(work: (call: number) => unknown): number[] {
  const own: number[] = []
  for (let call = 0; call < calls; call++) {
    const began = performance.now()
    work(call)
    own.push((performance.now() - began) * 1000)
  }
  return own
}

function summary(what: string, all: readonly (readonly number[])[]): Measured {
  const medians = all.map(median)
  return { what, p50: median(all.flat()), least: Math.min(...medians), most: Math.max(...medians) }
}

function median(all: readonly number[]): number {
  return all.toSorted((one, other) => one - other)[all.length >> 1] ?? NaN
}

async function plainSdk(wasm: Uint8Array): Promise<(input: unknown) => unknown> {
  const { loadPolicy } = opa as unknown as {
    loadPolicy(this: void, wasm: Uint8Array): Promise<{ evaluate(input: unknown, entrypoint: string): unknown }>
  }
  const policy = await loadPolicy(wasm)
  return (given) => policy.evaluate(given, 'countersign/decision')
}

/** Microseconds of the median evaluation of one `opa bench`; null without an `opa`. */
function nativeEngine(): (() => number) | null {
  const tool = [join(root, '.engines/bin/opa'), 'opa'].find((place) => spawnSync(place, ['version']).status === 0)
  if (tool === undefined) return null
  return () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
    try {
      const file = join(folder, 'input.json')
      writeFileSync(file, text)
      const sources = ['--data', join(root, 'rego/countersign'), '--ignore', '*_test.rego']
      const out = execFileSync(
        tool,
        ['bench', ...sources, '--input', file, '--benchmem=false', '--metrics', '--format', 'json', 'data.countersign.decision'],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
      )
      const found: { Extra?: Readonly<Record<string, number>> } = JSON.parse(out)
      return (found.Extra?.['histogram_timer_rego_query_eval_ns_median'] ?? NaN) / 1000
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
}

function report(): void {
  console.log(`one evaluation of the default policy, ${Buffer.byteLength(text)} bytes of input, ${rounds} rounds of ${calls}\n`)
  for (const one of [measured.host, measured.atWork, measured.sdk, measured.native]) {
    if (one === null) console.log('opa bench: skipped, there is no opa here (npm run engines)')
    else console.log(`${one.p50.toFixed(1).padStart(8)} µs  (${one.least.toFixed(1)} to ${one.most.toFixed(1)})  ${one.what}`)
  }
  const part = (ratio: number | null, most: number): string => (ratio === null ? 'skipped' : `${ratio.toFixed(3)}, at most ${most}`)
  console.log(`\nof the SDK: ${part(ratios.sdk, bounds.sdk)}\nof native:  ${part(ratios.native, bounds.native)}\n`)
  console.log(JSON.stringify({ bytes: Buffer.byteLength(text), rounds, calls, ...measured, ratios, bounds }))
}
