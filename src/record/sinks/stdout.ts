/** The sink `stdout`: stored lines as they are, through pino's destination, which neither blocks nor interleaves. */

import { pino } from 'pino'
import { z } from 'zod'
import type { RecordSink } from '../sink.ts'
import { defineSink, SinkFault, sinkSettings } from '../sink.ts'

/** What the sink needs of a destination. */
export interface LineDestination {
  /** False: full, wait for `drain`. */
  write(text: string): boolean
  on(event: 'error', listener: (error: unknown) => void): unknown
  once(event: 'drain' | 'close', listener: () => void): unknown
  end(): void
}

export const stdout = defineSink({
  type: 'stdout',
  config: z.strictObject({ type: z.literal('stdout').describe('Stored lines on standard output, byte for byte.'), ...sinkSettings }),
  open: () => lineSink('stdout', pino.destination({ fd: 1, sync: false })),
})

/** A sink that writes lines to a destination and waits when it is full; once the destination failed, every line is turned down. */
export function lineSink(type: string, destination: LineDestination): RecordSink {
  let failure: SinkFault | null = null
  let fail: ((error: Error) => void) | null = null
  destination.on('error', (error) => {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    failure = new SinkFault('broken', `the destination failed${code}`)
    fail?.(failure)
  })
  const told = (event: 'drain' | 'close') =>
    new Promise<void>((resolve, reject) => {
      fail = reject
      destination.once(event, resolve)
    })
  return {
    type,
    batch: { lines: 256, characters: 65_536, linger: 0 },
    write: async (lines) => {
      if (failure !== null) throw failure
      if (!destination.write(lines.map(({ line }) => `${line}\n`).join(''))) await told('drain')
      return { lines: lines.length }
    },
    close: async () => {
      if (failure !== null) return
      const closed = told('close')
      destination.end()
      await closed
    },
  }
}
