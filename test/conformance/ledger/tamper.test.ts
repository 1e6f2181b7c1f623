import { generateKeyPairSync, hash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { noteSigner, noteText } from '../../../src/record/checkpoint.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import type { VerifyReport } from '../../../src/record/verify.ts'
import { LedgerRig } from '../../support/ledger-rig.ts'

// DESIGN §8, invariant 8: a changed, missing, reordered or truncated line is detected, up to the last checkpoint the verifier holds.

const rig = new LedgerRig()
const other = new LedgerRig()
let key = ''
let lines: string[] = []
let foreign: string[] = []
let held = ''

async function generated(one: LedgerRig): Promise<{ key: string; lines: string[] }> {
  const recorder = await one.open()
  for (let call = 0; call < 12; call++) {
    await Promise.all([one.permitted(recorder), one.known(recorder).refuse(new Refusal('task.missing'))])
    if (call % 4 === 3) await recorder.checkpoint()
  }
  await recorder.close()
  return { key: recorder.publicKey(), lines: one.text().split('\n').slice(0, -1) }
}

/** Writes bytes as the whole ledger and verifies them. */
async function judged(bytes: Buffer | string, options: { checkpoint?: string } = {}): Promise<VerifyReport> {
  const [path = ''] = rig.segments()
  writeFileSync(path, bytes)
  return verifyLedger(path, key, options)
}

const text = (all: readonly string[]) => all.map((line) => `${line}\n`).join('')
const at = () => fc.integer({ min: 0, max: lines.length - 1 })

/** Chains the lines anew from `from` on, as someone without the key could. */
function rechained(all: readonly string[], from: number): string[] {
  const out = all.slice(0, from)
  for (const line of all.slice(from)) {
    const prev = out.length === 0 ? '0'.repeat(64) : hash('sha256', out.at(-1) ?? '')
    out.push(line.replace(/"seq":\d+,"prev":"sha256:[0-9a-f]{64}"/, `"seq":${out.length + 1},"prev":"sha256:${prev}"`))
  }
  return out
}

beforeAll(async () => {
  const made = await generated(rig)
  key = made.key
  lines = made.lines
  foreign = (await generated(other)).lines
  held = (await judged(text(lines))).lastCheckpoint?.note ?? ''
  return async () => {
    await rig.end()
    await other.end()
  }
})

describe('a tampered ledger', () => {
  test('as it was written verifies, and holds the checkpoint taken from it', async () => {
    expect(await judged(text(lines), { checkpoint: held })).toMatchObject({
      ok: true,
      firstBad: null,
      uncovered: 0,
      open: 0,
      lines: lines.length,
    })
  })

  test('with any bit flipped is detected, and the line it is in is named', async () => {
    const whole = Buffer.from(text(lines))
    // half of them in the last line, a checkpoint, which nothing after it vouches for
    const last = whole.length - Buffer.byteLength(lines.at(-1) ?? '') - 1
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.nat(whole.length - 1), fc.integer({ min: last, max: whole.length - 1 })),
        fc.nat(7),
        async (byte, bit) => {
          const bytes = Buffer.from(whole)
          bytes.writeUInt8(bytes.readUInt8(byte) ^ (1 << bit), byte)
          const { ok, firstBad } = await judged(bytes)
          const line = whole.subarray(0, byte).toString('latin1').split('\n').length
          expect(ok).toBe(false)
          // a newline that is gone joins two lines: the first of them is the bad one
          expect(firstBad?.seq).toBe(line)
        },
      ),
      { numRuns: 600 },
    )
  }, 120_000)

  test('with lines deleted is detected, and the first missing one is named', async () => {
    await fc.assert(
      fc.asyncProperty(at(), fc.integer({ min: 1, max: 5 }), async (from, count) => {
        const { ok, firstBad } = await judged(text(lines.toSpliced(from, count)), { checkpoint: held })
        expect([ok, firstBad?.seq]).toEqual([false, from + 1])
      }),
      { numRuns: 60 },
    )
  })

  test('with two lines swapped is detected, and the first of them is named', async () => {
    await fc.assert(
      fc.asyncProperty(at(), at(), async (a, b) => {
        fc.pre(a !== b)
        const swapped = lines.with(a, lines[b] ?? '').with(b, lines[a] ?? '')
        const { ok, firstBad } = await judged(text(swapped))
        expect([ok, firstBad?.seq, firstBad?.fault]).toEqual([false, Math.min(a, b) + 1, 'sequence'])
      }),
      { numRuns: 60 },
    )
  })

  test('with a line repeated or from another ledger put in is detected and named', async () => {
    await fc.assert(
      fc.asyncProperty(at(), fc.boolean(), fc.boolean(), async (where, strange, replace) => {
        const line = (strange ? foreign : lines)[where] ?? ''
        fc.pre(strange || !replace)
        const { ok, firstBad } = await judged(text(lines.toSpliced(where, replace ? 1 : 0, line)))
        expect(ok).toBe(false)
        expect(firstBad?.seq).toBeGreaterThanOrEqual(where + 1)
        expect(firstBad?.seq).toBeLessThanOrEqual(where + 2)
      }),
      { numRuns: 100 },
    )
  })

  test('cut at any byte before the checkpoint the verifier holds is detected', async () => {
    const whole = Buffer.from(text(lines))
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (size) => {
        const { ok, firstBad } = await judged(whole.subarray(0, size), { checkpoint: held })
        expect([ok, firstBad?.fault]).toEqual([false, 'truncated'])
      }),
      { numRuns: 60 },
    )
  }, 60_000)

  test('changed and chained anew without the key is detected at the next checkpoint', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(lines.length - 2), async (from) => {
        const forged = rechained(lines.with(from, (lines[from] ?? '').replace('side-1', 'side-2')), from)
        const { ok, firstBad } = await judged(text(forged))
        const next = lines.findIndex((line, index) => index >= from && line.includes('"kind":"checkpoint"')) + 1
        expect([ok, firstBad?.seq]).toEqual([false, next])
      }),
      { numRuns: 60 },
    )
  })

  test('signed anew with another key is detected at the first checkpoint, under the same name too', async () => {
    const thief = noteSigner('ledger.acme.example/one', generateKeyPairSync('ed25519').privateKey)
    const forged = lines.map((line) => {
      if (!line.includes('"kind":"checkpoint"')) return line
      const note = (JSON.parse(line) as { custom: { countersign: { checkpoint: string } } }).custom.countersign.checkpoint
      return line.replace(JSON.stringify(note), JSON.stringify(thief.sign(noteText(note))))
    })
    const { ok, firstBad } = await judged(text(rechained(forged, 0)))
    expect([ok, firstBad?.fault]).toEqual([false, 'signature'])
  })

  test('whose checkpoints were all taken out and the rest chained anew covers nothing and is not passed', async () => {
    const bare = rechained(
      lines.filter((line) => !line.includes('"kind":"checkpoint"')),
      0,
    )
    expect(await judged(text(bare))).toMatchObject({ ok: false, firstBad: { fault: 'signature' }, uncovered: bare.length })
  })

  test('replaced as a whole by an older one is detected by whoever holds a later checkpoint', async () => {
    const older = lines.slice(0, lines.findIndex((line) => line.includes('"kind":"checkpoint"')) + 1)
    expect(await judged(text(older))).toMatchObject({ ok: true })
    expect(await judged(text(older), { checkpoint: held })).toMatchObject({
      ok: false,
      firstBad: { fault: 'truncated', seq: older.length + 1 },
    })
  })

  test('with its segment renamed is detected', async () => {
    const [path = ''] = rig.segments()
    writeFileSync(path, text(lines))
    const moved = path.replace(basename(path), '000000000007.ndjson')
    writeFileSync(moved, text(lines))
    expect(await verifyLedger([moved], key)).toMatchObject({ ok: false, firstBad: { fault: 'order' } })
  })
})
