import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { SinkConfig, openSink } from '../../../src/record/registry.ts'
import type { RecordSink, SinkLine, SinkServices } from '../../../src/record/sink.ts'
import { Chunks } from '../../../src/record/sinks/chunks.ts'
import { LogReceiver, type Received } from '../../support/log-receiver.ts'
import { sinkServices, storedLine } from '../../support/sink-rig.ts'

const live = new AbortController().signal
const limit = 32 * 1024

function opened(url: string, settings: object = {}, services: SinkServices = sinkServices()): RecordSink {
  return openSink(SinkConfig.parse({ type: 'opa', url, ...settings }), services).sink
}

const noise = (characters: number): string => randomBytes(characters).toString('base64').slice(0, characters)

/** Lines of about the size and the sameness of real ones. */
function realistic(count: number, from = 1): SinkLine[] {
  return Array.from({ length: count }, (_, at) =>
    storedLine(from + at, {
      event: { input: { request: { id: noise(24), path: `/v1/things/${at}`, headers: 'the same in each '.repeat(80) } } },
    }),
  )
}

/** Gives all lines to a sink as a feed does: what it does not take is given again. */
async function feed(sink: RecordSink, lines: readonly SinkLine[]): Promise<void> {
  for (let at = 0; at < lines.length;) {
    try {
      at += (await sink.write(lines.slice(at, at + sink.batch.lines), live)).lines
    } catch {
      continue
    }
  }
}

const seqs = (taken: readonly Received[]): number[] =>
  taken.flatMap(({ body }) =>
    (JSON.parse(body.toString()) as { custom: { countersign: { seq: number } } }[]).map((event) => event.custom.countersign.seq),
  )

describe('the sink opa', () => {
  test('uploads gzip JSON arrays of stored lines, byte for byte and in order, none above the limit', async () => {
    await using receiver = await new LogReceiver().listen()
    const sink = opened(receiver.url)
    const lines = realistic(3000)
    await feed(sink, lines)
    await sink.close()
    const text = receiver.taken.map(({ body }) => body.toString().slice(1, -1)).join(',')
    expect(text).toBe(lines.map(({ line }) => line).join(','))
    expect(Math.max(...receiver.taken.map(({ sent }) => sent.length))).toBeLessThanOrEqual(limit)
    for (const { path, headers } of receiver.taken)
      expect([path, headers['content-type'], headers['content-encoding']]).toEqual(['/logs', 'application/json', 'gzip'])
  })

  test('learns how much goes into a chunk: after a few, chunks are well filled and none of them was above the limit', async () => {
    await using receiver = await new LogReceiver().listen()
    const sink = opened(receiver.url, { upload_limit: '8KiB' })
    await feed(sink, realistic(6000))
    await sink.close()
    const used = receiver.taken.map(({ sent }) => sent.length / 8192)
    expect(used.every((share) => share <= 1)).toBe(true)
    const later = used.slice(12, -1)
    expect(later.length).toBeGreaterThan(20)
    expect(later.every((share) => share > 0.89)).toBe(true)
  })

  test('sends a chunk that was not taken again as it was, and then goes on in order', async () => {
    await using receiver = await new LogReceiver().listen()
    receiver.answer = (_request, at) => ({ status: at % 3 === 0 ? 503 : 200 })
    const sink = opened(receiver.url)
    await feed(sink, realistic(800))
    await sink.close()
    const failed = receiver.requests.findIndex((request) => !receiver.taken.includes(request))
    expect(receiver.requests[failed + 1]?.sent.equals(receiver.requests[failed]!.sent)).toBe(true)
    expect(seqs(receiver.taken)).toEqual(Array.from({ length: 800 }, (_, at) => at + 1))
  })

  test('proves itself by a token that is read anew, and sends where it is told', async () => {
    await using receiver = await new LogReceiver().listen()
    const secrets: Record<string, string> = { TOKEN: 'first\n', KEY: 'k' }
    const settings = { resource: '/logs/eu', token: { env: 'TOKEN' }, headers: { 'X-Scope': { env: 'KEY' } } }
    const sink = opened(`${receiver.url}/opa/`, settings, sinkServices({ secrets }))
    await sink.write([storedLine(1)], live)
    secrets['TOKEN'] = 'second'
    await sink.write([storedLine(2)], live)
    await sink.close()
    expect(receiver.taken.map(({ headers }) => headers.authorization)).toEqual(['Bearer first', 'Bearer second'])
    expect(receiver.taken[0]).toMatchObject({ path: '/opa/logs/eu', headers: { 'x-scope': 'k' } })
  })

  test('an event that is too large goes without its nd_builtin_cache, else without input and result, and it is said each time', async () => {
    await using receiver = await new LogReceiver().listen()
    const sink = opened(receiver.url, { upload_limit: '4KiB' })
    const cached = storedLine(1, { event: { nd_builtin_cache: { x: noise(9000) }, input: { a: 1 } } })
    const large = storedLine(2, { event: { input: { x: noise(9000) }, result: { allow: true }, erased: ['/input/request/body/parsed'] } })
    const hopeless = storedLine(3, { own: { rules: [noise(9000)] } })
    const small = storedLine(4)
    const lines = [cached, large, hopeless, small]
    const taken = []
    for (let at = 0; at < lines.length; at++) taken.push(await sink.write(lines.slice(at), live))
    await sink.close()
    const leftOut = (seq: number) => ({ lines: 1, leftOut: [{ seq, reason: 'too-large' }] })
    expect(taken).toEqual([leftOut(1), leftOut(2), leftOut(3), { lines: 1 }])
    const [first, second, third] = receiver.taken.map(({ body }) => JSON.parse(body.toString())[0])
    expect(first).toMatchObject({ input: { a: 1 }, erased: ['/nd_builtin_cache'] })
    expect(second).not.toHaveProperty('input')
    expect(second.erased).toEqual(['/input/request/body/parsed', '/input', '/result'])
    expect(second.custom).toEqual(JSON.parse(large.line).custom)
    expect(third.custom.countersign.seq).toBe(4)
  })

  test('says in milliseconds how long the receiver wants to be left alone, and which answers are about the lines', async () => {
    await using receiver = await new LogReceiver().listen()
    const sink = opened(receiver.url)
    const fault = async (status: number, headers: Record<string, string> = {}): Promise<unknown> => {
      receiver.answer = () => ({ status, headers })
      return sink.write([storedLine(1)], live).catch(({ reason, retryAfter }) => [reason, retryAfter])
    }
    expect(await fault(429, { 'retry-after': '7' })).toEqual(['status', 7000])
    expect(await fault(503, { 'retry-after': new Date(1_790_000_030_000).toUTCString() })).toEqual(['status', 30_000])
    expect(await fault(503, { 'retry-after': 'soon' })).toEqual(['status', null])
    expect(await fault(302, { location: 'http://127.0.0.1:1/' })).toEqual(['status', null])
    expect(await fault(400)).toEqual(['refused', null])
    await sink.close()
  })

  test('a receiver that is not there, or does not answer, is a fault that says so and holds no secret', async () => {
    await using receiver = await new LogReceiver().listen()
    receiver.answer = () => null
    const services = sinkServices({ secrets: { TOKEN: 'very-secret' } })
    const settings = { timeout: '100ms', token: { env: 'TOKEN' } }
    const silent = opened(receiver.url, settings, services)
    await expect(silent.write([storedLine(1)], live)).rejects.toMatchObject({ reason: 'timeout' })
    const gone = opened('http://127.0.0.1:1', settings, services)
    const error = await gone.write([storedLine(1)], live).catch((fault: unknown) => fault)
    expect(error).toMatchObject({ reason: 'unreachable', message: 'the receiver cannot be reached (ECONNREFUSED)' })
    await gone.close()
  })

  test('a line that the receiver turns down is found among others; the sink waits there, or passes it over when it is told to', async () => {
    await using receiver = await new LogReceiver().listen()
    receiver.answer = ({ body }) => ({ status: body.includes('poison') ? 422 : 200 })
    const lines = Array.from({ length: 20 }, (_, at) => storedLine(at + 1, { own: at === 6 ? { tool: 'poison' } : {} }))
    const careful = opened(receiver.url)
    let at = 0
    const stuck = async (): Promise<void> => {
      for (;;) at += (await careful.write(lines.slice(at), live)).lines
    }
    await expect(stuck()).rejects.toMatchObject({ reason: 'refused' })
    expect(at).toBe(6)
    const skipping = opened(receiver.url, { skip_refused: true })
    expect(await skipping.write(lines.slice(6), live)).toEqual({ lines: 1, leftOut: [{ seq: 7, reason: 'refused' }] })
    await Promise.all([careful.close(), skipping.close()])
    expect(seqs(receiver.taken)).toEqual([1, 2, 3, 4, 5, 6])
  })
})

describe('the adaptive chunk size', () => {
  /** A compressor that makes a fixed share of its text. */
  const shrinking = (share: () => number) => (text: string) => Promise.resolve(Buffer.alloc(Math.floor(text.length * share())))
  const plain = (count: number, characters: number): SinkLine[] =>
    Array.from({ length: count }, (_, at) => ({ seq: at + 1, line: 'x'.repeat(characters) }))

  test('grows by 2^(x+1), x by 0.2, while chunks stay below 90 % of the limit', async () => {
    const chunks = new Chunks(
      1000,
      shrinking(() => 0.01),
    )
    const guesses: number[] = [chunks.guess]
    for (let time = 0; time < 6; time++) {
      await chunks.next(plain(20_000, 100))
      guesses.push(chunks.guess)
    }
    // whole factors, as OPA has them: 2^1, 2^1.2, 2^1.4 are 2; 2^1.6 and 2^1.8 are 3; 2^2 is 4
    expect(guesses).toEqual([1000, 2000, 4000, 8000, 24_000, 72_000, 288_000])
  })

  test('stays between 90 % and 100 %, and shrinks above, giving the lines in more chunks', async () => {
    let share = 0.95
    const chunks = new Chunks(
      1000,
      shrinking(() => share),
    )
    await chunks.next(plain(100, 100))
    expect(chunks.guess).toBe(2000)
    share = 0.5
    await chunks.next(plain(100, 100))
    expect(chunks.guess).toBe(2000)
    share = 0.9
    const chunk = await chunks.next(plain(100, 100))
    expect(chunk).toMatchObject({ lines: 9, body: { length: 819 } })
  })

  test('learns nothing from a chunk that only the end of the lines made small', async () => {
    const chunks = new Chunks(
      1000,
      shrinking(() => 0.01),
    )
    await chunks.next(plain(3, 100))
    expect(chunks.guess).toBe(1000)
  })

  test('sends lines that do not compress one by one rather than not at all', async () => {
    const chunks = new Chunks(
      1000,
      shrinking(() => 1.4),
    )
    expect(await chunks.next(plain(10, 300))).toMatchObject({ lines: 1 })
    expect(await chunks.next(plain(10, 900))).toBeNull()
  })
})
