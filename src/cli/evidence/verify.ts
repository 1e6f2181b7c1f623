import { readFileSync } from 'node:fs'
import { exitOf } from '../../record/fault.ts'
import type { VerifyReport } from '../../record/ledger-audit.ts'
import { verifyLedger } from '../../record/verify.ts'
import { isSet } from '../../evidence/read-set.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from '../command.ts'
import { verifySetAt } from './set-report.ts'

/** `countersign evidence verify`: proves a ledger untampered with nothing but its public key. */
export const verify: Command = {
  usage: `usage: countersign evidence verify PATH --key FILE [--checkpoint FILE] [--from SEQ]

PATH is a ledger folder or segment file, or an evidence set: a folder or .tar that was exported or merged. Of a ledger it checks every line's place in the chain and in the tree, every checkpoint's signature, and that
each permitted call has one outcome. The key must come from somewhere you trust more than the ledger's own folder. Of a ledger whose key
was handed over, one key is enough: it vouches for those before and after it.

  --key FILE          public keys of the ledger, one a line (ledger.pub, or GET /ledger.pub on the health port); may be given again
  --checkpoint FILE   a checkpoint kept elsewhere: the ledger must contain what it states
  --from SEQ          first line expected, when what came before was archived
  --unsigned          check chain and tree alone, without a key
  -o text|json        how the report is printed (default: text)

exit status: 0 intact; else by the kind of the first fault, whose record is named: 10 parse, 11 order or sequence, 12 chain,
13 checkpoint, 14 signature, 15 pairing, 16 truncated, and of evidence sets 17 proof, 18 manifest, 19 correlation, 20 summary;
64 wrong usage`,
  async run(invocation) {
    const { args, stdout, stderr } = invocation
    const { values, positionals } = parseWords(args, {
      key: { type: 'string', multiple: true },
      checkpoint: { type: 'string' },
      from: { type: 'string' },
      unsigned: { type: 'boolean' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    const [path, ...rest] = positionals
    if (path === undefined || rest.length > 0) throw new UsageFault('give one path')
    if (values.key === undefined && values.unsigned !== true)
      throw new UsageFault('give --key FILE, or --unsigned to check chain and tree alone')
    if (values.from !== undefined && !/^[1-9]\d{0,14}$/.test(values.from)) throw new UsageFault('--from takes the number of a line')
    if (!/^(text|json)$/.test(values.output)) throw new UsageFault('-o takes text or json')
    if (isEvidence(path)) {
      if (values.checkpoint !== undefined || values.from !== undefined)
        throw new UsageFault('--checkpoint and --from are for ledgers: a set has its own checkpoint')
      return verifySetAt(path, values.key ?? null, values.output === 'json', invocation)
    }
    const report = await verified(path, values, progressOn(stderr))
    if (values.output === 'json') stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    else stdout.write(`${reportText(report)}\n`)
    if (!report.signed) stderr.write('no key: chain and tree were checked, signatures were not\n')
    return report.firstBad === null ? exit.ok : exitOf(report.firstBad.fault)
  },
}

function isEvidence(path: string): boolean {
  try {
    return isSet(path)
  } catch (error) {
    throw new UsageFault(error instanceof Error ? error.message : String(error))
  }
}

interface Given {
  readonly key?: readonly string[] | undefined
  readonly checkpoint?: string | undefined
  readonly from?: string | undefined
}

async function verified(path: string, values: Given, progress: ReturnType<typeof progressOn>): Promise<VerifyReport> {
  try {
    const keys = values.key?.map((file) => readFileSync(file, 'utf8')) ?? null
    return await verifyLedger(path, keys, {
      ...(values.checkpoint === undefined ? {} : { checkpoint: readFileSync(values.checkpoint, 'utf8') }),
      ...(values.from === undefined ? {} : { from: Number(values.from) }),
      ...(progress === null ? {} : { progress: (...done: readonly [number, number]) => progress.tell(...done) }),
    })
  } catch (error) {
    throw new UsageFault(error instanceof Error ? error.message : String(error))
  } finally {
    progress?.end()
  }
}

/** Says on a terminal how far a long verification is, on one line that is gone at its end. Null where nobody looks on. */
function progressOn(stderr: Invocation['stderr']): { tell(read: number, all: number): void; end(): void } | null {
  if (stderr.isTTY !== true) return null
  const began = performance.now()
  let said = began
  return {
    tell(read, all) {
      const now = performance.now()
      if (now - said < 1000) return
      said = now
      const rate = read / 1000 / (now - began)
      stderr.write(`\r\u001b[K${Math.floor((read / all) * 100)} % of ${Math.ceil(all / 1e6)} MB, ${Math.round(rate)} MB/s`)
    },
    end() {
      if (said > began) stderr.write('\r\u001b[K')
    },
  }
}

/** The report in a few lines for people. */
function reportText(report: VerifyReport): string {
  const { firstBad, lines, first, segments, checkpoints, keys, uncovered, open } = report
  const size = `${lines} lines in ${segments} segment${segments === 1 ? '' : 's'}, ${checkpoints} signed checkpoint${checkpoints === 1 ? '' : 's'}`
  if (firstBad !== null) {
    const where = firstBad.line === 0 ? firstBad.file : `${firstBad.file}:${firstBad.line}`
    return `NOT INTACT: ${where} (record ${firstBad.seq}): ${firstBad.fault}: ${firstBad.detail}\n${size} read`
  }
  const notes = [
    ...(first !== null && first > 1 ? [`begins at line ${first}, what came before was removed`] : []),
    ...(keys.length > 1 ? [`the key was handed over ${keys.length - 1} times`.replace(/ 1 times$/, ' once')] : []),
    ...(uncovered > 0 ? [`${uncovered} after the last checkpoint`] : []),
    ...(open > 0 ? [`${open} call${open === 1 ? '' : 's'} still open`] : []),
  ]
  return `intact: ${size}${notes.length > 0 ? `; ${notes.join(', ')}` : ''}`
}
