import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { echoesOf, searched, type Echoes } from '../../../src/forward/echoes.ts'
import { Scrub } from '../../../src/forward/scrub.ts'
import { Secret } from '../../../src/secret.ts'
import { sketchLease } from '../../support/forward-rig.ts'
import { LeakFinder, spellings } from '../../support/leaks.ts'

const text = 'tok"en+/=-lent<&\'to>%one\\task'
const echoes = echoesOf(sketchLease({ secret: new Secret(text) }))

function lookedFor(secret: string): Echoes {
  return echoesOf(sketchLease({ secret: new Secret(secret) }))
}

function through(pieces: readonly (Buffer | string)[], of = echoes): string {
  const scrub = new Scrub(of)
  const out = pieces.flatMap((piece) => [...scrub.pass(Buffer.from(piece as string, 'latin1'), false)])
  return Buffer.concat([...out, scrub.rest()]).toString('latin1')
}

/** `whole` cut into pieces of these lengths, again and again. */
function cut(whole: string, lengths: readonly number[]): string[] {
  const pieces: string[] = []
  for (let at = 0, index = 0; at < whole.length; index++) {
    const length = lengths[index % lengths.length] ?? whole.length
    pieces.push(whole.slice(at, at + length))
    at += length
  }
  return pieces
}

const ways = Object.entries(spellings)

describe('a lent secret that comes back in a body', () => {
  test.each(ways)('is masked spelled as %s, and nothing else changes', (_how, spell) => {
    const spelled = spell(text).join('')
    const answer = through([`before ${spelled} after`])
    expect(answer).toMatch(/^before [^*]{0,2}\*{28,}[^*]{0,2} after$/)
    expect(answer).toHaveLength(`before ${spelled} after`.length)
  })

  test.each(ways)('is masked from three fifths on, spelled as %s', (_how, spell) => {
    const tokens = spell(text)
    const least = Math.ceil(tokens.length * 0.6)
    for (let from = 0; from + least <= tokens.length; from++) {
      const run = tokens.slice(from, from + least).join('')
      expect(through([`|${run}|`])).toBe(`|${'*'.repeat(run.length)}|`)
    }
  })

  test.each([
    ['a Basic pair', btoa(`me:${text}`)],
    ['base64 with a slash that JSON escaped', btoa(`??>${text}`).replaceAll('/', '\\/')],
    ['base64 in a URL', encodeURIComponent(btoa(text))],
    ['a form', new URLSearchParams({ a: text }).toString().slice(2)],
    [
      'HTML of another framework',
      text.replaceAll('&', '&amp;').replaceAll("'", '&#x27;').replaceAll('"', '&#34;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
    ],
    [
      'JSON that HTML may hold',
      JSON.stringify(text)
        .slice(1, -1)
        .replace(/[<>&']/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`),
    ],
    ['quoted-printable with a soft line break', `${text.replace('=', '=3D').slice(0, 18)}=\r\n${text.replace('=', '=3D').slice(18)}`],
    ['a soft line break behind every byte', [...text].map((char) => `${char === '=' ? '=3D' : char}=\n`).join('')],
  ])('is masked in %s', (_how, spelled) => {
    expect(new LeakFinder([text]).find(through([`before ${spelled} after`]))).toBeNull()
    expect(through([`before ${spelled} after`]).replaceAll(/[^*]/g, '').length).toBeGreaterThanOrEqual(text.length)
  })

  test('is masked to both its ends, however those are escaped', () => {
    const token = 'ghp_16C7e42F292c6912E7710c838347Ae178B4a'
    const spelled = `%67%68p_${token.slice(4, 36)}\\u00378&#x42;&#0052;=61`.replace('\\u00378', '\\u0037=38')
    expect(through([`|${spelled}|`], lookedFor(`${token.slice(0, 36)}78B4a`))).toBe(`|${'*'.repeat(spelled.length)}|`)
  })

  test('comes out the same however its bytes are parted', () => {
    const piece = fc.oneof(
      fc
        .tuple(fc.constantFrom(...ways.map(([, spell]) => spell(text))), fc.nat(80), fc.nat(80))
        .map(([tokens, from, length]) => tokens.slice(from, from + length).join('')),
      fc.constantFrom(text, '=\n', '=\r\n', '%', '&#', '\\u00', '\n', 'tok', '='),
      fc.string({ maxLength: 12 }),
    )
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 6 }),
        (parts, lengths) => {
          const whole = Buffer.from(parts.join(''), 'latin1')
          const masked = Buffer.from(whole)
          for (const [start, end] of searched(whole, echoes, true).runs) masked.fill('*', start, end)
          expect(through(cut(whole.toString('latin1'), lengths))).toBe(masked.toString('latin1'))
          expect(new LeakFinder([text]).find(masked.toString('latin1'))).toBeNull()
        },
      ),
      { numRuns: 300 },
    )
  })

  test('comes out the same in chunks too large to be copied', () => {
    const filler = 'some words of an answer, and then some. '.repeat(500)
    const token = 'ghp_16C7e42F292c6912E7710c838347Ae178B4a'
    const of = lookedFor(token)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 39 }), fc.integer({ min: 9_000, max: 19_000 }), (inside, before) => {
        const whole = `${filler.slice(0, before)}${token}${filler}${token.slice(0, 30)}${filler}`
        const at = before + inside
        const out = through([whole.slice(0, at), whole.slice(at, at + 15_000), whole.slice(at + 15_000)], of)
        expect(out).toBe(whole.replaceAll(token, '*'.repeat(40)).replaceAll(token.slice(0, 30), '*'.repeat(30)))
      }),
      { numRuns: 60 },
    )
  })

  test('is held back no longer than it may yet become a match', () => {
    const scrub = new Scrub(echoes)
    const pass = (piece: string): string => Buffer.concat(scrub.pass(Buffer.from(piece), false)).toString()
    expect(pass('data: {"n":1}\n\n')).toBe('data: {"n":1}\n\n')
    expect(pass(`n ${text.slice(0, 5)}`)).toBe('n ')
    expect(pass('!')).toBe(`${text.slice(0, 5)}!`)
    // it is one already: its stars need not wait for the rest
    expect(pass(text.slice(0, 20))).toBe('*'.repeat(20))
    expect(pass(text.slice(20))).toBe('*'.repeat(text.length - 20))
    expect(Buffer.concat(scrub.pass(Buffer.from(text.slice(0, 5)), true)).toString()).toBe(text.slice(0, 5))
  })

  test('never makes an event stream wait, whatever the secret', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[!-~]{8,60}$/), fc.stringMatching(/^[ -~]{0,60}$/), (secret, data) => {
        const event = `data: ${data}\n\n`
        const out = new Scrub(lookedFor(secret)).pass(Buffer.from(event), false)
        expect(Buffer.concat(out)).toHaveLength(event.length)
      }),
      { numRuns: 50 },
    )
  })

  test('leaves the bytes it was given as they are', () => {
    const given = Buffer.from(text)
    new Scrub(echoes).pass(given, true)
    expect(given.toString()).toBe(text)
  })

  test('is left alone below 60 %, and below 8 characters', () => {
    expect(through([text.slice(0, 16)])).toBe(text.slice(0, 16))
    expect(through(['1234567'], lookedFor('12345678'))).toBe('1234567')
    expect(through(['12345678'], lookedFor('1234567890123'))).toBe('*'.repeat(8))
  })

  test('is not looked for when it is too short to be one', () => {
    expect(through(['abc in abcdef'], lookedFor('abc'))).toBe('abc in abcdef')
  })

  test('that is too short is masked as the pair that it was sent in, and its user is no secret', () => {
    const pair = echoesOf(sketchLease({ secret: new Secret('4711!'), placement: { in: 'basic', user: 'x-access-token' } }))
    expect(through([`Basic ${btoa('x-access-token:4711!')}`], pair)).toBe(`Basic ${'*'.repeat(27)}=`)
    expect(through(['sent by x-access-token:'], pair)).toBe('sent by x-access-token:')
  })

  test('is one of several: every part of a lease is looked for', () => {
    const lease = sketchLease({ secret: new Secret('first-secret-of-it'), parts: { session_token: new Secret('second-secret-of-it') } })
    const of = echoesOf(lease)
    expect(through(['a first-secret-of-it b second-secret-of-it c'], of)).toBe(`a ${'*'.repeat(18)} b ${'*'.repeat(19)} c`)
    expect(echoesOf({ ...lease })).toBe(of)
  })

  test.each([
    'a'.repeat(40),
    'ab'.repeat(20),
    '%25%25%25%25%25%25',
    '\\\\\\\\\\\\\\\\\\\\',
    '&amp;&amp;&amp;',
    '=3D=3D=3D=3D=3D',
    ';;;;;;;;;;',
    'e'.repeat(8),
  ])('is masked though it repeats itself or looks like an escape: %s', (secret) => {
    const of = lookedFor(secret)
    for (const [, spell] of ways) {
      const spelled = spell(secret).join('')
      const whole = `(${spelled})`
      for (const lengths of [[1], [7], [whole.length]]) expect(through(cut(whole, lengths), of)).toMatch(/^\([^*]{0,2}\*+[^*]{0,2}\)$/)
    }
  })

  test('costs no more than a look at each byte when it comes back all the time', () => {
    const token = 'ghp_16C7e42F292c6912E7710c838347Ae178B4a'
    const out = through([token.repeat(20_000)], lookedFor(token))
    expect(out).toBe('*'.repeat(token.length * 20_000))
  })
})
