import * as fc from 'fast-check'
import type { Random } from './random.ts'

/** One change of a text of bytes. `at`: where, as a share of its length. */
export interface Edit {
  readonly how: 'flip' | 'insert' | 'remove' | 'repeat' | 'cut' | 'word'
  readonly at: number
  readonly by: number
}

const ways = ['flip', 'insert', 'remove', 'repeat', 'cut', 'word'] as const

/** For fast-check: a few changes, which it makes fewer of when they find something. */
export const someEdits: fc.Arbitrary<readonly Edit[]> = fc.array(
  fc.record({
    how: fc.constantFrom(...ways),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    by: fc.nat(255),
  }),
  { minLength: 1, maxLength: 6 },
)

/** The same from a seeded source. */
export function randomEdits(random: Random): Edit[] {
  return Array.from({ length: 1 + random.below(6) }, () => ({ how: random.pick(ways), at: random.next(), by: random.below(256) }))
}

/** The bytes after the changes, one after the other; `words` are what means something to whoever reads them. */
export function edited(bytes: Uint8Array, edits: readonly Edit[], words: readonly string[]): Buffer {
  let now = Buffer.from(bytes)
  for (const edit of edits) now = changed(now, edit, words)
  return now
}

function changed(bytes: Buffer, { how, at, by }: Edit, words: readonly string[]): Buffer<ArrayBuffer> {
  const place = Math.floor(at * bytes.length)
  const [before, after] = [bytes.subarray(0, place), bytes.subarray(place)]
  switch (how) {
    case 'flip':
      return Buffer.concat([before, Buffer.from([(after[0] ?? 0) ^ (by || 1)]), after.subarray(1)])
    case 'insert':
      return Buffer.concat([before, Buffer.from([by]), after])
    case 'remove':
      return Buffer.concat([before, after.subarray(1 + (by % 8))])
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, by), after])
    case 'cut':
      return Buffer.from(before)
    default:
      return Buffer.concat([before, Buffer.from(words[by % words.length] ?? '', 'latin1'), after.subarray(by % 3)])
  }
}
