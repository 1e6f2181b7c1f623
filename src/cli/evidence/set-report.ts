import { readFileSync } from 'node:fs'
import { EvidenceFault } from '../../evidence/fault.ts'
import { readSet } from '../../evidence/read-set.ts'
import { verifySet, type SetReport } from '../../evidence/verify-set.ts'
import { exitOf } from '../../record/fault.ts'
import { exit, UsageFault, type Invocation } from '../command.ts'

/** Verifies a set, merged or not, and prints the report; gives the exit status. Throws UsageFault for what cannot be read. */
export function verifySetAt(path: string, keyFiles: readonly string[] | null, json: boolean, { stdout, stderr }: Invocation): number {
  const report = verified(path, keyFiles)
  stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : `${setText(report)}\n`)
  if (!report.signed) stderr.write('no key: the set agrees with itself, and nobody is shown to stand behind it\n')
  return report.firstBad === null ? exit.ok : exitOf(report.firstBad.fault)
}

function verified(path: string, keyFiles: readonly string[] | null): SetReport {
  try {
    return verifySet(readSet(path), keyFiles?.map((file) => readFileSync(file, 'utf8')) ?? null)
  } catch (error) {
    if (!(error instanceof EvidenceFault) && !(error instanceof Error)) throw error
    throw new UsageFault(error.message)
  }
}

/** A report in a few lines for people; what a set says of itself cannot move the cursor. */
function setText({ parts, firstBad, kind }: SetReport): string {
  const lines = parts.map(
    ({ path, task, origin, made, madeBy, lines: count, open }) =>
      `${path === '' ? '' : `${path} `}${task}: ${count} lines of ${origin}, exported ${made} by ${madeBy}${open > 0 ? `; ${open} calls open` : ''}`,
  )
  const head =
    firstBad === null
      ? `intact: ${kind === 'set' ? 'an evidence set' : `${parts.length} evidence sets that belong together`}`
      : `NOT INTACT: ${firstBad.file}${firstBad.seq === null ? '' : ` (record ${firstBad.seq})`}: ${firstBad.fault}: ${firstBad.detail}`
  return [head, ...lines].map((line) => line.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')).join('\n')
}
