import { createReadStream, statSync } from 'node:fs'
import { linesAt, linesOf, linesOfEvents } from '../../author/ledger-lines.ts'
import { adminOptions, adminUsage, askAdmin, findAdmin } from '../admin-client.ts'
import { UsageFault, type Invocation } from '../command.ts'

/** Options of every verb that reads a record. */
export const recordOptions = { ...adminOptions, logs: { type: 'string' } } as const

export const recordUsage = `  --logs PATH      the record: a ledger folder, a file of its lines, or - for standard input (default: a running Countersign)
${adminUsage}`

type Values = { readonly [Name in 'logs' | 'config' | 'addr' | 'key']?: string | undefined }

/** Opens the record that the options name. Throws UsageFault when it is not there, AdminFault when nobody answers. */
export async function recordLines(values: Values, invocation: Invocation): Promise<AsyncIterable<string | null>> {
  const { logs } = values
  if (logs === '-') return linesOf(invocation.stdin as AsyncIterable<Uint8Array | string>)
  if (logs === undefined) {
    const access = await findAdmin(values, invocation.env)
    return linesOfEvents(await askAdmin(access, 'GET', '/v1/logs?from=1&follow=false', { signal: invocation.signal }))
  }
  let folder: boolean
  try {
    folder = statSync(logs).isDirectory()
  } catch (error) {
    throw new UsageFault(`--logs: ${error instanceof Error ? error.message : String(error)}`)
  }
  return folder ? linesAt(logs) : linesOf(createReadStream(logs, { highWaterMark: 256 * 1024 }))
}

export interface DamageNotes {
  readonly note: (line: number, why: string) => void
  readonly end: () => void
}

/** Says of a line that it was passed over; after a few it only counts. */
export function damageNotes({ stderr }: Pick<Invocation, 'stderr'>): DamageNotes {
  const most = 5
  let seen = 0
  return {
    note: (line, why) => {
      if (++seen <= most) stderr.write(`line ${line} of the record was passed over: ${why}\n`)
    },
    end: () => {
      if (seen > most) stderr.write(`${seen} lines of the record were passed over\n`)
    },
  }
}
