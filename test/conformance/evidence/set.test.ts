import { sign } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { canonicalText } from '../../../src/evidence/canonical.ts'
import type { ExportedSet } from '../../../src/evidence/export-set.ts'
import { readEnvelope, seal } from '../../../src/evidence/envelope.ts'
import { listFiles, readManifest, type Manifest } from '../../../src/evidence/manifest.ts'
import type { SetFiles } from '../../../src/evidence/read-set.ts'
import { verifySet } from '../../../src/evidence/verify-set.ts'
import { readVerifierKey } from '../../../src/record/note.ts'
import { exported, idOf, refund, Story, task } from '../../support/evidence-story.ts'
import { writerKey, type WriterKey } from '../../support/ledger-writer.ts'

const story = refund()
const { key } = story.writer
let set: ExportedSet
beforeAll(async () => {
  set = await exported(story)
})

/** The set with some files replaced (null: gone), its manifest as it was. */
function edited(changes: Readonly<Record<string, string | null>>, files: SetFiles = set.files): SetFiles {
  const copy = new Map(files)
  for (const [path, text] of Object.entries(changes)) {
    if (text === null) copy.delete(path)
    else copy.set(path, Buffer.from(text))
  }
  return copy
}

const textOf = (path: string, files: SetFiles = set.files): string => Buffer.from(files.get(path) ?? '').toString()

/** As somebody would who holds a key: all of it signed anew over what is there now. */
function resigned(files: SetFiles, change: (manifest: Manifest) => object = (manifest) => manifest, by: WriterKey = key): SetFiles {
  const envelope = readEnvelope(files.get('manifest.json') ?? new Uint8Array())
  const manifest = envelope === null ? null : readManifest(envelope.payload)
  if (manifest === null) throw new Error('no manifest')
  const own = new Map([...files].filter(([path]) => path !== 'manifest.json'))
  const signer = { verifierKey: by.text, sign: (bytes: Uint8Array) => sign(null, bytes, by.key) }
  const text = seal(change({ ...manifest, files: listFiles(own) }), readVerifierKey(by.text).id, signer)
  return new Map([['manifest.json', Buffer.from(text)], ...own])
}

const found = (files: SetFiles, keys: readonly string[] | null = [key.text]) => {
  const { firstBad } = verifySet(files, keys)
  return firstBad === null ? 'intact' : `${firstBad.fault} ${firstBad.file}${firstBad.seq === null ? '' : `:${firstBad.seq}`}`
}

const lines = (): string[] => textOf('lines.ndjson').split('\n').slice(0, -1)
const seqOf = (line: string | undefined): number => Number(JSON.parse(line ?? '').custom.countersign.seq)
const joined = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('')
const counted =
  (all: readonly string[]) =>
  (manifest: Manifest): object => ({ ...manifest, lines: { count: all.length, first: seqOf(all[0]), last: seqOf(all.at(-1)) } })

/** Lines and the proofs of those that stay, signed anew by the holder of the key. */
function withLines(all: readonly string[]): SetFiles {
  const proofs = JSON.parse(textOf('proofs.json')) as { proofs: { seq: number }[] }
  const kept = proofs.proofs.filter(({ seq }) => all.some((line) => seqOf(line) === seq))
  return resigned(edited({ 'lines.ndjson': joined(all), 'proofs.json': canonicalText({ ...proofs, proofs: kept }) }), counted(all))
}

describe('a set that was exported', () => {
  test('verifies with the key of its ledger, and with no other', () => {
    const report = verifySet(set.files, [key.text])
    expect(report).toMatchObject({
      ok: true,
      kind: 'set',
      signed: true,
      parts: [{ task, origin: story.writer.name, madeBy: 'person:ada', open: 0 }],
    })
    expect(found(set.files, [writerKey(story.writer.name).text])).toBe('signature manifest.json')
    expect(found(set.files, [writerKey('ledger.acme.example/two').text])).toBe('signature manifest.json')
    expect(verifySet(set.files, null)).toMatchObject({ ok: true, signed: false })
  })

  test('is the same, byte for byte, when it is made again at the same moment', async () => {
    const again = await exported(story)
    expect([...again.files].map(([path, bytes]) => [path, Buffer.from(bytes).toString('base64')])).toEqual(
      [...set.files].map(([path, bytes]) => [path, Buffer.from(bytes).toString('base64')]),
    )
  })

  test('of a task that runs counts its open calls', async () => {
    const running = new Story()
    running.opened(task)
    running.call(task, {}, null)
    running.writer.checkpoint()
    const part = await exported(running)
    expect(verifySet(part.files, [running.writer.key.text])).toMatchObject({ ok: true, parts: [{ open: 1 }] })
    expect(part.notes).toEqual(['the task has not ended: it is active', '1 permitted calls have no outcome yet'])
  })

  test('of a ledger whose beginning is gone says so, and leaves out how calls ended that began there', async () => {
    const old = new Story()
    const call = old.call(task, {}, null)
    old.writer.segment()
    old.writer.outcome(call, { task })
    old.call(task)
    old.writer.checkpoint()
    old.writer.segments.shift()
    const part = await exported(old)
    expect(found(part.files, [old.writer.key.text])).toBe('intact')
    expect(part.notes.join()).toContain('the opening of the task is not there: the ledger begins at line')
    expect(part.summary.counts).toMatchObject({ calls: 1, open: 0 })
  })

  test('verifies with an older key that handed over, and with the newer alone', async () => {
    const rotated = new Story()
    const first = rotated.writer.key
    const second = writerKey(rotated.writer.name)
    rotated.opened(task)
    rotated.writer.checkpoint(second)
    rotated.call(task)
    rotated.writer.segment()
    rotated.ended(task)
    rotated.writer.checkpoint()
    const part = await exported(rotated)
    expect(textOf('handovers.ndjson', part.files).split('\n')).toHaveLength(2)
    for (const { text } of [first, second]) expect(found(part.files, [text])).toBe('intact')
    const without = resigned(edited({ 'handovers.ndjson': '' }, part.files), undefined, second)
    expect(found(without, [first.text])).toBe('signature manifest.json')
    const forged = edited({ 'handovers.ndjson': textOf('handovers.ndjson', part.files).replace('"seq":', '"seq": ') }, part.files)
    expect(found(resigned(forged, undefined, second), [second.text])).toBe('signature handovers.ndjson')
  })
})

describe('whoever changes a file and cannot sign', () => {
  test.each(['lines.ndjson', 'proofs.json', 'summary.json', 'report.html', 'policy/r-1.json'])('of %s is found', (path) => {
    expect(found(edited({ [path]: `${textOf(path)} ` }))).toBe(`manifest ${path}`)
    expect(found(edited({ [path]: textOf(path).replace('1', '2') }))).toBe(`manifest ${path}`)
    expect(found(edited({ [path]: null }))).toBe(`manifest ${path}`)
  })

  test('puts a file in, and is found', () => {
    expect(found(edited({ 'more.txt': 'x' }))).toBe('manifest more.txt')
    expect(found(edited({ 'handovers.ndjson': '{}\n' }))).toBe('manifest handovers.ndjson')
  })

  test('changes one byte of the envelope, and is found', () => {
    const text = textOf('manifest.json')
    for (const at of [3, 20, 400, text.length - 60, text.length - 5])
      expect(found(edited({ 'manifest.json': `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}` }))).toMatch(
        /^(manifest|signature) manifest.json$/,
      )
  })
})

describe('whoever signs anew', () => {
  test('with a key of his own is found', () => {
    const own = writerKey(story.writer.name)
    expect(found(resigned(set.files, (manifest) => ({ ...manifest, key: own.text }), own))).toBe('signature manifest.json')
    expect(found(resigned(set.files, undefined, own))).toBe('signature manifest.json')
  })

  // the key of the ledger itself makes no line that is not in the tree
  test('a changed line is found by its proof', () => {
    const all = lines()
    const changed = all.map((line, at) => (at === 3 ? line.replace('"effect":"allow"', '"effect":"deny"').replace('crm', 'drm') : line))
    expect(found(withLines(changed))).toBe(`proof lines.ndjson:${seqOf(all[3])}`)
  })

  test('a line of another ledger is found by its proof', () => {
    const other = refund(new Story('ledger.acme.example/two'))
    const all = lines()
    const foreign = other.writer.lines[seqOf(all[5]) - 1] ?? ''
    expect(found(withLines(all.map((line, at) => (at === 5 ? foreign : line))))).toBe(`proof lines.ndjson:${seqOf(all[5])}`)
  })

  test('lines in another order, twice, or cut, is found', () => {
    const all = lines()
    const swapped = [...all.slice(0, 2), all[3] ?? '', all[2] ?? '', ...all.slice(4)]
    expect(found(withLines(swapped))).toBe(`sequence lines.ndjson:${seqOf(all[2])}`)
    expect(found(withLines([...all.slice(0, 2), all[1] ?? '', ...all.slice(2)]))).toBe(`sequence lines.ndjson:${seqOf(all[1])}`)
    expect(found(resigned(edited({ 'lines.ndjson': textOf('lines.ndjson').slice(0, -1) })))).toMatch(/^parse lines.ndjson/)
    expect(found(resigned(edited({ 'lines.ndjson': `${textOf('lines.ndjson')}\n` })))).toMatch(/^parse lines.ndjson/)
    expect(found(resigned(edited({ 'lines.ndjson': joined(all.slice(1)) })))).toBe('manifest manifest.json')
  })

  test('an outcome without its decision is found', () => {
    const all = lines()
    const decision = all.findIndex((line) => line.includes('"kind":"decision"'))
    const outcome = all.find((line) => line.includes('"kind":"outcome"'))
    expect(found(withLines(all.filter((_, at) => at !== decision)))).toBe(`pairing lines.ndjson:${seqOf(outcome)}`)
  })

  test('proofs of another checkpoint, or of nothing, is found', () => {
    const proofs = JSON.parse(textOf('proofs.json'))
    const other = (change: object): SetFiles => resigned(edited({ 'proofs.json': canonicalText({ ...proofs, ...change }) }))
    expect(found(other({ size: proofs.size - 1 }))).toBe('proof proofs.json')
    expect(found(other({ root: Buffer.alloc(32).toString('base64') }))).toBe('proof proofs.json')
    expect(found(other({ proofs: [] }))).toBe(`proof lines.ndjson:${seqOf(lines()[0])}`)
    expect(found(other({ proofs: [...proofs.proofs, { seq: 999, path: [] }] }))).toBe('proof proofs.json')
    expect(found(resigned(edited({ 'proofs.json': `${textOf('proofs.json')}\n` })))).toBe('proof proofs.json')
  })

  test('another root, other traces or another task is found', () => {
    expect(found(resigned(set.files, (manifest) => ({ ...manifest, root: 'user:u-8' })))).toBe('correlation manifest.json')
    expect(found(resigned(set.files, (manifest) => ({ ...manifest, correlation: { ...manifest.correlation, traces: [] } })))).toBe(
      'correlation manifest.json',
    )
    expect(found(resigned(set.files, (manifest) => ({ ...manifest, task: idOf('t', 77) })))).toBe('manifest manifest.json')
  })

  test('another summary is found', () => {
    const summary = { ...JSON.parse(textOf('summary.json')), approvals: [] }
    expect(found(resigned(edited({ 'summary.json': canonicalText(summary) })))).toBe('summary summary.json')
    expect(found(resigned(edited({ 'summary.json': `${textOf('summary.json')}\n` })))).toBe('summary summary.json')
  })

  test('a manifest of another form is found', () => {
    for (const change of [
      { format: 2 },
      { more: 1 },
      { files: [{ path: '../x', sha256: '0'.repeat(64), size: 1 }] },
      { files: [{ path: '.hidden', sha256: '0'.repeat(64), size: 1 }] },
      { lines: { count: '1', first: 1, last: 1 } },
      { correlation: { roots: [] } },
    ])
      expect(found(resigned(set.files, (manifest) => ({ ...manifest, ...change }))), JSON.stringify(change)).toBe('manifest manifest.json')
  })

  test('a checkpoint of another ledger, or none, is found', () => {
    const other = new Story('ledger.acme.example/two').writer
    for (const checkpoint of [other.note, '', 'x'])
      expect(found(resigned(set.files, (manifest) => ({ ...manifest, checkpoint })))).toBe('signature manifest.json')
    expect(found(resigned(set.files, (manifest) => ({ ...manifest, origin: 'ledger.acme.example/two' })))).toBe('signature manifest.json')
  })
})
