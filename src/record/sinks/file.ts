/** The sink `file`: stored lines in a file that is rotated by size and age. */

import { z } from 'zod'
import { durationBetween, size } from '../../units.ts'
import type { RecordSink, SinkLine, SinkServices, Taken } from '../sink.ts'
import { defineSink, SinkFault, sinkSettings } from '../sink.ts'
import { LineFile } from './line-file.ts'
import { Rotated } from './rotated.ts'

const day = 86_400_000

const FileConfig = z
  .strictObject({
    type: z.literal('file'),
    ...sinkSettings,
    path: z.string().min(1).max(1024).describe('File that lines are appended to; made with mode 0600. Its folder must be there.'),
    rotate: z
      .strictObject({
        size: size.pipe(z.int().min(4096)).prefault('100MiB').describe('Size at which a new file begins.'),
        age: durationBetween(60_000, 366 * day)
          .prefault('24h')
          .describe('Age of its first line at which a new file begins.'),
        keep: z.int().min(0).max(10_000).default(10).describe('How many old files are kept.'),
        gzip: z.boolean().default(true).describe('Whether old files are compressed.'),
      })
      .prefault({}),
    fsync: z.boolean().default(false).describe('true: lines count as taken once they are on the disk.'),
  })
  .describe('Stored lines in a file, byte for byte.')

type FileConfig = z.infer<typeof FileConfig>

export const file = defineSink({ type: 'file', config: FileConfig, open: openFile })

export function openFile({ path, rotate, fsync }: FileConfig, { clock, log, path: at }: SinkServices): RecordSink {
  const place = at(path)
  const current = new LineFile(place, { clock, fsync })
  const old = new Rotated(place, { keep: rotate.keep, gzip: rotate.gzip, log })
  const append = async (lines: readonly SinkLine[]): Promise<void> => {
    await current.reopen()
    const text = lines.map(({ line }) => `${line}\n`).join('')
    const full = current.size + Buffer.byteLength(text) > rotate.size
    const aged = clock() - current.born >= rotate.age
    if (current.size > 0 && (full || aged)) {
      const { last } = current
      await current.close()
      await old.take(last)
      await current.reopen()
    }
    await current.append(text, lines.at(-1)?.seq ?? current.last)
  }
  return {
    type: 'file',
    batch: { lines: 512, characters: 256 * 1024, linger: 0 },
    write: async (lines): Promise<Taken> => {
      try {
        await append(lines)
        return { lines: lines.length }
      } catch (error) {
        await current.close().catch(() => undefined)
        throw error instanceof SinkFault ? error : new SinkFault('disk', `the file cannot be written (${codeOf(error)})`)
      }
    },
    close: async () => {
      await current.close()
      await old.settled()
    },
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
