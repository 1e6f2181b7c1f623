/**
 * `npm run bench:verify`: how fast a big ledger is verified, in MB a second. The ledger is that of an independent writer (`--lines`, each
 * with an `input` of `--input` bytes). Prints the figures as JSON; ends with 1 when it is below 50 MB/s.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { verifyLedger } from '../src/record/verify.ts'
import { longLedger } from './long-ledger.ts'

/** What must hold. */
const least = 50

const { values } = parseArgs({
  options: {
    lines: { type: 'string', default: '100000' },
    input: { type: 'string', default: '4300' },
    rounds: { type: 'string', default: '3' },
  },
})
const dir = mkdtempSync(join(tmpdir(), 'ledger-bench-'))
try {
  const made = longLedger(Number(values.lines), Number(values.input))
  let bytes = 0
  for (const { first, text } of made.segments) {
    const fd = openSync(join(dir, `${String(first).padStart(12, '0')}.ndjson`), 'w')
    bytes += writeSync(fd, text)
    closeSync(fd)
  }
  const rates: number[] = []
  const busy: number[] = []
  for (let round = 0; round < Number(values.rounds); round++) {
    const cpu = process.cpuUsage()
    const began = performance.now()
    const report = await verifyLedger(dir, made.key)
    if (!report.ok) throw new Error(JSON.stringify(report.firstBad))
    rates.push(bytes / 1000 / (performance.now() - began))
    const { user, system } = process.cpuUsage(cpu)
    busy.push(bytes / (user + system))
  }
  const best = Math.max(...rates)
  const round = (one: number) => Math.round(one)
  const figures = { lines: made.lines, bytes, mbPerSecond: rates.map(round), mbPerCpuSecond: busy.map(round), least }
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`)
  process.exitCode = best >= least ? 0 : 1
} finally {
  rmSync(dir, { recursive: true })
}
