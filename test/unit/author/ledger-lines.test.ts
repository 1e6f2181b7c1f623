import * as fc from 'fast-check'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { linesAt, linesOf, linesOfEvents, mostLine } from '../../../src/author/ledger-lines.ts'
import { scratchFolder } from '../../support/author-rig.ts'

const folder = scratchFolder('lines')

async function* pieces(chunks: readonly (Uint8Array | string)[]): AsyncGenerator<Uint8Array | string> {
  yield* chunks
}

async function all(lines: AsyncIterable<string | null>): Promise<(string | null)[]> {
  const found: (string | null)[] = []
  for await (const line of lines) found.push(line)
  return found
}

describe('lines of a stream', () => {
  test('are the same however the stream is cut', async () => {
    const cut = fc.array(fc.nat({ max: 40 }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ' '))), cut, async (texts, cuts) => {
        const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(''))
        const chunks: Uint8Array[] = []
        let at = 0
        for (const length of cuts) chunks.push(bytes.subarray(at, (at += length)))
        chunks.push(bytes.subarray(at))
        expect(await all(linesOf(pieces(chunks)))).toEqual(texts.map((text) => Buffer.from(text).toString()))
      }),
    )
  })

  test('end with the last one also when nothing ends it', async () => {
    expect(await all(linesOf(pieces(['one\ntwo'])))).toEqual(['one', 'two'])
    expect(await all(linesOf(pieces([])))).toEqual([])
  })

  test('pass over what is longer than any line, whatever its length, and go on behind it', async () => {
    const long = 'x'.repeat(mostLine / 2)
    expect(await all(linesOf(pieces(['one\n', long, long, 'x', long, '\ntwo\n'])))).toEqual(['one', null, 'two'])
    expect(await all(linesOf(pieces([`${long}${long}xx\ntwo`])))).toEqual([null, 'two'])
    expect(await all(linesOf(pieces([long, long, 'x'])))).toEqual([null])
  })
})

describe('lines of a record', () => {
  test('come from the segments of a folder in order, and from nothing else in it', async () => {
    const ledger = join(folder, 'ledger')
    mkdirSync(ledger)
    writeFileSync(join(ledger, '000000000003.ndjson'), 'c\n')
    writeFileSync(join(ledger, '000000000001.ndjson'), 'a\nb\n')
    writeFileSync(join(ledger, 'ledger.pub'), 'x\n')
    expect(await all(linesAt(ledger))).toEqual(['a', 'b', 'c'])
  })

  test('a folder that is no ledger is said to be none', async () => {
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    await expect(all(linesAt(empty))).rejects.toThrow('holds no ledger')
  })

  test('server-sent events give their data alone', async () => {
    const stream = 'retry: 1000\n\nid: 1\ndata: {"a":1}\n\n: alive\n\nid: 2\ndata: {"b":2}\n\n'
    expect(await all(linesOfEvents(pieces([stream])))).toEqual(['{"a":1}', '{"b":2}'])
  })
})
