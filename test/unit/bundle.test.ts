import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundle, entries } from '../../scripts/bundle.ts'

const root = resolve(import.meta.dirname, '../..')
const app = mkdtempSync(join(tmpdir(), 'cs-bundle-'))
const run = (...words: string[]): string =>
  execFileSync(process.execPath, [join(app, 'dist/main.js'), ...words], { encoding: 'utf8', env: { NODE_DISABLE_COMPILE_CACHE: '1' } })

beforeAll(async () => {
  for (const name of ['rego', 'examples', 'node_modules']) symlinkSync(join(root, name), join(app, name))
  copyFileSync(join(root, 'package.json'), join(app, 'package.json'))
  await bundle(join(app, 'dist'))
})
afterAll(() => rmSync(app, { recursive: true, force: true }))

describe('the bundled program', () => {
  test('finds what the sources find by their places: the manifest, the frameworks, the policy', () => {
    expect(run('version').trim()).toBe(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version)
    expect(run('frameworks', '-o', 'json').length).toBeGreaterThan(1000)
    expect(JSON.parse(run('schema')).title).toBe('Countersign configuration')
  })

  test('has a file for each thread that the sources start by the name of one', () => {
    const started = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .flatMap((name) =>
        [...readFileSync(join(root, 'src', name), 'utf8').matchAll(/new URL\(`\.\/([\w-]+)\$\{extname/g)].map(([, thread = '']) =>
          relative('.', join(dirname(name), thread)),
        ),
      )
    expect(started.length).toBeGreaterThan(3)
    for (const name of started) {
      expect(entries).toContain(name)
      expect(existsSync(join(app, 'dist', `${name}.js`)), name).toBe(true)
    }
  })
})
