/** The sink `stdout`: stored lines as they are, through pino's destination, which neither blocks nor interleaves. */

import { pino } from 'pino'
import { z } from 'zod'
import type { RecordSink } from './sink.ts'
import { defineSink } from './sink.ts'

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
  config: z.strictObject({ type: z.literal('stdout').describe('Stored lines on standard output, byte for byte.') }),
  open: () => lineSink('stdout', pino.destination({ fd: 1, sync: false })),
})

/** A sink that writes lines to a destination and waits when it is full; once the destination failed, every line is turned down. */
export function lineSink(type: string, destination: LineDestination): RecordSink {
  let failure: Error | null = null
  let fail: ((error: Error) => void) | null = null
  destination.on('error', (error) => {
    failure = error instanceof Error ? error : new Error('the destination failed')
    fail?.(failure)
  })
  const told = (event: 'drain' | 'close') =>
    new Promise<void>((resolve, reject) => {
      fail = reject
      destination.once(event, resolve)
    })
  return {
    type,
    write: (line) => {
      if (failure !== null) throw failure
      return destination.write(`${line}\n`) ? undefined : told('drain')
    },
    close: async () => {
      if (failure !== null) return
      const closed = told('close')
      destination.end()
      await closed
    },
  }
}
