import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { exitOf } from '../../src/record/fault.ts'
import { verifyLedger } from '../../src/record/verify.ts'
import { edits, history } from '../support/ledger-edits.ts'
import { findEngine } from '../support/spiffe-peer.ts'
import { publishedLedgers } from '../support/vectors.ts'

/**
 * The second verifier, in Go, from the pages of docs alone: `npm run engines` builds it from test/engines/ledger-peer. Both must say the
 * same of every ledger: whether it is intact, the kind of the first fault, and its record.
 */

const peer = findEngine('ledger-peer')
const runs = process.env['COUNTERSIGN_LONG'] === '1' ? 3000 : 300

interface Verdict {
  readonly fault: string | null
  readonly record: number | null
  readonly exit: number
}

function asked(dir: string, ...more: readonly string[]): Verdict {
  const { status, stdout, stderr } = spawnSync(peer ?? '', ['ledger', dir, ...more], { encoding: 'utf8' })
  if (stdout === '') throw new Error(stderr)
  const said = JSON.parse(stdout) as { readonly ok: boolean; readonly fault?: string; readonly record: number }
  return { fault: said.fault ?? null, record: said.ok ? null : said.record, exit: status ?? -1 }
}

async function ours(dir: string, keys: string | readonly string[], options: Parameters<typeof verifyLedger>[2]): Promise<Verdict> {
  const { firstBad } = await verifyLedger(dir, keys, options)
  return { fault: firstBad?.fault ?? null, record: firstBad?.seq ?? null, exit: firstBad === null ? 0 : exitOf(firstBad.fault) }
}

const folder = mkdtempSync(join(tmpdir(), 'ledger-peer-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe.skipIf(peer === null)('the verifier in Go', () => {
  test.each(publishedLedgers())('finds $name as the table says', ({ dir, keyFile, keptFile, from, fault, record, exit }) => {
    const more = [...(keptFile === null ? [] : ['--checkpoint', keptFile]), ...(from === null ? [] : ['--from', String(from)])]
    expect(asked(dir, '--key', keyFile, ...more)).toEqual({ fault, record, exit })
  })

  test(`says the same as ours of ${runs} edits`, async () => {
    const made = history()
    const [keyFile, keptFile] = [join(folder, 'ledger.pub'), join(folder, 'kept.txt')]
    writeFileSync(keyFile, made.keys.join('\n'))
    writeFileSync(keptFile, made.kept)
    const any = fc.oneof(...edits.map(({ kind, edit }) => edit(made).map((one) => ({ ...one, kind, [fc.toStringMethod]: () => kind }))))
    let count = 0
    await fc.assert(
      fc.asyncProperty(any, fc.boolean(), async ({ kind, segments }, held) => {
        const dir = join(folder, String((count += 1)))
        mkdirSync(dir)
        for (const { name, bytes } of segments) writeFileSync(join(dir, name), bytes)
        const theirs = asked(dir, '--key', keyFile, ...(held ? ['--checkpoint', keptFile] : []))
        const own = await ours(dir, made.keys, held ? { checkpoint: readFileSync(keptFile, 'utf8') } : {})
        rmSync(dir, { recursive: true })
        expect({ kind, ...theirs }).toEqual({ kind, ...own })
      }),
      { numRuns: runs },
    )
  }, 600_000)
})
