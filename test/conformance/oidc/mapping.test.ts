import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { claimAt, UnfitClaims } from '../../../src/identify/oidc/claim-path.ts'
import { mayCollide, parseTemplate, render } from '../../../src/identify/oidc/template.ts'
import { MalformedSpiffeId, parseSpiffeId } from '../../../src/identify/spiffe-id.ts'
import { callerText } from '../../../src/decide/subject.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import type { Jwk } from '../../support/issuer.ts'
import { anyCall, openedOidc, presented } from '../../support/oidc-rig.ts'

/** The ID that claims make, or the reason why they make none. */
function made(template: string, claims: Jwk): string {
  try {
    return render(parseTemplate(template), (path) => claimAt(claims, path)).id
  } catch (error) {
    if (error instanceof UnfitClaims) return error.message
    throw error
  }
}

function fault(template: string): string {
  try {
    parseTemplate(template)
    return 'none'
  } catch (error) {
    if (error instanceof MalformedSpiffeId) return error.message
    throw error
  }
}

const kubernetes = 'spiffe://acme.example/ns/{kubernetes.io.namespace}/sa/{kubernetes.io.serviceaccount.name}'

describe('templates', () => {
  test('[Countersign: an ID is made from claims by template] literal text and claims make it', () => {
    const claims = { 'kubernetes.io': { namespace: 'support', serviceaccount: { name: 'refund-agent' } } }
    expect(made(kubernetes, claims)).toBe('spiffe://acme.example/ns/support/sa/refund-agent')
    expect(made('spiffe://acme.example/w/repo-{id}.ci', { id: 42 })).toBe('spiffe://acme.example/w/repo-42.ci')
    expect(made('spiffe://acme.example/w/{+ref}/end', { ref: 'refs/heads/main' })).toBe('spiffe://acme.example/w/refs/heads/main/end')
    expect(
      made('spiffe://acme.example/{https://sts.amazonaws.com/.aws_account}', { 'https://sts.amazonaws.com/': { aws_account: '1' } }),
    ).toBe('spiffe://acme.example/1')
  })

  test.each([
    ['spiffe://{td}/w', /trust domain/],
    ['spiffe://acme.{td}/w/{sub}', /trust domain/],
    ['spiffe://acme.example', /add a path/],
    ['{sub}', /spiffe:\/\//],
    ['https://acme.example/{sub}', /spiffe:\/\//],
    ['spiffe://acme.example/{a}{b}', /two placeholders/],
    ['spiffe://acme.example/{a}-{b}', /two placeholders/],
    ['spiffe://acme.example/{+a}/{+b}', /only one/],
    ['spiffe://acme.example/x{+a}', /alone/],
    ['spiffe://acme.example/{+a}x', /alone/],
    ['spiffe://acme.example/{', /brace/],
    ['spiffe://acme.example/{a', /brace/],
    ['spiffe://acme.example/a}', /brace/],
    ['spiffe://acme.example/{}', /brace/],
    ['spiffe://acme.example/{+}', /brace/],
    ['spiffe://acme.example/{{a}}', /brace/],
    ['spiffe://acme.example/{a}/', /ends with a slash/],
    ['spiffe://acme.example//{a}', /empty segment/],
    ['spiffe://acme.example/../{a}', /dot segment/],
    ['spiffe://acme.example/{a}/a b', /character/],
    ['spiffe://acme.example/{a}?x', /character/],
    ['spiffe://acme.example/%2e/{a}', /character/],
    ['spiffe://ACME.example/{a}', /trust domain/],
    [`spiffe://acme.example/{${'a'.repeat(257)}}`, /longer/],
  ])('[Countersign: a template that cannot be meant is refused] %s', (template, why) => {
    expect(fault(template)).toMatch(why)
  })

  test.each([
    ['a slash', 'a/b'],
    ['traversal', '..'],
    ['a dot', '.'],
    ['nothing', ''],
    ['a space', 'a b'],
    ['a colon', 'system:serviceaccount:a:b'],
    ['percent-encoding', '%2e%2e'],
    ['a line end', 'a\n'],
    ['a null byte', 'a\0'],
    ['an umlaut', 'ä'],
    ['a fullwidth slash', 'a／b'],
    ['half a surrogate pair', '\ud800'],
    ['a trailing space', 'a '],
    ['a number that is no whole one', 1.5],
    ['a number below nothing', -1],
    ['a number that cannot be told from its neighbour', 9_007_199_254_740_992],
    ['no finite number', Number.POSITIVE_INFINITY],
    ['yes or no', true],
    ['null', null],
    ['a list', ['a']],
    ['an object', { a: 'b' }],
    ['absent', undefined],
  ])('[Countersign: claims are taken as they are or not at all] one path segment is not %s', (_, sub) => {
    expect(made('spiffe://acme.example/w/{sub}', sub === undefined ? {} : { sub })).toMatch(/claim sub/)
  })

  test.each(['/a', 'a/', 'a//b', 'a/../b', './a', 'a/.', '', '/', 'a/b c'])(
    '[Countersign: claims are taken as they are or not at all] path segments are not %j',
    (ref) => {
      expect(made('spiffe://acme.example/w/{+ref}', { ref })).toMatch(/claim ref/)
    },
  )

  test('[SPIFFE-ID §2.3] no ID is longer than 2048 bytes', () => {
    expect(made('spiffe://acme.example/{sub}', { sub: 'a'.repeat(2048 - 22) })).toHaveLength(2048)
    expect(made('spiffe://acme.example/{sub}', { sub: 'a'.repeat(2049 - 22) })).toMatch(/2048/)
  })

  const value = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[a-zA-Z0-9._/%:-]{0,12}$/),
    fc.integer(),
    fc.double(),
    fc.constantFrom('..', '.', 'a/../b', '%2e', '', '/', 'a', 'b', 'a/b', '-', 'a-b'),
    fc.jsonValue(),
  )
  const templates = ['/w/{a}', '/w/{a}/{b}', '/w/x-{a}.y/{b}', '/w/{+a}', '/w/{+a}/{b}', '/w/{b}/{+a}/end', '/w/{a}/fix/{+b}'] as const

  test('[Countersign: no claim leads out of the literal prefix] whatever claims hold, an ID is well formed, in its trust domain and below its prefix', () => {
    fc.assert(
      fc.property(fc.constantFrom(...templates), value, value, (path, a, b) => {
        const id = made(`spiffe://acme.example${path}`, { a, b })
        if (!id.startsWith('spiffe:')) return
        const parsed = parseSpiffeId(id)
        expect(parsed.trustDomain).toBe('acme.example')
        expect(parsed.path.startsWith('/w/')).toBe(true)
        expect(new URL(id).href).toBe(id)
      }),
      { numRuns: 3000 },
    )
  })

  test('[Countersign: two callers never share an ID] different texts in the claims of a template make different IDs', () => {
    const segments = fc
      .array(fc.constantFrom('a', 'b', 'a-b', 'x-a.y', 'end', 'fix', 'x'), { minLength: 1, maxLength: 4 })
      .map((own) => own.join('/'))
    fc.assert(
      fc.property(fc.constantFrom(...templates), fc.tuple(segments, segments), fc.tuple(segments, segments), (path, [a, b], [c, d]) => {
        const template = `spiffe://acme.example${path}`
        const one = made(template, { a, b })
        if (!one.startsWith('spiffe:') || one !== made(template, { a: c, b: d })) return
        expect(a).toBe(c)
        if (path.includes('b}')) expect(b).toBe(d)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('paths into claims', () => {
  test('[Countersign: a path is read in one way only] names may hold dots and slashes', () => {
    const claims = {
      'kubernetes.io': { namespace: 'a', 'x.y': { z: 'b' } },
      'https://sts.amazonaws.com/': { 'a.b': 'c' },
      'flat.name': 'd',
    }
    expect(claimAt(claims, 'kubernetes.io.namespace')).toBe('a')
    expect(claimAt(claims, 'kubernetes.io.x.y.z')).toBe('b')
    expect(claimAt(claims, 'https://sts.amazonaws.com/.a.b')).toBe('c')
    expect(claimAt(claims, 'flat.name')).toBe('d')
    expect(claimAt(claims, 'kubernetes')).toBeUndefined()
    expect(claimAt(claims, 'kubernetes.io.')).toBeUndefined()
    expect(claimAt(claims, 'flat.name.more')).toBeUndefined()
  })

  test.each([
    ['a flat claim beside a nested one', 'a.b', { 'a.b': 'evil', a: { b: 'good' } }],
    ['a longer name', 'a.b.c', { 'a.b': { c: 'x' }, a: { 'b.c': 'y' } }],
  ])('[Countersign: a path is read in one way only] a claim that is there twice is refused: %s', (_, path, claims) => {
    expect(() => claimAt(claims as Jwk, path)).toThrow(UnfitClaims)
  })

  test('[Countersign: only own members are read] prototypes and lists are not', () => {
    for (const path of ['constructor', 'toString', '__proto__', '__proto__.a', 'a.length', 'a.0', 'hasOwnProperty.name'])
      expect(claimAt({ a: ['x'] }, path)).toBeUndefined()
    expect(claimAt(JSON.parse('{"__proto__":{"a":"own"}}'), '__proto__.a')).toBe('own')
    expect(claimAt(JSON.parse('{"__proto__":{"a":"own"}}'), 'a')).toBeUndefined()
  })
})

describe('collisions', () => {
  test.each([
    ['/ns/{a}', '/ns/{b}', true],
    ['/ns/{a}', '/ci/{b}', false],
    ['/ns/{a}', '/ns/{a}/sa/{b}', false],
    ['/ns/{a}/sa/{b}', '/ns/{a}/ci/{b}', false],
    ['/{a}/sa/{b}', '/ns/{a}/{b}', true],
    ['/ns/x', '/ns/{b}', true],
    ['/ns/x', '/ns/x', true],
    ['/ns/x', '/ns/y', false],
    ['/ns/a-{x}', '/ns/b-{x}', false],
    ['/ns/a-{x}', '/ns/a-b-{x}', true],
    ['/ns/{x}-a', '/ns/{x}-b', false],
    ['/ns/a-{x}', '/ns/a-', false],
    ['/ns/{+x}', '/ns/a/b/c', true],
    ['/ns/{+x}', '/ci/{+x}', false],
  ])('[Countersign: two issuers never name one caller] %s and %s', (one, other, expected) => {
    const [first, second] = [one, other].map((path) => parseTemplate(`spiffe://acme.example${path}`)) as [never, never]
    expect(mayCollide(first, second)).toBe(expected)
    expect(mayCollide(second, first)).toBe(expected)
    expect(mayCollide(first, parseTemplate(`spiffe://partner.example${other}`))).toBe(false)
  })

  test('[Countersign: two issuers never name one caller] templates that are said not to collide never make one ID', () => {
    const part = fc.constantFrom('a', 'b', '{p}', '{q}', 'a-{p}', '{q}-b', '{+s}', 'a-b')
    const path = fc.array(part, { minLength: 1, maxLength: 3 }).filter((own) => own.filter((one) => one === '{+s}').length < 2)
    const text = fc.constantFrom('a', 'b', 'a-b', 'a-a', 'b-b')
    const claims = fc.record({ p: text, q: text, s: fc.array(text, { minLength: 1, maxLength: 3 }).map((own) => own.join('/')) })
    fc.assert(
      fc.property(path, path, claims, claims, (one, other, first, second) => {
        const [left, right] = [one, other].map((own) => `spiffe://acme.example/${own.join('/')}`) as [string, string]
        if (!mayCollide(parseTemplate(left), parseTemplate(right))) expect(made(left, first)).not.toBe(made(right, second))
      }),
      { numRuns: 5000 },
    )
  })
})

describe('what is required', () => {
  const config = { require: { team: 'refunds', stage: ['live', 'canary'], 'org.id': 7, protected: true } }
  const good = { team: 'refunds', stage: 'canary', org: { id: 7 }, protected: true }

  test('[Countersign: required claims have exactly a required value] and then the token is taken', async () => {
    const rig = await openedOidc(config)
    expect(await rig.caller(good)).toMatchObject({ id: 'spiffe://acme.example/w/agent-7' })
  })

  test.each([
    ['absent', { team: undefined }],
    ['another value', { team: 'Refunds' }],
    ['a longer value', { team: 'refunds2' }],
    ['none of the list', { stage: 'test' }],
    ['a list that holds it', { team: ['refunds'] }],
    ['text for a number', { org: { id: '7' } }],
    ['text for yes', { protected: 'true' }],
    ['there twice', { 'org.id': 7 }],
  ])('[Countersign: required claims have exactly a required value] refused: %s', async (_, change) => {
    const rig = await openedOidc(config)
    expect(await refusalOf(() => rig.caller({ ...good, ...change }))).toMatchObject({
      code: 'identify.rejected',
      reasons: ["the token's claims are not those that are required here"],
    })
  })
})

describe('what policy sees', () => {
  test('[Countersign: claims are shown by allow-list] under the paths as configured, those that are there', async () => {
    const rig = await openedOidc({ claims: ['team', 'kubernetes.io.pod.name', 'roles', '__proto__', 'absent'] })
    const claims = { team: 'refunds', secret: 'x', 'kubernetes.io': { pod: { name: 'p', uid: 'u' } }, roles: ['a', { b: 1 }] }
    const caller = await rig.caller(claims)
    expect(caller.claims).toEqual({ team: 'refunds', 'kubernetes.io.pod.name': 'p', roles: ['a', { b: 1 }] })
    expect(JSON.parse(callerText(caller)).claims).toEqual(caller.claims)
  })

  const deep = (levels: number): unknown => (levels === 0 ? 'x' : { a: deep(levels - 1) })
  test.each([
    ['text', 'x'.repeat(512), 'x'.repeat(513)],
    ['a list', Array.from({ length: 32 }, () => 1), Array.from({ length: 33 }, () => 1)],
    ['depth', deep(5), deep(6)],
    ['a name', { ['n'.repeat(512)]: 1 }, { ['n'.repeat(513)]: 1 }],
  ])('[Countersign: claims are shown by allow-list] one that policy could not see whole is refused: %s', async (_, fits, exceeds) => {
    const rig = await openedOidc({ claims: ['x'] })
    const caller = await rig.caller({ x: fits })
    expect(JSON.parse(callerText(caller)).claims).toEqual({ x: fits })
    expect(await refusalOf(() => rig.caller({ x: exceeds }))).toMatchObject({
      code: 'identify.rejected',
      detail: expect.stringContaining('policy'),
    })
  })
})

describe('cnf', () => {
  const thumbprint = 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2'.replace(/2$/, 'M')

  test('[RFC 7800 §3.1; RFC 9449 §6.1; RFC 8705 §3.1] a binding that is understood is what the sender has yet to prove', async () => {
    const rig = await openedOidc()
    const verified = async (claims: Jwk) => rig.source.verify(presented(rig.issuer.mint({ claims })), anyCall)
    expect(await verified({})).not.toHaveProperty('confirmation')
    expect(await verified({ cnf: { jkt: thumbprint } })).toMatchObject({ confirmed: 'bearer', confirmation: { jkt: thumbprint } })
    expect(await verified({ cnf: { 'x5t#S256': thumbprint } })).toMatchObject({
      confirmed: 'bearer',
      confirmation: { x5tS256: thumbprint },
    })
    const unproven = ['the token is bound to a key, and the request does not prove that its sender holds it']
    expect(await refusalOf(() => rig.caller({ cnf: { jkt: thumbprint } }))).toMatchObject({ reasons: unproven })
  })

  test.each([
    ['text', thumbprint],
    ['null', null],
    ['a list', [{ jkt: thumbprint }]],
    ['empty', {}],
    ['both', { jkt: thumbprint, 'x5t#S256': thumbprint }],
    ['a key', { jwk: { kty: 'EC' } }],
    ['a key id', { kid: 'x' }],
    ['one that is understood beside one that is not', { jkt: thumbprint, kid: 'x' }],
    ['no text', { jkt: 7 }],
    ['too short', { jkt: thumbprint.slice(1) }],
    ['too long', { jkt: `${thumbprint}A` }],
    ['padded', { jkt: `${thumbprint}=` }],
    ['with stray bits', { jkt: thumbprint.replace(/.$/, 'N') }],
    ['in hex', { 'x5t#S256': 'a'.repeat(64) }],
  ])('[RFC 7800 §3.1] any other makes the token no bearer token: %s', async (_, cnf) => {
    const rig = await openedOidc()
    expect(await refusalOf(() => rig.caller({ cnf }))).toMatchObject({
      code: 'identify.rejected',
      reasons: ['the token asks its sender for a proof that is not known here'],
    })
  })
})
