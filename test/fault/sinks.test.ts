import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, describe, expect, test } from 'vitest'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { SinkFault, type RecordSink, type SinkLine, type Taken } from '../../src/record/sink.ts'
import { LedgerRig, until } from '../support/ledger-rig.ts'
import { LogReceiver } from '../support/log-receiver.ts'
import { Random, seedOf } from '../support/random.ts'
import { agentId, ask, audience, configText, routeTo, TestUpstream } from '../support/running.ts'
import { SidecarProcess } from '../support/sidecar-process.ts'

const long = env['COUNTERSIGN_LONG'] === '1'
/** Calls of an hour at 500 a second; without COUNTERSIGN_LONG of less than a minute, on the same clock. */
const hour = 3_600_000
const calls = long ? 1_800_000 : 24_000
const together = 50
/** Growth of what is held in memory from the first quarter of the stall to its end. */
const flat = 20 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function held(): number {
  // buffers that one collection finds free are given back by the next
  collect()
  collect()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

/** Takes nothing until it is let, then checks by the chain itself that no line is missing, doubled or changed. */
class Stalled implements RecordSink {
  readonly type = 'stalled'
  readonly batch = { lines: 512, characters: 1024 * 1024, linger: 0 }
  attempts = 0
  taken = 0
  /** Lines that do not follow on the one before. */
  readonly wrong: number[] = []
  largest = 0
  #last: { readonly seq: number; readonly hash: string } | null = null
  readonly #stall: () => Promise<void>

  constructor(stall: () => Promise<void>) {
    this.#stall = stall
  }

  async write(lines: readonly SinkLine[]): Promise<Taken> {
    this.attempts += 1
    this.largest = Math.max(this.largest, lines.length)
    await this.#stall()
    for (const { seq, line } of lines) {
      const follows = this.#last === null || (this.#last.seq + 1 === seq && line.includes(`"prev":"sha256:${this.#last.hash}"`))
      if (!follows) this.wrong.push(seq)
      this.#last = { seq, hash: createHash('sha256').update(line).digest('hex') }
    }
    this.taken += lines.length
    return { lines: lines.length }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

describe('an hour in which sinks take nothing, at 500 calls a second', () => {
  test(
    'loses no line, holds no call and no memory, and is caught up with in order',
    async () => {
      const rig = new LedgerRig()
      try {
        let over = false
        const { promise: released, resolve: release } = Promise.withResolvers<void>()
        const hangs = new Stalled(() => released)
        const fails = new Stalled(async () => {
          if (!over) throw new SinkFault('status', 'the receiver answered 503')
        })
        const named = (name: string, sink: RecordSink) => ({ name, sink, from: 'now' as const, kinds: null })
        const recorder = await rig.open({
          sinks: [named('hangs', hangs), named('fails', fails)],
          quota: 64 * 1024 ** 3,
          sinkRetry: { first: 20, most: 1000 },
        })
        const before = recorder.position().seq
        let quarter = 0
        const began = performance.now()
        for (let done = 0; done < calls; done += together) {
          await Promise.all(Array.from({ length: together }, () => rig.permitted(recorder)))
          rig.now += (hour / calls) * together
          if (done === calls / 4) quarter = held()
        }
        const stalledFor = performance.now() - began
        await recorder.checkpoint()
        const end = held()
        const { seq } = recorder.position()
        expect(recorder.failed).toBe(false)
        expect([hangs.taken, fails.taken]).toEqual([0, 0])
        expect(recorder.sinks().map(({ lagLines }) => lagLines)).toEqual([seq - before, seq - before])
        // the oldest line of both waits since the beginning
        for (const { lagSeconds } of recorder.sinks()) expect(lagSeconds).toBeGreaterThan(3500)
        expect(end - quarter).toBeLessThan(flat)
        const caught = performance.now()
        over = true
        release()
        await until(() => recorder.sinks().every(({ taken }) => taken === recorder.position().seq))
        const seconds = (performance.now() - caught) / 1000
        expect([hangs.wrong, fails.wrong]).toEqual([[], []])
        const all = recorder.position().seq - before
        expect([hangs.taken, fails.taken]).toEqual([all, all])
        expect(Math.max(hangs.largest, fails.largest)).toBeLessThanOrEqual(512)
        console.log(
          `sinks: ${calls} calls, ${seq - before} lines in ${Math.round(stalledFor / 1000)} s, memory ${((end - quarter) / 1048576).toFixed(1)} MiB more ` +
            `from the first quarter on; two sinks caught up in ${seconds.toFixed(1)} s, ${Math.round((2 * (seq - before)) / seconds)} lines a second`,
        )
      } finally {
        await rig.end()
      }
    },
    long ? 3_600_000 : 240_000,
  )
})

describe('kill -9 with sinks at work', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sinks-kill-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test(
    'leaves no gap at any receiver: each has every line at least once, and in order but for what is given again',
    async () => {
      const seed = seedOf(env)
      const random = new Random(seed)
      await using upstream = await TestUpstream.start()
      await using receiver = await new LogReceiver().listen()
      receiver.answer = () => ({ status: random.below(5) === 0 ? 503 : 200, headers: { 'retry-after': '0' } })
      const issuer = await developmentIssuer('acme.example')
      writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
      const sinks = [
        { type: 'file', path: 'copy.ndjson', from: 'start', rotate: { size: '64KiB', gzip: false, keep: 1000 } },
        { type: 'opa', url: receiver.url, every: '10ms', from: 'start' },
      ]
      const record = { ledger: { path: 'ledger', key: { file: 'ledger.key' } }, sinks }
      const file = join(folder, 'countersign.yaml')
      writeFileSync(file, configText({ routes: { crm: routeTo(upstream.url, 'crm') }, settings: { record } }))
      const token = await issuer.mint(agentId, audience, 300)
      const kills = long ? 60 : 5
      for (let kill = 0; kill <= kills; kill++) {
        await using running = await SidecarProcess.start(file)
        const load = new AbortController()
        let answered = 0
        const client = async (): Promise<void> => {
          while (!load.signal.aborted) {
            await ask(running.port(), '/crm/x', { headers: { authorization: `Bearer ${token}` } }).catch(() => undefined)
            answered += 1
          }
        }
        const clients = [client(), client(), client(), client()]
        const enough = 20 + random.below(200)
        await until(() => answered >= enough)
        if (kill < kills) await running.kill()
        load.abort()
        await Promise.all(clients)
        if (kill === kills) expect(await running.stop()).toBe(0)
      }
      const all = linesOf(join(folder, 'ledger'), /\.ndjson$/)
      const copied = linesOf(folder, /^copy\.ndjson/)
      const uploaded = receiver.taken.flatMap(({ body }) => (JSON.parse(body.toString()) as object[]).map((event) => JSON.stringify(event)))
      for (const got of [copied, uploaded]) {
        expect(steps(got), `seed ${seed}`).toEqual({ gaps: 0, first: 1 })
        expect(new Set(got)).toEqual(new Set(all))
      }
      console.log(
        `sinks: ${kills} kills, ${all.length} lines; given again: ${copied.length - all.length} to the file, ${uploaded.length - all.length} to the receiver`,
      )
    },
    long ? 900_000 : 240_000,
  )
})

const seqOf = (line: string): number => (JSON.parse(line) as { custom: { countersign: { seq: number } } }).custom.countersign.seq

/** A line may come again; none may come before the one before it. */
function steps(got: readonly string[]): { readonly gaps: number; readonly first: number } {
  const seqs = got.map(seqOf)
  return { gaps: seqs.filter((seq, at) => at > 0 && seq > (seqs[at - 1] ?? 0) + 1).length, first: seqs[0] ?? 0 }
}

/** Lines of all files whose name fits, the one without a number last. */
function linesOf(dir: string, form: RegExp): string[] {
  const rank = (name: string): string =>
    name === 'copy.ndjson' ? '~' : name.replace(/-(\d+)$/, (_, again: string) => `-${again.padStart(6, '0')}`)
  return readdirSync(dir)
    .filter((name) => form.test(name))
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
    .flatMap((name) => readFileSync(join(dir, name), 'utf8').trimEnd().split('\n'))
}
