import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { agentLinks, agentReference } from '../../../src/forward/rewrite.ts'
import { describeUpstream } from '../../../src/forward/upstream.ts'
import type { Call } from '../../../src/listen/call.ts'
import { sketchCall, sketchRoute } from '../../support/question.ts'

const upstream = describeUpstream(sketchRoute())
const call = sketchCall({ target: '/customers/42?x=1' })
const rootRoute = sketchRoute({ to: { ...sketchRoute().to, basePath: '' } })
const root = describeUpstream(rootRoute)
const bare: Call = { ...call, address: { ...call.address, prefix: '' } }

describe('agentReference', () => {
  test.each([
    ['https://crm.acme.example/api/customers/43', 'http://127.0.0.1:7420/crm/customers/43'],
    ['HTTPS://CRM.acme.example/api/customers/43', 'http://127.0.0.1:7420/crm/customers/43'],
    ['https://crm.acme.example:443/api/x?y=%7E#z', 'http://127.0.0.1:7420/crm/x?y=%7E#z'],
    ['https://crm.acme.example/api', 'http://127.0.0.1:7420/crm/'],
    ['https://crm.acme.example/api/', 'http://127.0.0.1:7420/crm/'],
    ['https://crm.acme.example/api?a=b', 'http://127.0.0.1:7420/crm/?a=b'],
    ['//crm.acme.example/api/x', 'http://127.0.0.1:7420/crm/x'],
    ['/api/customers/43?page=2', '/crm/customers/43?page=2'],
    ['/api', '/crm/'],
    ['43', '/crm/customers/43'],
    ['./43', '/crm/customers/43'],
    ['../orders/1', '/crm/orders/1'],
    ['..', '/crm/'],
    ['../../api/x', '/crm/x'],
    ['/api/../api/x', '/crm/x'],
    ['/api/a/./b/../c', '/crm/a/c'],
    ['?page=2', '?page=2'],
    ['#top', '#top'],
    ['', ''],
    ['/api/\xe9', '/crm/\xe9'],
    ['/api/a%2Fb', '/crm/a%2Fb'],
    ['/api//x', '/crm//x'],
  ])('maps %s to %s', (reference, expected) => {
    expect(agentReference(reference, upstream, call)).toBe(expected)
  })

  test.each([
    'https://partner.example/api/x',
    'http://crm.acme.example/api/x',
    'https://crm.acme.example:8443/api/x',
    'https://crm.acme.example./api/x',
    'https://crm.acme.example@partner.example/api/x',
    'https://user@crm.acme.example/api/x',
    'https://crm.acme.example/',
    'https://crm.acme.example',
    'https://crm.acme.example/apix',
    'https://crm.acme.example/api/../admin',
    'https://crm.acme.example/api/%2e%2e/admin',
    'https://crm.acme.example/api/%2E./admin',
    '//partner.example/api/x',
    '///partner.example/api/x',
    '////partner.example',
    '/admin',
    '/apix',
    '/',
    '../../admin',
    '/api/../../x',
    '/\\partner.example',
    '\\\\partner.example',
    'https:\\\\partner.example',
    'https:/partner.example',
    'https:partner.example',
    'https:///partner.example/api/x',
    'javascript:alert(1)',
    'data:text/html,x',
    'ftp://crm.acme.example/api/x',
    'acme-app://callback',
    'crm.acme.example:443/api/x',
    ' /api/x',
    '/api/x y',
    '/api/\tx',
    '/api/x\x7f',
    '/api/\0',
  ])('says no to %j', (reference) => {
    expect(agentReference(reference, upstream, call)).toBeNull()
  })

  test('never makes another host out of a path', () => {
    expect(agentReference('/api//partner.example/x', upstream, bare)).toBe('http://127.0.0.1:7420//partner.example/x')
    expect(agentReference('//crm.acme.example//partner.example/x', root, bare)).toBe('http://127.0.0.1:7420//partner.example/x')
  })

  test('leaves paths as they are on a route without prefix and base', () => {
    expect(agentReference('/repos?page=2', root, bare)).toBe('/repos?page=2')
    expect(agentReference('https://crm.acme.example', root, bare)).toBe('http://127.0.0.1:7420/')
  })

  test('whatever it lets through, a client resolves to the agent port and below the prefix', () => {
    const piece = fc.constantFrom(
      '/',
      '//',
      '..',
      '.',
      '%2e',
      '\\',
      'api',
      'crm.acme.example',
      'partner.example',
      'https:',
      ':',
      '@',
      '?',
      '#',
      ' ',
      '\t',
      'a',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const reference = pieces.join('')
        const mapped = agentReference(reference, upstream, call)
        if (mapped === null) return
        const resolved = new URL(mapped, 'http://127.0.0.1:7420/crm/customers/42?x=1')
        expect(resolved.origin).toBe('http://127.0.0.1:7420')
        expect(resolved.pathname.startsWith('/crm/')).toBe(true)
        const direct = new URL(reference, 'https://crm.acme.example/api/customers/42?x=1')
        expect(direct.origin).toBe('https://crm.acme.example')
        // A base without its slash cannot be asked for through us: it comes back as the base with one.
        const path = direct.pathname === '/api' ? '/api/' : direct.pathname
        expect(`/api${resolved.pathname.slice(4)}${resolved.search}`).toBe(`${path}${direct.search}`)
      }),
      { numRuns: 10_000 },
    )
  })
})

describe('agentLinks', () => {
  test('turns the pages of a listing homewards', () => {
    const field =
      '<https://crm.acme.example/api/repositories/1/issues?page=2>; rel="next", <https://crm.acme.example/api/repositories/1/issues?page=9>; rel="last"'
    expect(agentLinks(field, upstream, call)).toBe(
      '<http://127.0.0.1:7420/crm/repositories/1/issues?page=2>; rel="next", <http://127.0.0.1:7420/crm/repositories/1/issues?page=9>; rel="last"',
    )
  })

  test('leaves out links to elsewhere and keeps the others', () => {
    const field = '<https://partner.example/x>; rel=next, </api/y>; rel=prev; title="a, b; <c>", <z>'
    expect(agentLinks(field, upstream, call)).toBe('</crm/y>; rel=prev; title="a, b; <c>", </crm/customers/z>')
  })

  test.each(['<https://partner.example/x>; rel=next', '</api/x', 'x', '</api/x>; title="open', '', ', ,', '</api/x>; a="\\"'])(
    'gives nothing for %j',
    (field) => {
      expect(agentLinks(field, upstream, call)).toBeNull()
    },
  )

  test('reads an escaped quote as part of the quoted text', () => {
    expect(agentLinks('</api/x>; title="a\\", <b>"', upstream, call)).toBe('</crm/x>; title="a\\", <b>"')
  })
})
