import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTarget, type Relaxations } from '../../../src/listen/target.ts'
import { Refusal } from '../../../src/refusal.ts'

const strict: Relaxations = { encodedSlash: false, emptySegments: false, encodedPercent: false }
const all: Relaxations = { encodedSlash: true, emptySegments: true, encodedPercent: true }

/** The first reason of the refusal, or null when the target passes. */
function refusal(target: string, relax: Relaxations = strict): string | null {
  try {
    parseTarget(target, relax)
    return null
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== 'listen.malformed') throw error
    return error.reasons[0] ?? ''
  }
}

describe('the grammar', () => {
  it.each(['#', '"', '<', '>', '\\', '^', '`', '{', '|', '}', ' ', '\t', '\x00', '\x7f', '\x80', 'é', '\xff', '\r', '\n', '[', ']'])(
    'refuses %j in a path',
    (char) => {
      expect(refusal(`/a${char}b`)).toBe('the target holds a character that RFC 3986 does not allow')
    },
  )

  it.each(['#', '"', '<', '>', '\\', '^', '`', '{', '|', '}', ' ', '\x00', '\x80', 'é'])('refuses %j in a query', (char) => {
    expect(refusal(`/a?b=${char}`)).toBe('the target holds a character that RFC 3986 does not allow')
  })

  it('takes brackets in a query', () => {
    expect(refusal('/a?filter[name]=x&ids[]=1')).toBeNull()
  })

  it.each(['/%', '/%4', '/%4g', '/%zz', '/a%', '/a?b=%', '/a?b=%f', '/%u0041', '/%%41'])('refuses the broken encoding in %s', (target) => {
    expect(refusal(target)).toBe('the target holds a broken percent-encoding')
  })
})

describe('new structure', () => {
  const never = [
    ...'/.. /. /a/.. /a/../b /./a /a/. /a/./ /../'.split(' '),
    ...'/%2e%2e/a /%2E./a /.%2e /%2e /a/%2e%2e /%252e%252e/a /%25252e%25252e'.split(' '),
    ...'/..;/a /..;x=y/a /.;/a /%2e%2e;/a /..%3b/a /..%3Bx /..%253b /%2e;x /..%3fx /..%23x /..%00'.split(' '),
    ...'/..%20/a /%20.. /.%20. /..%c2%a0 /..%e3%80%80 /..%e2%80%8b /.%c2%ad. /..%09 /..%20;x /%EF%BB%BF..'.split(' '),
    ...'/%ef%bc%8e%ef%bc%8e /%e2%80%a5 /%e2%80%a4%e2%80%a4/a /.%ef%bc%8e /%ef%b9%92%ef%b9%92 /%ef%bc%85%ef%bc%92e.'.split(' '),
    ...'/%25%32%65%25%32%65 /%25%32e%25%32e /%25u002e%25u002e /%25u002e./x /%252e%25u002e'.split(' '),
  ]
  it.each(never)('refuses %s on every route', (target) => {
    expect(refusal(target)).not.toBeNull()
    expect(refusal(target, all)).not.toBeNull()
  })

  it.each(['/a%2fb', '/a%2Fb', '/%2f', '/a/%2F', '/a%2F%2Fb', '/https%3A%2F%2Fx'])(
    'refuses the encoded slash in %s, unless the route takes them',
    (target) => {
      expect(refusal(target)).toBe('the path holds an encoded slash')
      expect(refusal(target, { ...strict, encodedSlash: true })).toBeNull()
      expect(refusal(target, { ...all, encodedSlash: false })).not.toBeNull()
    },
  )

  it.each(['/a%2f..', '/a%2f..%2fb', '/a%2F.', '/..%2fa', '/a%2f%2e%2e', '/a%2f..;x'])(
    'refuses the dot segment that an allowed encoded slash makes in %s',
    (target) => {
      expect(refusal(target, all)).toBe('the path holds a dot segment')
    },
  )

  it.each(['/a%5cb', '/a%5Cb', '/%5c..%5c', '/%ef%bc%bc', '/a%ef%bc%8fb', '/%e2%84%80', '/a%00b', '/a%0ab', '/a%0D', '/a%7f', '/a%1bb'])(
    'refuses %s on every route',
    (target) => {
      expect(refusal(target)).not.toBeNull()
      expect(refusal(target, all)).not.toBeNull()
    },
  )

  it.each(['/a%252fb', '/a%252Fb', '/a%25252fb', '/a%255cb', '/a%2500b', '/a%250ab', '/a%25u002fb', '/a%25%32fb', '/a%ef%bc%852fb'])(
    'refuses what a second decoding reveals in %s, unless the route holds percent signs as data',
    (target) => {
      expect(refusal(target)).not.toBeNull()
      expect(refusal(target, { ...strict, encodedPercent: true })).toBeNull()
      expect(refusal(target, { ...all, encodedPercent: false })).not.toBeNull()
    },
  )

  it.each(['/a%252f..', '/%252e%252e', '/a%255c..%255cb', '/x%252f%252e%252e'])(
    'refuses the dot segment that a second decoding makes in %s',
    (target) => {
      expect(refusal(target, { ...strict, encodedPercent: true })).toBe('the path holds a dot segment')
    },
  )

  it.each(['//', '//a', '/a//b', '/a//', '/;/a', '/a/;x/b', '/a/;'])(
    'refuses the empty segment in %s, unless the route takes them',
    (target) => {
      expect(refusal(target)).toBe('the path holds an empty segment')
      expect(refusal(target, { ...strict, emptySegments: true })).toBeNull()
    },
  )

  it.each([
    '/%ff',
    '/%c0%ae%c0%ae',
    '/%c0%af',
    '/%e0%80%af',
    '/%ed%a0%80',
    '/a%e9',
    '/%f8%80%80%80%ae',
    '/%c3',
    '/a?b=%ff',
    '/a?b=%c0%80',
    '/%25ff',
    '/%25c0%25ae',
  ])('refuses %s, which is not UTF-8', (target) => {
    expect(refusal(target)).toBe('the target is not UTF-8')
  })

  it('refuses a target that is encoded over and over, in bounded time', () => {
    expect(refusal(`/%${'25'.repeat(4000)}41`)).toBe('the path is encoded too many times')
  })
})

describe('what passes', () => {
  it.each([
    ...'/ /a /a/ /class%2Erb /class%2erb /100%25.csv /100%25 /50%25%20off /%25zz /a%2525 /a%252Erb /%7Euser /~user /%41'.split(' '),
    ...'/... /..a /a.. /.well-known/jwks.json /.git /a.b /a/.../b /..%2e /caf%C3%A9 /%E6%97%A5%E6%9C%AC /%F0%9F%98%80'.split(' '),
    ...'/a;v=1/b /a; /a%3Bb'.split(' '),
    ..."/a%3Fb /C%23 /a%20b /a+b /a'(b)*!$&,=:@ /a? /? /a?.. /a?b=../.. /a?b=%2F%2e%2e%2f /a?b=c?d /a?b=%0A /a?q=%252F".split(' '),
    ...'/a?b=%EF%BC%8F'.split(' '),
    ...'/%E2%84%A2 /%C2%BD /%E2%80%A6x /%EF%BC%A1 /e%CC%81'.split(' '),
  ])('%s', (target) => {
    expect(refusal(target)).toBeNull()
  })

  it('is cut into parts byte for byte, and only segments are decoded', () => {
    expect(parseTarget('/a%20b/%7Ec/?x=%2f?y', strict)).toEqual({ path: '/a%20b/%7Ec/', query: 'x=%2f?y', segments: ['a b', '~c', ''] })
    expect(parseTarget('/p/a%2Fb', { ...strict, encodedSlash: true }).segments).toEqual(['p', 'a/b'])
    expect(parseTarget('/', strict)).toEqual({ path: '/', query: null, segments: [''] })
    expect(parseTarget('/a?', strict).query).toBe('')
  })
})

describe('any target', () => {
  const relaxed = fc.record({ encodedSlash: fc.boolean(), emptySegments: fc.boolean(), encodedPercent: fc.boolean() })
  const piece = fc.constantFrom(
    ...'/ \\ . .. ; % %2f %5c %2e %25 %252e %252f %00 %c0%ae %ef%bc%8e %ef%bc%8f %20 a b ? # [ : @ %u002e'.split(' '),
  )
  const hostile = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`)

  it('either passes unchanged or is refused as malformed, never anything else', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          hostile,
          fc.string({ unit: 'binary' }).map((text) => `/${text}`),
        ),
        relaxed,
        (target, relax) => {
          if (refusal(target, relax) !== null) return
          const parts = parseTarget(target, relax)
          expect(parts.path + (parts.query === null ? '' : `?${parts.query}`)).toBe(target)
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('that passes never resolves above where it stands, however often it is decoded', () => {
    fc.assert(
      fc.property(hostile, relaxed, (target, relax) => {
        if (refusal(target, relax) !== null) return
        for (const reading of readings(target.split('?')[0] ?? '')) {
          const dots = reading.split(/[/\\]/).map((segment) => segment.split(';')[0]?.trim())
          expect(dots).not.toContain('..')
          expect(dots).not.toContain('.')
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('that passes on a strict route has as many segments under every decoding as in its raw bytes', () => {
    fc.assert(
      fc.property(hostile, (target) => {
        if (refusal(target) !== null) return
        const path = target.split('?')[0] ?? ''
        for (const reading of readings(path)) expect(reading.split(/[/\\]/).length).toBe(path.split('/').length)
      }),
      { numRuns: 3000 },
    )
  })

  it('built by an honest client from segments of any text passes when no segment is itself structure', () => {
    const segment = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((text) => /^[^/\\%.;\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]+$/u.test(text.normalize('NFKC')))
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
        const target = `/${segments.map((text) => encodeURIComponent(text)).join('/')}`
        expect(parseTarget(target, strict).segments).toEqual(segments)
      }),
    )
  })
})

/** What an upstream may make of a path: decoded up to four times, with and without NFKC. */
function readings(path: string): string[] {
  const found = [path]
  for (let at = 0; at < found.length && at < 30; at++) {
    const text = found[at] ?? ''
    for (const next of [lenient(text), text.normalize('NFKC')]) if (!found.includes(next)) found.push(next)
  }
  return found
}

function lenient(text: string): string {
  return text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
}
