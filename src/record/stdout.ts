/** The sink `stdout`: stored lines as they are, through pino's destination, which neither blocks nor interleaves. */

import { pino } from 'pino'
import { z } from 'zod'
import type { RecordSink } from './sink.ts'
import { defineSink } from './sink.ts'

/** What the sink needs of a destination. */
export interface LineDestination {
  /** False: full, wait for `drain`. */
  write(text: string): boolean
  once(event: string, listener: () => void): unknown
  end(): void
}

export const stdout = defineSink({
  type: 'stdout',
  config: z.strictObject({ type: z.literal('stdout').describe('Stored lines on standard output, byte for byte.') }),
  open: () => lineSink('stdout', pino.destination({ fd: 1, sync: false })),
})

/** A sink that writes lines to a destination and waits when it is full. */
export function lineSink(type: string, destination: LineDestination): RecordSink {
  return {
    type,
    write: (line) => (destination.write(`${line}\n`) ? undefined : told(destination, 'drain')),
    close: async () => {
      const finished = told(destination, 'close')
      destination.end()
      await finished
    },
  }
}

function told(destination: LineDestination, event: string): Promise<void> {
  return new Promise((resolve) => {
    destination.once(event, resolve)
  })
}
