import { describe, expect, it } from 'vitest'
import { compileCatalogue, uncatalogued } from '../../../src/match/catalogue.ts'
import { fits, params, parseTemplate } from '../../../src/match/template.ts'
import { sketchCall, sketchTool, type CallSketch } from '../../support/question.ts'

const segmentsOf = (path: string): string[] => path.slice(1).split('/').map(decodeURIComponent)

describe('a template', () => {
  it.each([
    ['GET /customers/{id}', '/customers/42', { id: '42' }],
    ['GET /customers/{id}', '/customers/a%2Fb', { id: 'a/b' }],
    ['GET /customers/{id}', '/customers/%7Bid%7D', { id: '{id}' }],
    ['GET /customers/{id}', '/customers/', null],
    ['GET /customers/{id}', '/customers', null],
    ['GET /customers/{id}', '/customers/42/', null],
    ['GET /customers/{id}', '/Customers/42', null],
    ['GET /customers/{id}', '/customers/42/orders', null],
    ['GET /a%20b/{x}', '/a%20b/1', { x: '1' }],
    ['GET /a%20b', '/a%20b', {}],
    ['GET /class%2Erb', '/class.rb', {}],
    ['POST /v1/{+any}', '/v1/chat/completions', { any: 'chat/completions' }],
    ['POST /v1/{+any}', '/v1/chat', { any: 'chat' }],
    ['POST /v1/{+any}', '/v1/', null],
    ['POST /v1/{+any}', '/v1', null],
    ['POST /v1/{+any}', '/v1//x', null],
    ['* /{+all}', '/x', { all: 'x' }],
    ['POST /models/{model}:generate', '/models/small:generate', { model: 'small' }],
    ['POST /models/{model}:generate', '/models/:generate', null],
    ['POST /models/{model}:generate', '/models/small:embed', null],
    ['GET /', '/', {}],
    ['GET /', '/x', null],
    ['GET /list/', '/list/', {}],
    ['GET /list/', '/list', null],
  ])('%s on %s gives %o', (written, path, expected) => {
    const template = parseTemplate(written)
    const segments = segmentsOf(path)
    expect(fits(template, segments)).toBe(expected !== null)
    if (expected !== null) expect({ ...params(template, segments) }).toEqual(expected)
  })

  it.each([
    '',
    'GET',
    'GET customers',
    'get /customers',
    'GET  /customers',
    'GET /a b',
    'GET /a?b=c',
    'GET /a#b',
    'GET /{+rest}/more',
    'GET /x{+rest}',
    'GET /{id}/{id}',
    'GET /{a}{b}',
    'GET /{}',
    'GET /{1}',
    'GET /{a',
    'GET /a}',
    'GET /%zz',
    'GET /%ff',
    'GET /../x',
    'GET /%2e/x',
  ])('%j is refused when it is compiled', (written) => {
    expect(() => parseTemplate(written)).toThrow()
  })
})

describe('the catalogue of a route', () => {
  const tools = (...matches: readonly (string | [string, Record<string, string>])[]) =>
    matches.map((match, index) => {
      const [written, headers] = typeof match === 'string' ? [match, undefined] : match
      return sketchTool({ name: `tool.${index}`, match: written, resource: null, ...(headers && { headers }) })
    })
  const find = (catalogue: ReturnType<typeof compileCatalogue>, sketch: CallSketch) => catalogue(sketchCall(sketch))?.tool.name ?? null

  it.each([
    ['a literal before a parameter', ['GET /a/{x}', 'GET /a/b'], 'GET', '/a/b', 'tool.1'],
    ['a parameter before the rest', ['GET /a/{+x}', 'GET /a/{x}'], 'GET', '/a/b', 'tool.1'],
    ['a literal with a parameter before a bare one', ['POST /m/{x}', 'POST /m/{x}:go'], 'POST', '/m/a:go', 'tool.1'],
    ['the longer text around a parameter first', ['POST /m/{x}:go', 'POST /m/{x}t:go'], 'POST', '/m/at:go', 'tool.1'],
    ['the leftmost literal first', ['GET /{x}/b', 'GET /a/{y}'], 'GET', '/a/b', 'tool.1'],
    ['the longer open template first', ['GET /{+r}', 'GET /a/{+r}'], 'GET', '/a/b/c', 'tool.1'],
    ['a named method before any method', ['* /a', 'GET /a'], 'GET', '/a', 'tool.1'],
    ['any method where none is named', ['* /a', 'GET /a'], 'DELETE', '/a', 'tool.0'],
    ['the path before the method', ['GET /{x}', '* /a'], 'GET', '/a', 'tool.1'],
    ['the order of the catalogue between equals', ['GET /{x}', 'GET /{y}'], 'GET', '/a', 'tool.0'],
    ['HEAD as GET', ['GET /a'], 'HEAD', '/a', 'tool.0'],
    ['HEAD before GET', ['GET /a', 'HEAD /a'], 'HEAD', '/a', 'tool.1'],
    ['nothing for another method', ['GET /a'], 'POST', '/a', null],
    ['nothing for a method in other case', ['GET /a'], 'get', '/a', null],
    ['nothing for a path that is too long', ['GET /a', 'GET /a/{x}'], 'GET', '/a/b/c', null],
    ['the rest however long it is', ['GET /a/{+x}'], 'GET', `/a/${'b/'.repeat(500)}c`, 'tool.0'],
    ['nothing without tools', [], 'GET', '/a', null],
  ])('gives %s', (_case, matches, method, target, expected) => {
    expect(find(compileCatalogue({ tools: tools(...matches), selects: [] }), { method, target })).toBe(expected)
  })

  it('chooses by the headers that the route selects, and the tool that names more of them wins', () => {
    const catalogue = compileCatalogue({
      tools: tools(
        'POST /',
        ['POST /', { 'x-amz-target': 'DynamoDB_20120810.GetItem' }],
        ['POST /', { 'x-amz-target': 'DynamoDB_20120810.GetItem', 'x-mode': 'a' }],
      ),
      selects: ['x-amz-target', 'x-mode'],
    })
    const target = ['X-Amz-Target', 'DynamoDB_20120810.GetItem'] as const
    expect(find(catalogue, { method: 'POST', target: '/', headers: [target] })).toBe('tool.1')
    expect(find(catalogue, { method: 'POST', target: '/', headers: [target, ['x-mode', 'a']] })).toBe('tool.2')
    expect(find(catalogue, { method: 'POST', target: '/' })).toBe('tool.0')
    expect(find(catalogue, { method: 'POST', target: '/', headers: [target, ['x-amz-target', 'DynamoDB_20120810.DeleteItem']] })).toBe(
      'tool.0',
    )
  })

  it.each([
    ['a header the route does not select', { headers: { 'x-op': 'a' } }],
    ['a resource with an unknown parameter', { resource: 'customer:{other}' }],
    ['a resource whose parameters touch', { match: 'GET /{a}/{b}', resource: 'x:{a}{b}' }],
    ['a resource with a lone brace', { resource: 'x:{id' }],
    ['a pointer into a body that is not judged', { debit: { eur: '/amount' } }],
    ['a malformed pointer', { args: 'json' as const, debit: { eur: '/a~2' } }],
    ['a negative debit', { debit: { eur: -1 } }],
    ['an endless debit', { debit: { eur: Infinity } }],
    ['calls that cost nothing', { debit: { calls: 0 } }],
  ])('refuses %s when it is compiled, naming the tool', (_case, tool) => {
    expect(() => compileCatalogue({ tools: [sketchTool(tool)], selects: [] })).toThrow(/^tool crm\.customer\.read: /)
  })

  it('knows nothing worse than what it does not describe', () => {
    expect(uncatalogued('crm')).toMatchObject({
      name: 'crm.uncatalogued',
      effect: 'unknown',
      risk: 'critical',
      egress: 'public',
      data: ['unknown'],
      accepts: [],
      catalogued: false,
    })
  })
})
