import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EventMask } from '../../../src/forward/event-mask.ts'

/** What comes out of a stream in these pieces. */
function masked(pieces: readonly string[], limit = 10_000): string {
  const mask = new EventMask({ mask: ['/ssn'], drop: ['/internal'] }, limit)
  const out = pieces.map((piece) => mask.pass(Buffer.from(piece, 'latin1')))
  return Buffer.concat([...out, mask.rest()]).toString('latin1')
}

describe('an event stream', () => {
  it.each([
    ['a document', 'data: {"ssn":"7","n":1}\n\n', 'data: {"ssn":"***","n":1}\n\n'],
    ['no blank after the colon', 'data:{"ssn":"7"}\n\n', 'data: {"ssn":"***"}\n\n'],
    ['a document over several lines', 'data: {"ssn":\ndata: "7"}\n\n', 'data: {"ssn":\ndata: "***"}\n\n'],
    ['carriage returns', 'data: {"ssn":"7"}\r\rdata: 1\r\r', 'data: {"ssn":"***"}\n\ndata: 1\n\n'],
    ['both', 'event: a\r\ndata: {"ssn":"7"}\r\n\r\ndata: 2\r\n\r\n', 'event: a\ndata: {"ssn":"***"}\n\ndata: 2\n\n'],
    ['a byte order mark', '\xef\xbb\xbfdata: {"ssn":"7"}\n\n', 'data: {"ssn":"***"}\n\n'],
    ['a comment', ': ssn 7\n\n', ':\n\n'],
    ['a field that nobody defined', 'ssn: 7\nid: 1\nretry: 5\n\n', 'id: 1\nretry: 5\n\n'],
    ['a last event without its end', 'data: {"ssn":"7"}', 'data: {"ssn":"***"}\n\n'],
    ['the mark of an end', 'data: [DONE]\n\n', 'data: [DONE]\n\n'],
    ['a dropped member', 'data: {"internal":7,"a":1}\n\n', 'data: {"a":1}\n\n'],
  ])('with %s', (_, text, expected) => {
    expect(masked([text])).toBe(expected)
  })

  it.each([
    ['text', 'data: ssn is 7\n\n'],
    ['half a document', 'data: {"ssn":"7"\n\n'],
    ['a document with a line break in a string', 'data: {"ssn":"7\ndata: 8"}\n\n'],
    ['two documents', 'data: {"a":1}{"ssn":"7"}\n\n'],
    ['a second byte order mark', 'data: 1\n\n\xef\xbb\xbfdata: {"ssn":"7"}\n\n data'],
    ['bytes that are no UTF-8', 'data: {"a":"\xff"}\n\n'],
  ])('with %s in an event is not passed', (_, text) => {
    let out = ''
    try {
      out = masked([text])
    } catch (error) {
      expect(error).toMatchObject({ name: 'SpliceFault' })
    }
    expect(out).not.toContain('7')
  })

  it('holds no event beyond its limit', () => {
    expect(() => masked(['data: "', 'x'.repeat(200)], 100)).toThrow('too long')
    expect(() => masked([`data: "${'x'.repeat(200)}"\n\n`], 100)).toThrow('too long')
    expect(
      masked(
        Array.from({ length: 50 }, () => 'data: 12345\n\n'),
        20,
      ),
    ).toHaveLength(50 * 13)
  })

  it('is the same however it was cut into pieces', () => {
    const part = fc.constantFrom(
      'data: {"ssn":"7"}',
      'data:1',
      ':c',
      'event: e\n',
      '\n',
      '\r',
      '\r\n',
      '\n\n',
      '\r\n\r\n',
      'data: {"a":\ndata: 2}\n\n',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.array(fc.nat(40), { maxLength: 6 }), (parts, cuts) => {
        const text = parts.join('')
        const whole = attempt(() => masked([text]))
        const pieces = [...cuts, text.length]
          .sort((a, b) => a - b)
          .reduce<{ at: number; list: string[] }>(
            ({ at, list }, cut) => ({ at: Math.max(at, cut), list: [...list, text.slice(at, Math.max(at, cut))] }),
            { at: 0, list: [] },
          ).list
        expect(attempt(() => masked(pieces))).toEqual(whole)
        expect(attempt(() => masked(text.split('')))).toEqual(whole)
        if (whole !== null) expect(whole).not.toContain('7')
      }),
      { numRuns: 2000 },
    )
  })
})

function attempt(masking: () => string): string | null {
  try {
    return masking()
  } catch {
    return null
  }
}
