import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { inOrigins, isSource, packaged, withSources, type ComposeOptions } from '../../../src/author/compose.ts'
import { scratchFolder } from '../../support/author-rig.ts'

const scratch = scratchFolder('compose')
const plainly: ComposeOptions = { library: false, tests: false, metadata: {} }
let serial = 0

function folder(files: Readonly<Record<string, string>>): string {
  const place = join(scratch, String(serial++))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(place, path)), { recursive: true })
    writeFileSync(join(place, path), text)
  }
  return place
}

function manifestOf(folders: readonly string[], options: Partial<ComposeOptions> = {}): unknown {
  return withSources(folders, { ...plainly, ...options }, ({ folder: place }) => JSON.parse(readFileSync(join(place, '.manifest'), 'utf8')))
}

const rule = 'package countersign.call\n\nx := 1\n'

describe('composed sources', () => {
  test('are Rego and data under the names they have in their folder, and gone afterwards', () => {
    const place = folder({
      'a/x.rego': rule,
      'a/x_test.rego': rule,
      'a/data.json': '{}',
      'schemas/input.json': '{}',
      'starters/y.rego': rule,
      'cases/one.json': '{}',
      'README.md': '',
    })
    const seen = withSources([place], plainly, (composed) => ({ ...composed, there: existsSync(join(composed.folder, 'a/x.rego')) }))
    expect(seen).toMatchObject({ own: ['a/data.json', 'a/x.rego'], library: false, there: true, schemas: join(place, 'schemas') })
    expect(existsSync(seen.folder)).toBe(false)
    expect(withSources([place], { ...plainly, tests: true }, ({ own }) => own)).toContain('a/x_test.rego')
  })

  test('lie in policy/ when the folder has one', () => {
    const place = folder({ 'policy/a.rego': rule, 'other.rego': rule })
    expect(withSources([place], plainly, ({ own }) => own)).toEqual(['a.rego'])
    expect(isSource(place)).toBe(true)
    expect(isSource(folder({ 'cases/one.json': '{}' }))).toBe(false)
  })

  test('get the library when they do not define countersign.decision, or when it is asked for', () => {
    const part = folder({ 'a.rego': rule })
    const whole = folder({ 'a.rego': 'package countersign\n\ndefault decision := {"effect": "deny"}\n' })
    const library = (place: string, wanted: boolean | null): boolean =>
      withSources([place], { ...plainly, library: wanted }, (composed) => composed.library)
    expect([library(part, null), library(whole, null), library(part, false), library(whole, true)]).toEqual([true, false, false, true])
  })

  test('cannot be two files of one name, nor none', () => {
    expect(() => manifestOf([folder({ 'a.rego': rule }), folder({ 'a.rego': rule })])).toThrow(/would be the same file/)
    expect(() => manifestOf([folder({ 'countersign/decision.rego': rule })], { library: true })).toThrow(/is in the library too/)
    expect(() => manifestOf([folder({ 'a.txt': '' })])).toThrow(/no Rego source/)
    expect(() => manifestOf([join(scratch, 'nowhere')])).toThrow(/is not a folder/)
  })

  test('are rooted by their packages and documents, or as their manifest says', () => {
    const files = {
      'a.rego': rule,
      'm.rego': 'package system.log\n\nmask := set()\n',
      'data.json': '{"acme": 1}',
      'limits/most/data.json': '{}',
    }
    expect(manifestOf([folder(files)])).toEqual({ roots: ['acme', 'countersign', 'limits', 'system/log'], rego_version: 1 })
    expect(manifestOf([folder({ ...files, '.manifest': '{"roots":["countersign/call","/acme/"]}' })])).toMatchObject({
      roots: ['acme', 'countersign/call'],
    })
    expect(manifestOf([folder({ ...files, '.manifest': '{"roots":["acme","countersign/call"]}' })], { library: true })).toMatchObject({
      roots: ['acme', 'countersign'],
    })
    expect(manifestOf([folder(files)], { library: true })).toMatchObject({ roots: ['acme', 'countersign', 'limits', 'system/log'] })
    expect(() => manifestOf([folder({ ...files, '.manifest': '{' })])).toThrow(/\.manifest is not JSON/)
  })

  test('keep the metadata of the manifest beside what is added', () => {
    const place = folder({ 'a.rego': rule, '.manifest': '{"roots":["countersign"],"metadata":{"team":"acme","countersign":{"note":1}}}' })
    expect(manifestOf([place], { metadata: { serial: 3 } })).toMatchObject({
      metadata: { team: 'acme', countersign: { note: 1, serial: 3 } },
    })
  })

  test('have the names in what the compiler says turned into those that the author has', () => {
    const place = folder({ 'a/x.rego': rule })
    withSources([place], plainly, (composed) => {
      expect(inOrigins(composed, 'error: a/x.rego:3: no; b/a/x.rego:1, a/x.rego')).toBe(
        `error: ${join(place, 'a/x.rego')}:3: no; b/a/x.rego:1, ${join(place, 'a/x.rego')}`,
      )
    })
  })

  test('of the library are the packaged ones', () => {
    expect(existsSync(join(packaged, 'countersign/decision.rego'))).toBe(true)
  })
})
