import { expect, test } from 'vitest'
import { readAnswer } from '../../../src/decide/answer.ts'

// Whether the platform's own parser misreads one of these depends on every object made before (nodejs/node#63785).
test('keys that are spelled with escapes keep their names, whatever was read before them', () => {
  const keys = ['"', '\\', 'a', String.raw`\u0061`, '\n', '\\"', '\\\\']
  for (const first of keys)
    for (const second of keys) {
      const document = [{ [first]: 0 }, { [second]: 1 }]
      const answer = readAnswer(JSON.stringify([{ result: document }])) as object[]
      expect(answer.map((one) => Object.keys(one))).toEqual([[first], [second]])
    }
})

test('an empty result set is undefined, and anything but a result set is a failure', () => {
  expect(readAnswer('[]')).toBeUndefined()
  expect(readAnswer('[{"result":{"effect":"deny"}}]')).toEqual({ effect: 'deny' })
  for (const text of ['{}', '7', '', '[', String.raw`["\ud800"`]) expect(() => readAnswer(text), text).toThrow()
})
