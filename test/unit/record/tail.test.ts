import { unlinkSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { tail } from '../../../src/record/tail.ts'
import type { TailLine } from '../../../src/record/tail.ts'
import { rigPerTest, until } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()

async function collect(lines: AsyncIterable<TailLine>, most = Number.POSITIVE_INFINITY): Promise<TailLine[]> {
  const seen: TailLine[] = []
  for await (const line of lines) {
    seen.push(line)
    if (seen.length === most) break
  }
  return seen
}

describe('tail', () => {
  test('gives the stored lines byte for byte, across segments, from any line on', async () => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 6000 })
    for (let call = 0; call < 12; call++) await rig.permitted(recorder)
    await recorder.close()
    const stored = rig.text().split('\n').slice(0, -1)
    expect(rig.segments().length).toBeGreaterThan(2)
    for (let fromSeq = 0; fromSeq <= stored.length + 1; fromSeq++) {
      const seen = await collect(tail(rig.dir, { fromSeq, follow: false }))
      expect(seen).toEqual(stored.map((line, at) => ({ seq: at + 1, line })).slice(Math.max(0, fromSeq - 1)))
    }
  })

  test.each([
    ['in the same process, told by the writer', true],
    ['in another process, looking', false],
  ])('follows %s, through rotation', async (_, same) => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 6000 })
    const options = { fromSeq: 1, follow: true, pollMs: 1, ...(same ? { watch: recorder } : {}) }
    const seen = collect(tail(rig.dir, options), 40)
    for (let call = 0; call < 20; call++) await rig.permitted(recorder)
    await recorder.close()
    expect((await seen).map(({ line }) => line)).toEqual(rig.text().split('\n').slice(0, 40))
  })

  test('ends on abort while it waits', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    for (const source of [
      recorder.tail.bind(recorder),
      (options: { signal: AbortSignal }) => tail(rig.dir, { ...options, fromSeq: 99, follow: true }),
    ]) {
      const abort = new AbortController()
      const seen = collect(source({ follow: true, signal: abort.signal }))
      setImmediate(() => abort.abort())
      expect(await seen).toEqual([])
    }
  })

  test('waits for a ledger that has no line yet', async () => {
    const rig = rigged()
    const seen = collect(tail(rig.dir, { fromSeq: 1, follow: true, pollMs: 1 }), 2)
    await rig.open()
    expect(await seen).toHaveLength(2)
  })

  test('shows a follower in the process no line that is not acknowledged', async () => {
    const rig = rigged()
    const held: (() => void)[] = []
    let hold = false
    const io = rig.io()
    const sync: typeof io.sync = (fd, done) => io.sync(fd, (error) => (hold ? held.push(() => done(error)) : done(error)))
    const recorder = await rig.open({ durability: 'synced', io: { ...io, sync } })
    const from = recorder.position().seq + 1
    hold = true
    const committed = rig.judged(recorder).commit()
    await until(() => held.length === 1)
    expect(rig.ofKind('decision')).toHaveLength(1)
    expect(await collect(recorder.tail({ fromSeq: from, follow: false }))).toEqual([])
    const followed = collect(recorder.tail({ fromSeq: from, follow: true }), 1)
    hold = false
    held.shift()?.()
    await committed
    expect((await followed).map(({ seq }) => seq)).toEqual([from])
  })

  test('begins with the oldest line there is when the one wanted is gone', async () => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 4000 })
    for (let call = 0; call < 6; call++) await rig.permitted(recorder)
    unlinkSync(rig.segments()[0] ?? '')
    const [first] = await collect(tail(rig.dir, { fromSeq: 1, follow: false }), 1)
    expect(rig.segments()[0]).toContain(String(first?.seq).padStart(12, '0'))
  })
})
