import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isTrustDomain, MalformedSpiffeId, parseSpiffeId } from '../../../src/identify/spiffe-id.ts'

const trustDomain = 'acme.example'

describe('[SPIFFE-ID §2] form of the whole', () => {
  test.each([
    ['a workload', 'spiffe://acme.example/ns/support/sa/refund-agent', '/ns/support/sa/refund-agent'],
    ['one segment', 'spiffe://acme.example/agent', '/agent'],
    ['every legal path character', 'spiffe://acme.example/azAZ09.-_', '/azAZ09.-_'],
    ['three dots', 'spiffe://acme.example/...', '/...'],
    ['a leading dot', 'spiffe://acme.example/.path', '/.path'],
    ['two leading dots and more', 'spiffe://acme.example/..path', '/..path'],
    ['trailing dots', 'spiffe://acme.example/path..', '/path..'],
    ['the trust domain itself', 'spiffe://acme.example', ''],
  ])('takes %s', (_, id, path) => {
    expect(parseSpiffeId(id)).toEqual({ id, trustDomain, path })
  })

  test.each([
    ['nothing', ''],
    ['another scheme', 'https://acme.example/agent'],
    ['no scheme', 'acme.example/agent'],
    ['one slash', 'spiffe:/acme.example/agent'],
    ['a scheme alone', 'spiffe://'],
    ['white space before', ' spiffe://acme.example/agent'],
    ['white space after', 'spiffe://acme.example/agent '],
    ['a line end after', 'spiffe://acme.example/agent\n'],
    ['a tab inside', 'spiffe://acme.example/ag\tent'],
    ['a NUL', 'spiffe://acme.example/agent\0'],
    ['a query', 'spiffe://acme.example/agent?x=1'],
    ['an empty query', 'spiffe://acme.example/agent?'],
    ['a fragment', 'spiffe://acme.example/agent#x'],
    ['a backslash', 'spiffe://acme.example\\agent'],
  ])('refuses %s', (_, id) => {
    expect(() => parseSpiffeId(id)).toThrow(MalformedSpiffeId)
  })
})

describe('[SPIFFE-ID §2.1] trust domain', () => {
  test.each(['acme.example', 'a', '1.2.3.4', 'under_score', '-dash-', 'a..b', '.'])('takes %s', (name) => {
    expect(parseSpiffeId(`spiffe://${name}/agent`).trustDomain).toBe(name)
    expect(isTrustDomain(name)).toBe(true)
  })

  test.each([
    ['none', ''],
    ['a port', 'acme.example:80'],
    ['an empty port', 'acme.example:'],
    ['a user', 'user@acme.example'],
    ['a user and password', 'user:pass@acme.example'],
    ['an empty user', '@acme.example'],
    ['percent-encoding', 'acme%2eexample'],
    ['IPv6', '[::1]'],
    ['a space', 'acme example'],
    ['another script', 'аcme.example'],
    ['a star', '*'],
  ])('refuses %s', (_, name) => {
    expect(() => parseSpiffeId(`spiffe://${name}/agent`)).toThrow(MalformedSpiffeId)
    expect(isTrustDomain(name)).toBe(false)
  })

  test('takes 255 bytes and refuses 256', () => {
    expect(parseSpiffeId(`spiffe://${'a'.repeat(255)}/x`).trustDomain).toHaveLength(255)
    expect(() => parseSpiffeId(`spiffe://${'a'.repeat(256)}/x`)).toThrow(MalformedSpiffeId)
  })
})

describe('[SPIFFE-ID §2.2] path', () => {
  test.each([
    ['a trailing slash', '/agent/'],
    ['a slash alone', '/'],
    ['an empty segment', '/a//b'],
    ['an empty first segment', '//a'],
    ['a dot', '/.'],
    ['a dot inside', '/a/./b'],
    ['two dots', '/..'],
    ['traversal', '/a/../b'],
    ['traversal at the end', '/a/..'],
    ['percent-encoding', '/a%2fb'],
    ['encoded dots', '/%2e%2e/a'],
    ['a letter outside ASCII', '/é'],
    ['a full-width letter', '/ａ'],
    ['a colon', '/a:b'],
    ['a star', '/*'],
    ['a lone surrogate', '/\ud800'],
  ])('refuses %s', (_, path) => {
    expect(() => parseSpiffeId(`spiffe://acme.example${path}`)).toThrow(MalformedSpiffeId)
  })
})

describe('[SPIFFE-ID §2.3] length', () => {
  test('takes 2048 bytes and refuses 2049', () => {
    const start = 'spiffe://acme.example/'
    expect(parseSpiffeId(start + 'a'.repeat(2048 - start.length)).id).toHaveLength(2048)
    expect(() => parseSpiffeId(start + 'a'.repeat(2049 - start.length))).toThrow(MalformedSpiffeId)
  })
})

describe('[SPIFFE-ID §2.4] case', () => {
  test.each(['Spiffe://acme.example/a', 'SPIFFE://acme.example/a', 'spiffe://Acme.example/a', 'spiffe://ACME.EXAMPLE/a'])(
    'refuses upper case in scheme and trust domain, as the reference implementation does: %s',
    (id) => {
      expect(() => parseSpiffeId(id)).toThrow(MalformedSpiffeId)
    },
  )

  test('keeps the case of the path', () => {
    expect(parseSpiffeId('spiffe://acme.example/Agent').path).not.toBe(parseSpiffeId('spiffe://acme.example/agent').path)
  })
})

describe('[Countersign: any text is a SPIFFE ID or none] any text', () => {
  test('is either taken whole or refused with the one error that quotes nothing of it', () => {
    const near = fc.string({
      unit: fc.constantFrom('spiffe://', 'acme.example', '/', '.', '..', 'a', 'Z', '%', ':', '@', '?', '#', '\t', 'é', '\ud800'),
    })
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          near,
          near.map((rest) => `spiffe://${rest}`),
        ),
        (text) => {
          try {
            const parsed = parseSpiffeId(text)
            expect(`spiffe://${parsed.trustDomain}${parsed.path}`).toBe(text)
            expect(text).toMatch(/^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/)
            expect(parsed.path).not.toMatch(/\/\.{1,2}(\/|$)/)
          } catch (error) {
            if (!(error instanceof MalformedSpiffeId)) throw error
            if (text.length > 40) expect(error.message).not.toContain(text)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('that the grammar allows is taken', () => {
    const segment = fc.stringMatching(/^[a-zA-Z0-9._-]{1,12}$/).filter((text) => text !== '.' && text !== '..')
    const name = fc.stringMatching(/^[a-z0-9._-]{1,30}$/)
    fc.assert(
      fc.property(name, fc.array(segment, { maxLength: 6 }), (host, segments) => {
        const path = segments.map((text) => `/${text}`).join('')
        expect(parseSpiffeId(`spiffe://${host}${path}`)).toEqual({ id: `spiffe://${host}${path}`, trustDomain: host, path })
      }),
    )
  })
})
