/** The sink `opa`: OPA's decision log API. Each upload is a gzip JSON array of events, which our lines are. */

import { z } from 'zod'
import { size } from '../../units.ts'
import type { LeftOut, RecordSink, SinkLine, SinkServices, Taken } from '../sink.ts'
import { defineSink } from '../sink.ts'
import { arrayOf, type Chunk, Chunks, compressed } from './chunks.ts'
import { faultOf, openRemote, remoteSettings, sendOrHalve } from './remote.ts'

const OpaConfig = z
  .strictObject({
    type: z.literal('opa'),
    ...remoteSettings,
    resource: z
      .string()
      .regex(/^\/[A-Za-z0-9._~/-]{1,256}$/, 'must be a path that begins with "/"')
      .default('/logs')
      .describe('Path below `url` that events are sent to; with a partition `/logs/<partition>`.'),
    upload_limit: size
      .pipe(
        z
          .int()
          .min(4096)
          .max(64 * 1024 * 1024),
      )
      .prefault('32KiB')
      .describe('Most bytes of one upload, compressed (`upload_size_limit_bytes` of OPA).'),
  })
  .describe('The decision log API of OPA.')

type OpaConfig = z.infer<typeof OpaConfig>

export const opa = defineSink({ type: 'opa', config: OpaConfig, open: openOpa })

const leastBatch = 1024 * 1024
const mostBatch = 16 * 1024 * 1024

function openOpa(config: OpaConfig, services: SinkServices): RecordSink {
  const { upload_limit: limit, every, skip_refused: skip } = config
  const remote = openRemote({ ...config, url: `${config.url.replace(/\/+$/, '')}${config.resource}` }, services)
  const chunks = new Chunks(limit)
  let waiting: (Chunk & { readonly first: number }) | null = null
  const send = async (body: Buffer, signal: AbortSignal): Promise<void> => {
    const answer = await remote.send(body, { 'content-type': 'application/json', 'content-encoding': 'gzip' }, signal)
    const fault = faultOf(answer, services.clock)
    if (fault !== null) throw fault
  }
  return {
    type: 'opa',
    batch: { lines: 16_384, characters: Math.min(mostBatch, Math.max(leastBatch, 32 * limit)), linger: every },
    write: async (lines, signal): Promise<Taken> => {
      // a chunk that was not taken is sent again as it was, and nothing more is learnt from it
      if (waiting === null || waiting.first !== lines[0]?.seq) {
        const chunk = await chunks.next(lines)
        waiting = chunk === null ? null : { ...chunk, first: lines[0]?.seq ?? 0 }
      }
      if (waiting === null) return reduced(lines, { limit, parse: services.parse, send: (body) => send(body, signal) })
      const { body, lines: count } = waiting
      const taken = await sendOrHalve(lines.slice(0, count), skip, async (some) => {
        await send(some.length === count ? body : await compressed(arrayOf(some)), signal)
        return { lines: some.length }
      })
      waiting = null
      return taken
    },
    close: () => remote.close(),
  }
}

interface Reducing {
  readonly limit: number
  readonly parse: (text: string) => unknown
  readonly send: (body: Buffer) => Promise<void>
}

/** What an event that is too large can do without, one after the other; the receiver sees by `erased` what is gone. */
const dispensable: readonly (readonly string[])[] = [['nd_builtin_cache'], ['nd_builtin_cache', 'input', 'result']]

/** Sends the first line with less in it, or passes it over when that does not fit either. The ledger has all of it. */
async function reduced(lines: readonly SinkLine[], { limit, parse, send }: Reducing): Promise<Taken> {
  const [first] = lines
  if (first === undefined) return { lines: 0 }
  const leftOut: LeftOut[] = [{ seq: first.seq, reason: 'too-large' }]
  const event = parse(first.line) as Readonly<Record<string, unknown>>
  for (const names of dispensable) {
    const less = without(event, names)
    if (less === null) continue
    const body = await compressed(`[${JSON.stringify(less)}]`)
    if (body.length > limit) continue
    await send(body)
    return { lines: 1, leftOut }
  }
  return { lines: 1, leftOut }
}

/** The event without these members; null when it has none of them. */
function without(event: Readonly<Record<string, unknown>>, names: readonly string[]): object | null {
  const gone = names.filter((name) => event[name] !== undefined)
  if (gone.length === 0) return null
  const kept = Object.entries(event).filter(([name]) => !gone.includes(name) && name !== 'erased')
  const erased = Array.isArray(event['erased']) ? (event['erased'] as readonly unknown[]) : []
  return { ...Object.fromEntries(kept), erased: [...erased, ...gone.map((name) => `/${name}`)] }
}
