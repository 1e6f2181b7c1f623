import { EvidenceFault } from '../../evidence/fault.ts'
import { mergeSets } from '../../evidence/merge-sets.ts'
import { readSet } from '../../evidence/read-set.ts'
import { exit, parseWords, UsageFault, type Command } from '../command.ts'
import { placeOf, writeSet } from './output.ts'

/** `countersign evidence merge`: sets of one piece of work that ran through several Countersigns, as one. */
export const mergeEvidence: Command = {
  usage: `usage: countersign evidence merge SET SET… --out PATH|- [--format dir|tar]

Puts evidence sets side by side, each whole and under the key of its own ledger, with one report of all of them. They must belong
together: each must share with another who the work began with, a trace, or a transaction. Merged sets may be merged again.

  --out PATH        a folder, or an archive when it ends with .tar; - for an archive on standard output
  --format dir|tar  which of the two

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage`,
  async run({ args, stdout, stderr }) {
    const { values, positionals } = parseWords(args, { out: { type: 'string' }, format: { type: 'string' } })
    if (positionals.length < 1 || values.out === undefined) throw new UsageFault('give sets, and --out PATH')
    const place = placeOf(values.out, values.format)
    const now = Date.now()
    try {
      const files = mergeSets(
        positionals.map((name) => ({ name, files: readSet(name) })),
        now,
      )
      writeSet(files, place, now, stdout)
      if (place.path !== null) stdout.write(`${place.path}\n`)
      return exit.ok
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error
      stderr.write(`countersign evidence merge: ${error.message}\n`)
      return exit.findings
    }
  },
}
