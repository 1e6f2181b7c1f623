import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Scrub, spellingsOf } from '../../../src/forward/scrub.ts'
import { Secret } from '../../../src/secret.ts'

const text = 'tok"en+/=-lent'
const secret = new Secret(text)

function through(pieces: readonly string[], spellings = spellingsOf(secret)): string {
  const scrub = new Scrub(spellings)
  const out = pieces.map((piece) => scrub.pass(Buffer.from(piece, 'latin1'), false))
  return Buffer.concat([...out, scrub.rest()]).toString('latin1')
}

describe('a lent secret that comes back in a body', () => {
  test.each([
    ['as it is', text],
    ['URL-encoded', encodeURIComponent(text)],
    ['escaped in JSON', JSON.stringify(text)],
    ['in hex', Buffer.from(text).toString('hex')],
    ['in base64', btoa(text)],
    ['in base64 behind one byte', btoa(`:${text}`)],
    ['in a Basic pair', btoa(`me:${text}`)],
    ['in base64url', Buffer.from(`abc${text}d`).toString('base64url')],
  ])('is masked %s, and nothing else changes', (_how, spelled) => {
    const answer = through([`before ${spelled} after`])
    expect(answer).toMatch(/^before [^*]{0,4}\*{8,}[^*]{0,4} after$/)
    expect(answer).toHaveLength(`before ${spelled} after`.length)
  })

  test('is masked wherever its bytes are parted', () => {
    const whole = `x${text}y${text}`
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 6 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), whole.length]
        const pieces = at.slice(1).map((end, index) => whole.slice(at[index], end))
        expect(through(pieces)).toBe(`x${'*'.repeat(text.length)}y${'*'.repeat(text.length)}`)
      }),
    )
  })

  test('holds back no more than what may yet become a match', () => {
    const scrub = new Scrub(spellingsOf(secret))
    expect(scrub.pass(Buffer.from('data: {"n":1}\n\n'), false).toString()).toBe('data: {"n":1}\n\n')
    expect(scrub.pass(Buffer.from(`n ${text.slice(0, 5)}`), false).toString()).toBe('n ')
    expect(scrub.pass(Buffer.from('!'), false).toString()).toBe(`${text.slice(0, 5)}!`)
    expect(scrub.pass(Buffer.from(text.slice(0, 5)), true).toString()).toBe(text.slice(0, 5))
  })

  test('leaves the bytes it was given as they are', () => {
    const given = Buffer.from(text)
    new Scrub(spellingsOf(secret)).pass(given, true)
    expect(given.toString()).toBe(text)
  })

  test('is not looked for when it is too short to be one', () => {
    expect(through(['abc in abcdef'], spellingsOf(new Secret('abc')))).toBe('abc in abcdef')
  })
})
