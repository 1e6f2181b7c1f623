import { createHash, createPublicKey, verify } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import type { LedgerRig } from '../../support/ledger-rig.ts'
import { rigPerTest } from '../../support/ledger-rig.ts'
import { edgeOver, rootOver } from '../../support/ledger-writer.ts'

// A second verifier, written from docs/ledger-format.md alone: it shares no code with the product.

interface Own {
  readonly seq: number
  readonly prev: string
  readonly kind: string
  readonly checkpoint?: string
  readonly open?: readonly [number, string][]
  readonly open_from?: number
  readonly format?: number
  readonly key?: string
  readonly edge?: readonly string[]
}

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest()

function check(dir: string, verifierKey: string): { lines: number; checkpoints: number } {
  const [name = '', id = '', ...encoded] = verifierKey.trim().split('+')
  const key = Buffer.from(encoded.join('+'), 'base64')
  expect(
    sha256(Buffer.concat([Buffer.from(`${name}\n`), key]))
      .subarray(0, 4)
      .toString('hex'),
  ).toBe(id)
  const publicKey = createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key.subarray(1)]),
    format: 'der',
    type: 'spki',
  })
  let seq = 0
  let head = Buffer.alloc(32)
  let checkpoints = 0
  const open = new Map<string, number>()
  const leaves: Buffer[] = []
  for (const file of readdirSync(dir)
    .filter((one) => /^\d{12}\.ndjson$/.test(one))
    .sort()) {
    expect(Number(file.slice(0, 12))).toBe(seq + 1)
    const text = readFileSync(join(dir, file), 'utf8')
    expect(text.endsWith('\n')).toBe(true)
    expect(text.slice(0, text.indexOf('\n'))).toContain('"kind":"checkpoint"')
    for (const line of text.slice(0, -1).split('\n')) {
      const event = JSON.parse(line) as { decision_id: string; custom: { countersign: Own } }
      const own = event.custom.countersign
      expect([own.seq, own.prev]).toEqual([seq + 1, `sha256:${head.toString('hex')}`])
      if (own.kind === 'decision') open.set(event.decision_id, own.seq)
      if (own.kind === 'outcome') expect(open.delete(event.decision_id)).toBe(true)
      if (own.kind === 'checkpoint') {
        checkpoints += 1
        const note = own.checkpoint ?? ''
        const [origin, size, root, chain, , , record, blank, signed = '', end, ...rest] = note.split('\n')
        const top = rootOver(leaves).toString('base64')
        expect([origin, size, root, chain, blank, end, rest]).toEqual([
          name,
          String(seq),
          top,
          `chain ${head.toString('base64')}`,
          '',
          '',
          [],
        ])
        expect([own.format, own.key, own.edge]).toEqual([2, verifierKey, edgeOver(leaves).map((one) => one.toString('base64'))])
        const [dash, signer, base64 = ''] = signed.split(' ')
        const signature = Buffer.from(base64, 'base64')
        expect([dash, signer, signature.subarray(0, 4).toString('hex'), signature.toString('base64')]).toEqual(['—', name, id, base64])
        expect(verify(null, Buffer.from(note.slice(0, note.indexOf('\n\n') + 1)), publicKey, signature.subarray(4))).toBe(true)
        const at = line.lastIndexOf(',"checkpoint":"') + ',"checkpoint":"'.length
        expect(record).toBe(`record ${sha256(line.slice(0, at)).toString('base64')}`)
        expect(line.slice(at)).toBe(`${note.replaceAll('\n', '\\n')}"}}}`)
        const list = [...open].map(([decision, at_]) => [at_, decision])
        expect(own.open).toEqual(list.slice(0, 256))
        expect(own.open_from).toBe(list[256]?.[0] ?? own.seq)
      }
      seq += 1
      head = sha256(line)
      leaves.push(sha256(Buffer.concat([Buffer.of(0), head])))
    }
  }
  return { lines: seq, checkpoints }
}

const rigged = rigPerTest()

async function busy(rig: LedgerRig, durability: 'written' | 'synced', open: number): Promise<string> {
  const recorder = await rig.open({ durability, segmentBytes: 20_000 })
  for (let call = 0; call < open; call++) await rig.judged(recorder).commit()
  for (let call = 0; call < 20; call++) {
    await Promise.all([rig.permitted(recorder), rig.known(recorder).refuse(new Refusal('task.missing')), rig.permitted(recorder)])
    if (call % 4 === 0) await recorder.checkpoint()
    rig.now += 1234
  }
  await recorder.event({ kind: 'task.opened', by: 'person:é\u2028', detail: { note: '"kind":"checkpoint"' } })
  await recorder.close()
  return recorder.publicKey()
}

describe('docs/ledger-format.md', () => {
  test.each(['written', 'synced'] as const)('describes what is written (%s)', async (durability) => {
    const rig = rigged()
    const key = await busy(rig, durability, 0)
    const seen = check(rig.dir, key)
    expect(seen.lines).toBe(rig.lines().length)
    expect(seen.checkpoints).toBeGreaterThan(5)
  })

  test('describes checkpoints over more open calls than they list, and what a start after a crash adds', async () => {
    const rig = rigged()
    await busy(rig, 'written', 300)
    check(rig.dir, await busy(rig, 'written', 3))
  })

  test('names every member that a line has', async () => {
    const rig = rigged()
    await busy(rig, 'written', 1)
    await busy(rig, 'written', 1)
    const page = readFileSync(new URL('../../../docs/ledger-format.md', import.meta.url), 'utf8')
    const members = new Set(rig.lines().flatMap((line) => [...Object.keys(line), ...Object.keys(line.custom.countersign)]))
    for (const member of members) expect(page).toContain(`\`${member}`)
  })
})
