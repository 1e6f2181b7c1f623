import { appendFileSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { backwards, type BackwardsLine, type BackwardsOptions } from '../../../src/record/backwards.ts'
import { rigPerTest, until } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()

async function collect(
  dir: string,
  options: BackwardsOptions = {},
  most = Number.POSITIVE_INFINITY,
): Promise<{ seq: number; line: string }[]> {
  const seen: { seq: number; line: string }[] = []
  for await (const { seq, bytes } of backwards(dir, options)) {
    seen.push({ seq, line: bytes.toString() })
    if (seen.length === most) break
  }
  return seen
}

async function grown(calls: number): Promise<{ dir: string; newestFirst: { seq: number; line: string }[]; segments: () => string[] }> {
  const rig = rigged()
  const recorder = await rig.open({ segmentBytes: 6000 })
  for (let call = 0; call < calls; call++) await rig.permitted(recorder)
  await recorder.close()
  const stored = rig.text().split('\n').slice(0, -1)
  expect(rig.segments().length).toBeGreaterThan(2)
  return { dir: rig.dir, newestFirst: stored.map((line, at) => ({ seq: at + 1, line })).toReversed(), segments: () => rig.segments() }
}

describe('reading backwards', () => {
  test('gives the stored lines byte for byte under their numbers, newest first, across segments, before any line', async () => {
    const { dir, newestFirst } = await grown(12)
    expect(await collect(dir)).toEqual(newestFirst)
    for (let before = 0; before <= newestFirst.length + 2; before++) {
      expect(await collect(dir, { before })).toEqual(newestFirst.filter(({ seq }) => seq < before))
    }
  })

  test.each([3, 7, 100, 1999, 6000])('does so in pieces of %i bytes too', async (chunkBytes) => {
    const { dir, newestFirst } = await grown(6)
    expect(await collect(dir, { chunkBytes })).toEqual(newestFirst)
  })

  test.each([1, 20, 70_000])('passes over a torn last line of %i bytes', async (bytes) => {
    const { dir, newestFirst, segments } = await grown(6)
    appendFileSync(segments().at(-1) ?? '', 'a'.repeat(bytes))
    for (const chunkBytes of [50, 256 * 1024]) expect(await collect(dir, { chunkBytes })).toEqual(newestFirst)
  })

  test('numbers the lines of a segment whose last line cannot be read, and gives that line too', async () => {
    const { dir, newestFirst, segments } = await grown(6)
    appendFileSync(segments().at(-1) ?? '', 'damaged\n')
    const last = newestFirst[0]?.seq ?? 0
    expect(await collect(dir)).toEqual([{ seq: last + 1, line: 'damaged' }, ...newestFirst])
  })

  test('goes on past a segment without a line', async () => {
    const { dir, newestFirst } = await grown(6)
    const next = String(newestFirst.length + 1).padStart(12, '0')
    writeFileSync(join(dir, `${next}.ndjson`), '')
    expect(await collect(dir)).toEqual(newestFirst)
    writeFileSync(join(dir, `${next}.ndjson`), '{"torn')
    expect(await collect(dir)).toEqual(newestFirst)
  })

  test('ends where retention removes what comes next', async () => {
    const { dir, newestFirst, segments } = await grown(12)
    const lines = backwards(dir)
    const first: BackwardsLine | undefined = (await lines.next()).value ?? undefined
    expect(first?.seq).toBe(newestFirst[0]?.seq)
    for (const path of segments().slice(0, -1)) unlinkSync(path)
    let least = first?.seq ?? 0
    for await (const { seq } of lines) least = seq
    expect(segments()[0]).toContain(String(least).padStart(12, '0'))
  })

  test('shows nobody in the process a line that is not acknowledged', async () => {
    const rig = rigged()
    const held: (() => void)[] = []
    let hold = false
    const io = rig.io()
    const sync: typeof io.sync = (fd, done) => io.sync(fd, (error) => (hold ? held.push(() => done(error)) : done(error)))
    const recorder = await rig.open({ durability: 'synced', io: { ...io, sync } })
    const newest = recorder.position().seq
    hold = true
    const committed = rig.judged(recorder).commit()
    await until(() => held.length === 1)
    expect(rig.ofKind('decision')).toHaveLength(1)
    expect((await collect(rig.dir, { watch: recorder }, 1)).map(({ seq }) => seq)).toEqual([newest])
    hold = false
    held.shift()?.()
    await committed
    expect((await collect(rig.dir, { watch: recorder }, 1)).map(({ seq }) => seq)).toEqual([newest + 1])
  })

  test('ends on abort, and for a folder without a ledger', async () => {
    const { dir } = await grown(6)
    const abort = new AbortController()
    const seen: number[] = []
    for await (const { seq } of backwards(dir, { signal: abort.signal })) {
      seen.push(seq)
      abort.abort()
    }
    expect(seen).toHaveLength(1)
    const empty = mkdtempSync(join(tmpdir(), 'empty-'))
    expect(await collect(empty)).toEqual([])
    rmSync(empty, { recursive: true })
  })
})
