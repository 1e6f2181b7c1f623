import { appendFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { verifyLedger } from '../../../src/record/verify.ts'
import { LedgerWriter, rootOver, signedNote, writerKey } from '../../support/ledger-writer.ts'

// docs/ledger-format.md, "Verification", over ledgers of a writer that was made from that page alone.

const name = 'ledger.acme.example/one'
const folders: string[] = []
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'ledger-'))
  folders.push(made)
  return made
}

/** A ledger of three segments. */
function segmented(calls = 4): LedgerWriter {
  const writer = new LedgerWriter(name)
  for (let at = 0; at < 3; at++) {
    writer.segment()
    writer.calls(calls)
  }
  writer.checkpoint()
  return writer
}

const files = (dir: string) =>
  readdirSync(dir)
    .filter((one) => one.endsWith('.ndjson'))
    .sort()
    .map((one) => join(dir, one))

const bad = (fault: string, seq: number) => ({ ok: false, firstBad: { fault, seq } })

describe('a whole ledger', () => {
  test('is intact under its key; without one the chain and the tree are checked and the report says so', async () => {
    const writer = segmented()
    const dir = writer.save(folder())
    const whole = { ok: true, firstBad: null, segments: 3, lines: writer.size, first: 1, uncovered: 0, open: 0 }
    expect(await verifyLedger(dir, writer.key.text)).toMatchObject({ ...whole, signed: true, keys: [writer.key.text] })
    expect(await verifyLedger(dir, null)).toMatchObject({ ...whole, signed: false })
  })

  test('is not passed under the key of another, of the same name or not', async () => {
    const dir = segmented().save(folder())
    for (const other of [name, 'ledger.acme.example/two'])
      expect(await verifyLedger(dir, writerKey(other).text)).toMatchObject(bad('signature', 1))
  })

  test('counts lines after the last checkpoint and calls that are open', async () => {
    const writer = segmented()
    writer.decision('c_open')
    writer.decision('c_open_too')
    expect(await verifyLedger(writer.save(folder()), writer.key.text)).toMatchObject({ ok: true, uncovered: 2, open: 2 })
  })

  test('tells of its progress, and of all of it at the end', async () => {
    const writer = segmented()
    const told: (readonly [number, number])[] = []
    await verifyLedger(writer.save(folder()), writer.key.text, { progress: (...one) => told.push(one) })
    expect(told).toHaveLength(3)
    expect(told.at(-1)?.[0]).toBe(told.at(-1)?.[1])
  })

  test.each(['', 'nonsense', `${name}+00000000+AAAA`])('cannot be verified with the key %j', async (key) => {
    const dir = segmented().save(folder())
    await expect(verifyLedger(dir, key)).rejects.toThrow(/key/)
  })
})

describe('segments', () => {
  test('that are missing, out of order or misnamed are named by their first line', async () => {
    const writer = segmented()
    const dir = writer.save(folder())
    const all = files(dir)
    const firsts = writer.segments.map(({ first }) => first)
    const key = writer.key.text
    expect(await verifyLedger(all.toSpliced(1, 1), key)).toMatchObject(bad('order', firsts[1] ?? 0))
    expect(await verifyLedger(all.slice(1), key)).toMatchObject(bad('truncated', 1))
    expect(await verifyLedger(all.toReversed(), key)).toMatchObject(bad('order', writer.size + 1))
    for (const wrong of ['000000000000.ndjson', '000000000002.ndjson']) {
      renameSync(all[0] ?? '', join(dir, wrong))
      expect(await verifyLedger(dir, key)).toMatchObject(bad('order', 1))
      renameSync(join(dir, wrong), all[0] ?? '')
    }
  })

  test('begin with a checkpoint', async () => {
    const writer = segmented()
    const at = writer.size + 1
    writer.segments.push({ first: at, lines: [] })
    writer.refusal()
    writer.checkpoint()
    expect(await verifyLedger(writer.save(folder()), writer.key.text)).toMatchObject(bad('order', at))
  })

  test('end with a line, and the last one may be being written', async () => {
    const writer = segmented()
    const dir = writer.save(folder())
    const [first = '', , last = ''] = files(dir)
    const whole = readFileSync(last)
    writeFileSync(last, whole.subarray(0, -10))
    const report = verifyLedger(dir, writer.key.text)
    setTimeout(() => appendFileSync(last, whole.subarray(-10)), 10)
    expect(await report).toMatchObject({ ok: true })
    writeFileSync(last, Buffer.concat([whole, Buffer.from('{"decision_id":')]))
    expect(await verifyLedger(dir, writer.key.text)).toMatchObject(bad('truncated', writer.size + 1))
    writeFileSync(first, readFileSync(first).subarray(0, -1))
    expect(await verifyLedger(dir, writer.key.text)).toMatchObject(bad('truncated', (writer.segments[1]?.first ?? 0) - 1))
  })

  test('without a line, or with a line without end, are no ledger', async () => {
    const dir = folder()
    expect(await verifyLedger(dir, null)).toMatchObject(bad('truncated', 1))
    writeFileSync(join(dir, '000000000001.ndjson'), Buffer.alloc(20 * 1024 * 1024, 'x'))
    expect(await verifyLedger(dir, null)).toMatchObject(bad('parse', 1))
  })

  test.each([
    ['bytes that are no UTF-8', Buffer.from([0xff])],
    ['a line that is no object', Buffer.from('[]')],
    ['a kind that is not known', Buffer.from('{"decision_id":"e","custom":{"countersign":{"seq":1,"prev":"","kind":"note"}}}')],
  ])('hold no %s', async (_, bytes) => {
    const writer = segmented()
    const dir = writer.save(folder())
    appendFileSync(files(dir).at(-1) ?? '', Buffer.concat([bytes, Buffer.from('\n')]))
    expect(await verifyLedger(dir, writer.key.text)).toMatchObject(bad('parse', writer.size + 1))
  })
})

describe('a key that was handed over', () => {
  function rotated(): { writer: LedgerWriter; keys: string[] } {
    const writer = new LedgerWriter(name)
    const keys = [writer.key.text]
    for (let at = 0; at < 3; at++) {
      writer.segment()
      writer.calls(2)
      const next = writerKey(name)
      keys.push(next.text)
      writer.checkpoint(next)
      writer.calls(1)
    }
    writer.checkpoint()
    return { writer, keys }
  }

  test('is learnt from the one before, and vouches for those before: any one of them is enough', async () => {
    const { writer, keys } = rotated()
    const dir = writer.save(folder())
    for (const key of [...keys, keys.join('\n')]) expect(await verifyLedger(dir, key)).toMatchObject({ ok: true, keys })
  })

  test('signs no more', async () => {
    const { writer, keys } = rotated()
    const first = writerKey(name)
    const second = writerKey(name)
    const forged = new LedgerWriter(name, first)
    forged.segment()
    forged.checkpoint(second)
    forged.calls(1)
    const seq = forged.checkpoint(null, { keys: [first], members: (own) => ({ ...own, key: first.text }) })
    expect(await verifyLedger(forged.save(folder()), first.text)).toMatchObject(bad('signature', seq))
    expect(writer.size).toBeGreaterThan(keys.length)
  })

  test.each([
    ['signed by the new key alone', [1]],
    ['signed by the old key alone', [0]],
    ['signed in the other order', [1, 0]],
    ['signed by a third one too', [0, 1, 2]],
  ])('%s is not taken over', async (_, signers) => {
    const keys = [writerKey(name), writerKey(name), writerKey(name)] as const
    const [old, next] = keys
    const writer = new LedgerWriter(name, old)
    writer.segment()
    const seq = writer.checkpoint(next, { keys: signers.map((at) => keys[at] ?? old) })
    writer.calls(1)
    writer.checkpoint()
    const dir = writer.save(folder())
    expect(await verifyLedger(dir, old.text)).toMatchObject(bad('signature', seq))
    expect(await verifyLedger(dir, next.text)).toMatchObject(bad('signature', 1))
  })

  test('of another name is not taken over', async () => {
    const writer = new LedgerWriter(name)
    const old = writer.key.text
    writer.segment()
    const seq = writer.checkpoint(writerKey('ledger.acme.example/two'))
    expect(await verifyLedger(writer.save(folder()), old)).toMatchObject(bad('signature', seq))
  })

  test('vouches for no other history: a handing over put behind lines of the old key does not fit them', async () => {
    const old = writerKey(name)
    const writer = new LedgerWriter(name, old)
    writer.segment()
    writer.calls(3)
    const next = writerKey(name)
    const at = writer.checkpoint(next)
    // who stole the old key writes as many other lines before the same line
    const forged = new LedgerWriter(name, old)
    forged.segment()
    forged.calls(2)
    while (forged.size < at - 1) forged.refusal()
    forged.put(writer.lines[at - 1] ?? '')
    expect((await verifyLedger(forged.save(folder()), next.text)).firstBad).toMatchObject({ fault: 'chain', seq: at - 1 })
  })
})

describe('a ledger of which the oldest lines were removed', () => {
  function pruned(to: number, covered = true): LedgerWriter {
    const writer = segmented()
    writer.event('ledger.pruned', { first: writer.segments[to]?.first, lines: 1, bytes: 1, cause: 'age' })
    if (covered) writer.checkpoint()
    return writer
  }

  test('is intact when it says so, and as long as less was removed than it says', async () => {
    const writer = pruned(2)
    for (const from of [0, 1, 2])
      expect(await verifyLedger(writer.save(folder(), from), writer.key.text)).toMatchObject({
        ok: true,
        first: writer.segments[from]?.first,
      })
  })

  test('is not when more is gone than it says, or when it does not say so under a signature', async () => {
    const writer = pruned(1)
    expect(await verifyLedger(writer.save(folder(), 2), writer.key.text)).toMatchObject(bad('truncated', writer.segments[1]?.first ?? 0))
    const forged = pruned(2, false)
    expect(await verifyLedger(forged.save(folder(), 2), forged.key.text)).toMatchObject(bad('truncated', 1))
  })

  test('is read from a number on for whoever archived the rest', async () => {
    const writer = segmented()
    const from = writer.segments[1]?.first ?? 0
    const key = writer.key.text
    expect(await verifyLedger(writer.save(folder(), 1), key, { from })).toMatchObject({ ok: true, first: from })
    expect(await verifyLedger(writer.save(folder()), key, { from: from + 2 })).toMatchObject({ ok: true, first: from + 2 })
    expect(await verifyLedger(writer.save(folder(), 2), key, { from })).toMatchObject(bad('truncated', from))
  })

  test('pairs the outcomes of decisions before it by what its first checkpoint lists', async () => {
    const writer = new LedgerWriter(name)
    writer.segment()
    writer.decision('c_old')
    writer.segment()
    writer.outcome('c_old')
    writer.checkpoint()
    const from = writer.segments[1]?.first ?? 0
    expect(await verifyLedger(writer.save(folder(), 1), writer.key.text, { from })).toMatchObject({ ok: true, open: 0 })
    const seq = writer.outcome('c_never')
    expect(await verifyLedger(writer.save(folder(), 1), writer.key.text, { from })).toMatchObject(bad('pairing', seq))
  })

  test('passes over outcomes of decisions that no checkpoint could list, until one lists all', async () => {
    const writer = new LedgerWriter(name)
    writer.segment()
    for (let call = 0; call < 300; call++) writer.decision(`c_${call}`)
    writer.segment()
    const from = writer.segments[1]?.first ?? 0
    for (let call = 0; call < 200; call++) writer.outcome(`c_${299 - call}`)
    writer.decision('c_new')
    writer.checkpoint()
    writer.outcome('c_7')
    writer.checkpoint()
    expect(await verifyLedger(writer.save(folder(), 1), writer.key.text, { from })).toMatchObject({ ok: true, open: 100 })
    const seq = writer.outcome('c_299')
    expect(await verifyLedger(writer.save(folder(), 1), writer.key.text, { from })).toMatchObject(bad('pairing', seq))
  })
})

describe('a checkpoint that is signed', () => {
  const changes: readonly (readonly [string, string, (own: Record<string, unknown>) => Record<string, unknown>])[] = [
    ['of another format', 'checkpoint', (own) => ({ ...own, format: 1 })],
    ['without an edge', 'checkpoint', ({ edge: _, ...own }) => own],
    ['with the edge of another tree', 'checkpoint', (own) => ({ ...own, edge: [Buffer.alloc(32).toString('base64')] })],
    [
      'with a further hash in its edge',
      'checkpoint',
      (own) => ({ ...own, edge: [...(own['edge'] as string[]), Buffer.alloc(32).toString('base64')] }),
    ],
    ['without a key', 'signature', ({ key: _, ...own }) => own],
    ['with the key of another', 'signature', (own) => ({ ...own, key: writerKey(name).text })],
    ['with a next key that does not sign', 'signature', (own) => ({ ...own, next: writerKey(name).text })],
    ['that leaves an open call out', 'pairing', (own) => ({ ...own, open: [] })],
    ['that lists a call that is not open', 'pairing', (own) => ({ ...own, open: [...(own['open'] as unknown[]), [1, 'c_x']] })],
    ['that says nothing of open calls', 'pairing', ({ open: _, ...own }) => own],
    ['whose listing begins elsewhere', 'pairing', (own) => ({ ...own, open_from: 1 })],
  ]
  test.each(changes)('%s fails: %s', async (_, fault, members) => {
    const writer = segmented()
    writer.decision('c_open')
    const seq = writer.checkpoint(null, { members })
    expect(await verifyLedger(writer.save(folder()), writer.key.text)).toMatchObject(bad(fault, seq))
  })

  test.each([
    ['another size', (text: string) => text.replace(/\n(\d+)\n/, '\n7\n')],
    ['another name', (text: string) => text.replace(name, 'ledger.acme.example/two')],
    ['another root', (text: string) => text.replace(/\n[^\n]{44}\n/, `\n${Buffer.alloc(32, 7).toString('base64')}\n`)],
    ['another chain', (text: string) => text.replace(/chain .*/, `chain ${Buffer.alloc(32, 7).toString('base64')}`)],
    ['another record', (text: string) => text.replace(/record .*/, `record ${Buffer.alloc(32, 7).toString('base64')}`)],
    ['no record', (text: string) => text.replace(/record .*\n/, '')],
    ['a line more', (text: string) => `${text}more x\n`],
    ['a durability that is none', (text: string) => text.replace('written', 'hoped')],
    ['a time that is none', (text: string) => text.replace(/time .*/, 'time today')],
  ])('over %s fails', async (_, text) => {
    const writer = segmented()
    const seq = writer.checkpoint(null, { text })
    expect(await verifyLedger(writer.save(folder()), writer.key.text)).toMatchObject(bad('checkpoint', seq))
  })

  test('over another tree fails though its edge and its root agree', async () => {
    const writer = segmented()
    // a writer that grows its tree over other lines than those it writes
    const leaves = writer.lines.map(() => Buffer.alloc(32, 1))
    const edge = [leaves.length].flatMap((size) =>
      size
        .toString(2)
        .split('')
        .flatMap((bit, at, all) => (bit === '1' ? [2 ** (all.length - 1 - at)] : [])),
    )
    let from = 0
    const hashes = edge.map((width) => rootOver(leaves.slice(from, (from += width))).toString('base64'))
    const seq = writer.checkpoint(null, {
      members: (own) => ({ ...own, edge: hashes }),
      text: (text) => text.replace(/\n[^\n]{44}\n/, `\n${rootOver(leaves).toString('base64')}\n`),
    })
    expect(await verifyLedger(writer.save(folder()), writer.key.text)).toMatchObject(bad('checkpoint', seq))
  })
})

describe('a checkpoint given from elsewhere', () => {
  test('must be contained, whoever else has signed it, and by whichever key of the ledger', async () => {
    const writer = segmented()
    const early = writer.key
    const notes = [writer.note]
    writer.checkpoint(writerKey(name))
    writer.calls(1)
    writer.checkpoint()
    notes.push(writer.note)
    writer.refusal()
    const witness = writerKey('witness.partner.example')
    const dir = writer.save(folder())
    for (const note of notes) {
      const text = note.slice(0, note.lastIndexOf('\n\n') + 1)
      const more = signedNote('witness.partner.example', text, [witness]).slice(text.length + 1)
      for (const checkpoint of [note, note + more])
        for (const key of [early.text, writer.key.text, null])
          expect(await verifyLedger(dir, key, { checkpoint })).toMatchObject({ ok: true })
    }
  })

  test('of other lines fails at the line it states, with a key and without', async () => {
    const writer = segmented()
    const [origin, size, , ...rest] = writer.note.split('\n\n')[0]?.split('\n') ?? []
    const text = `${[origin, size, Buffer.alloc(32, 1).toString('base64'), ...rest].join('\n')}\n`
    const checkpoint = signedNote(name, text, [writer.key])
    const dir = writer.save(folder())
    for (const key of [writer.key.text, null])
      expect(await verifyLedger(dir, key, { checkpoint })).toMatchObject(bad('checkpoint', Number(size)))
  })

  test('that states more lines than are there, or none after them, fails at the first that is missing', async () => {
    const writer = segmented()
    const longer = segmented()
    longer.calls(1)
    writer.calls(1)
    writer.checkpoint()
    const checkpoint = writer.note
    const { length } = writer.segments.at(-1)?.lines ?? []
    for (const cut of [1, 2, 4]) {
      writer.segments.at(-1)?.lines.splice(length - cut)
      const last = writer.lines.length
      expect(await verifyLedger(writer.save(folder()), writer.key.text, { checkpoint })).toMatchObject(bad('truncated', last + 1))
    }
  })

  test('over lines that were removed since cannot be held to, and is not passed over', async () => {
    const writer = segmented()
    const checkpoint = String(JSON.parse(writer.lines[0] ?? '').custom.countersign.checkpoint)
    const from = writer.segments[1]?.first ?? 0
    expect(await verifyLedger(writer.save(folder(), 1), writer.key.text, { from, checkpoint })).toMatchObject({
      ok: false,
      firstBad: { fault: 'truncated' },
    })
  })

  test.each([
    ['that is no note', () => 'nonsense'],
    [
      'of another key',
      (writer: LedgerWriter) => signedNote(name, writer.note.slice(0, writer.note.lastIndexOf('\n\n') + 1), [writerKey(name)]),
    ],
    ['that is no checkpoint', (writer: LedgerWriter) => signedNote(name, `${name}\n0\n`, [writer.key])],
  ])('%s fails', async (_, note) => {
    const writer = segmented()
    expect(await verifyLedger(writer.save(folder()), writer.key.text, { checkpoint: note(writer) })).toMatchObject(bad('signature', 0))
  })
})

describe('pairing', () => {
  test.each([
    ['an outcome without a decision', (writer: LedgerWriter) => writer.outcome('c_1')],
    ['a second outcome', (writer: LedgerWriter) => (writer.decision('c_1'), writer.outcome('c_1'), writer.outcome('c_1'))],
    ['a second decision of an open call', (writer: LedgerWriter) => (writer.decision('c_1'), writer.decision('c_1'))],
  ])('%s fails though it is signed', async (_, write) => {
    const writer = new LedgerWriter(name)
    writer.segment()
    const seq = write(writer)
    writer.checkpoint()
    expect(await verifyLedger(writer.save(folder()), writer.key.text)).toMatchObject(bad('pairing', seq))
  })

  test('of more calls than a checkpoint lists is as the page says', async () => {
    const writer = new LedgerWriter(name)
    writer.segment()
    for (let call = 0; call < 300; call++) writer.decision(`c_${call}`)
    writer.checkpoint()
    writer.segment()
    expect(await verifyLedger(writer.save(folder()), writer.key.text)).toMatchObject({ ok: true, open: 300 })
  })
})
