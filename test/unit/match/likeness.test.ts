import { describe, expect, test } from 'vitest'
import { compileCatalogue } from '../../../src/match/catalogue.ts'
import { sketchTool } from '../../support/question.ts'

const named = (...matches: readonly string[]) => matches.map((match) => sketchTool({ name: match, match, resource: null }))

function toolOf(path: string, matches: readonly string[], method = 'POST'): string | null {
  const segments = path.slice(1).split('/').map(decodeURIComponent)
  const catalogue = compileCatalogue({ tools: named(...matches), selects: [] })
  return catalogue({ method, header: () => undefined, address: { segments } })?.tool.name ?? null
}

const refunds = ['POST /refunds', 'POST /{+any}']

describe('a path that a lenient server takes for another operation', () => {
  test.each(['/Refunds', '/refunds;v=1', '/refunds/', '/refunds%20', '/REFUNDS;a/', '/%EF%BD%92efunds'])(
    '%s is not the wider operation that it would slip into',
    (path) => {
      expect(toolOf(path, refunds)).toBeNull()
    },
  )

  test('has no way around a name whose template has capitals', () => {
    expect(toolOf('/refunds', ['POST /Refunds', 'POST /{any}'])).toBeNull()
    expect(toolOf('/gpt:Generate', ['POST /{model}:generate', 'POST /{model}'])).toBeNull()
    expect(toolOf('/gpt;x:generate', ['POST /{model}:generate', 'POST /{model}'])).toBeNull()
  })

  test('stays what it is where it can be nothing else', () => {
    expect(toolOf('/refunds', refunds)).toBe('POST /refunds')
    expect(toolOf('/Other;x/', refunds)).toBe('POST /{+any}')
    expect(toolOf('/customers/AbC;x', ['POST /customers/{id}', 'POST /orders/{id}'])).toBe('POST /customers/{id}')
    expect(toolOf('/Refunds', ['POST /{+any}'])).toBe('POST /{+any}')
  })

  test('has no way around a tool that a header chooses', () => {
    const drop = sketchTool({ name: 'drop', match: 'POST /', headers: { 'x-target': 'Db.Drop' }, resource: null })
    const other = sketchTool({ name: 'other', match: 'POST /', resource: null })
    const catalogue = compileCatalogue({ tools: [drop, other], selects: ['x-target'] })
    const asked = (target: string) => catalogue({ method: 'POST', header: () => target, address: { segments: [''] } })?.tool.name
    expect(['Db.Drop', 'db.drop', ' Db.Drop', 'Db.DROP;x', 'Db.Get'].map(asked)).toEqual(['drop', undefined, undefined, undefined, 'other'])
  })

  test('is what the catalogue says when the catalogue tells the spellings apart', () => {
    expect(toolOf('/Refunds', ['POST /Refunds', 'POST /refunds'])).toBe('POST /Refunds')
    expect(toolOf('/refunds/7/', ['POST /refunds/{id}', 'POST /refunds/{id}/'])).toBe('POST /refunds/{id}/')
  })
})
