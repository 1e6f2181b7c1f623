import { readFileSync } from 'node:fs'
import type { VerifyReport } from '../record/ledger-audit.ts'
import { verifyLedger } from '../record/verify.ts'
import { exit, parseWords, UsageFault, type Command } from './command.ts'

/** `countersign evidence verify`: proves a ledger untampered with nothing but its public key. */
export const evidence: Command = {
  usage: `usage: countersign evidence verify PATH --key FILE [--checkpoint FILE] [--from SEQ]

PATH is a ledger folder or segment file. Checks every line's place in the chain, every checkpoint's signature, and that each
permitted call has one outcome. The key must come from somewhere you trust more than the ledger's own folder.

  --key FILE          the ledger's public key (ledger.pub, or GET /ledger.pub on the health port)
  --checkpoint FILE   a checkpoint kept elsewhere: the ledger must contain what it states
  --from SEQ          first line expected, when what came before was archived
  --unsigned          check the chain alone, without a key
  -o text|json        how the report is printed (default: text)

exit status: 0 intact, 1 not intact (the first bad record is named), 64 wrong usage`,
  async run({ args, stdout, stderr }) {
    const { values, positionals } = parseWords(args, {
      key: { type: 'string' },
      checkpoint: { type: 'string' },
      from: { type: 'string' },
      unsigned: { type: 'boolean' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    const [verb, path, ...rest] = positionals
    if (verb !== 'verify' || path === undefined || rest.length > 0) throw new UsageFault('give verify and one path')
    if (values.key === undefined && values.unsigned !== true)
      throw new UsageFault('give --key FILE, or --unsigned to check the chain alone')
    if (values.from !== undefined && !/^\d{1,15}$/.test(values.from)) throw new UsageFault('--from takes a number')
    const report = await verified(path, values)
    if (values.output === 'json') stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    else stdout.write(`${reportText(report)}\n`)
    if (!report.signed) stderr.write('no key: the chain was checked, signatures were not\n')
    return report.ok ? exit.ok : exit.findings
  },
}

async function verified(
  path: string,
  values: { readonly key?: string | undefined; readonly checkpoint?: string | undefined; readonly from?: string | undefined },
): Promise<VerifyReport> {
  try {
    return await verifyLedger(path, values.key === undefined ? null : readFileSync(values.key, 'utf8').trim(), {
      ...(values.checkpoint === undefined ? {} : { checkpoint: readFileSync(values.checkpoint, 'utf8') }),
      ...(values.from === undefined ? {} : { from: Number(values.from) }),
    })
  } catch (error) {
    throw new UsageFault(error instanceof Error ? error.message : String(error))
  }
}

/** The report in a few lines for people. */
function reportText(report: VerifyReport): string {
  const { firstBad, lines, segments, checkpoints, uncovered, open } = report
  const size = `${lines} lines in ${segments} segment${segments === 1 ? '' : 's'}, ${checkpoints} signed checkpoint${checkpoints === 1 ? '' : 's'}`
  if (firstBad !== null)
    return `NOT INTACT: ${firstBad.file}:${firstBad.line} (record ${firstBad.seq}): ${firstBad.fault}: ${firstBad.detail}\n${size} read`
  const notes = [
    ...(uncovered > 0 ? [`${uncovered} after the last checkpoint`] : []),
    ...(open > 0 ? [`${open} call${open === 1 ? '' : 's'} still open`] : []),
  ]
  return `intact: ${size}${notes.length > 0 ? `; ${notes.join(', ')}` : ''}`
}
