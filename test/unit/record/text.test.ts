import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { oneLine, quote, quoteAll } from '../../../src/record/json-text.ts'
import { stampSource } from '../../../src/record/timestamp.ts'
import { traceId } from '../../../src/trace-context.ts'

const clean = (text: string) => oneLine(text, Buffer.byteLength(text))

describe('text of a line', () => {
  test('any string comes out as one line without terminal controls and reads back as it went in', () => {
    const hostile = fc.string({
      unit: fc.constantFrom('\u2028', '\u2029', '\u001b', '\u009b', '\u0085', '\u007f', '\n', '\r', '"', '\\', 'é', '\ud800', 'a'),
    })
    fc.assert(
      fc.property(fc.oneof(hostile, fc.string({ unit: 'binary' })), (text) => {
        const line = clean(JSON.stringify({ text }))
        // oxlint-disable-next-line no-control-regex
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
        expect(JSON.parse(line)).toEqual({ text })
      }),
    )
  })

  test('white space that breaks lines between tokens becomes a blank', () => {
    expect(clean('{\r\n"a":\n1}')).toBe('{  "a": 1}')
  })

  test('a string past its cap is cut and marked, also through a surrogate pair', () => {
    expect(JSON.parse(quote('abcdef', 3))).toBe('abc…')
    expect(JSON.parse(quote('ab😀', 3))).toBe('ab\ud83d…')
  })

  test('a list past its cap is cut', () => {
    expect(quoteAll(['a', 'b', 'c'], 2)).toBe('["a","b"]')
    expect(quoteAll([])).toBe('[]')
  })
})

describe('timestamps', () => {
  test('every moment reads back to the millisecond, forwards and backwards', () => {
    let now = 0
    const stamp = stampSource(() => now)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (ms) => {
        now = ms
        expect(stamp()).toBe(new Date(ms).toISOString())
      }),
    )
  })
})

describe('traceparent (W3C Trace Context §3.2)', () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736'
  test.each([
    ['a version 00 header', `00-${id}-00f067aa0ba902b7-01`, id],
    ['a later version with more fields', `01-${id}-00f067aa0ba902b7-01-more`, id],
  ])('%s gives the trace id', (_, header, wanted) => expect(traceId(header)).toBe(wanted))

  test.each([
    ['no header', undefined],
    ['an empty one', ''],
    ['version ff', `ff-${id}-00f067aa0ba902b7-01`],
    ['upper case', `00-${id.toUpperCase()}-00f067aa0ba902b7-01`],
    ['an all-zero trace id', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`],
    ['an all-zero parent id', `00-${id}-${'0'.repeat(16)}-01`],
    ['version 00 with more fields', `00-${id}-00f067aa0ba902b7-01-more`],
    ['two headers joined', `00-${id}-00f067aa0ba902b7-01, 00-${id}-00f067aa0ba902b7-01`],
    ['a letter that is not hex', `00-${id.slice(0, 31)}g-00f067aa0ba902b7-01`],
  ])('%s gives none', (_, header) => expect(traceId(header)).toBeNull())
})
