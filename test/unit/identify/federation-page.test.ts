import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { parseConfig } from '../../../src/config/load.ts'
import { readKeySet } from '../../../src/identify/bundle/bundles.ts'
import { makeCa, rsaKeys } from '../../support/x509.ts'

const root = resolve(import.meta.dirname, '../../..')
const page = readFileSync(join(root, 'docs/federation.md'), 'utf8')

const blocks = (language: string): readonly string[] =>
  Array.from(page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm')), (match) => match[1] ?? '')

test('the sources on the page of federation pass check, all of them in one configuration', () => {
  const sources = blocks('yaml').flatMap((block): unknown[] => parse(block))
  expect(sources).toHaveLength(4)
  const config = parse(readFileSync(join(root, 'examples/minimal/countersign.yaml'), 'utf8'))
  config.identify.sources = sources
  const { findings } = parseConfig(stringify(config), 'countersign.yaml', {})
  expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([])
})

test('the bundle document that it makes of a root of Istio has that root as its authority', () => {
  const { der } = makeCa({ keys: rsaKeys(2048) })
  const [document = ''] = blocks('json')
  const text = document.replace(/<[^>]*>/, Buffer.from(der).toString('base64'))
  expect(readKeySet(text, 'bundle')).toMatchObject({ authorities: [Buffer.from(der)], leftOut: [] })
})
