import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { verifyLedger } from '../../../src/record/verify.ts'
import { type Edit, edits, history, type Segments } from '../../support/ledger-edits.ts'

/*
 * DESIGN §8, invariant 8, and docs/ledger-format.md: whatever someone without the signing key does to a ledger is detected, and the first
 * bad record is named exactly. What comes after the last checkpoint is covered by nothing: the ledger that is edited here ends with a
 * checkpoint, and each edit is judged twice, without anything from elsewhere where the page promises that this is enough, and always with
 * a checkpoint that was kept elsewhere.
 */

const long = process.env['COUNTERSIGN_LONG'] === '1'
const runs = long ? 10_000 : 300
const made = history()
const folder = mkdtempSync(join(tmpdir(), 'ledger-'))
afterAll(() => rmSync(folder, { recursive: true }))

let count = 0

/** Writes segments to a folder of their own and verifies them. */
async function judged(segments: Segments, checkpoint: string | null) {
  const dir = join(folder, String((count += 1)))
  try {
    mkdirSync(dir)
    for (const { name, bytes } of segments) writeFileSync(join(dir, name), bytes)
    return await verifyLedger(dir, made.keys, checkpoint === null ? {} : { checkpoint })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

describe('an edited ledger', () => {
  test('as it was written is intact, and holds the checkpoint that was kept', async () => {
    const whole = { ok: true, firstBad: null, uncovered: 0, open: 1, lines: made.lines.length }
    expect(await judged(made.segments, made.kept)).toMatchObject(whole)
  })

  test(
    'is detected, and the record that is bad is named',
    async () => {
      const seen = new Map<string, number>()
      const any: fc.Arbitrary<Edit> = fc.oneof(
        ...edits.map(({ kind, edit }) =>
          edit(made).map((one) => ({ ...one, kind, [fc.toStringMethod]: () => `${kind}: ${one.bad.join()}` })),
        ),
      )
      await fc.assert(
        fc.asyncProperty(any, async ({ kind, segments, bad, alone }) => {
          seen.set(kind, (seen.get(kind) ?? 0) + 1)
          const held = await judged(segments, made.kept)
          expect({ kind, ok: held.ok }).toEqual({ kind, ok: false })
          expect({ kind, bad, found: bad.includes(held.firstBad?.seq ?? -1) }, JSON.stringify(held.firstBad)).toEqual({
            kind,
            bad,
            found: true,
          })
          if (!alone) return
          const { ok, firstBad } = await judged(segments, null)
          expect({ kind, ok, seq: firstBad?.seq }).toEqual({ kind, ok: false, seq: held.firstBad?.seq })
        }),
        { numRuns: runs, seed: long ? Date.now() : 8 },
      )
      expect([...seen.keys()].sort()).toEqual(edits.map(({ kind }) => kind).sort())
    },
    long ? 1_800_000 : 120_000,
  )
})
