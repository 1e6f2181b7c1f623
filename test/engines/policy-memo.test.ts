import { existsSync, readdirSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { compileFolder } from '../../src/author/build.ts'
import { readCases } from '../../src/author/cases.ts'
import { readBundle } from '../../src/decide/bundle/bundle.ts'
import { framedOf, held, instancesOf, pairs } from '../support/memo-rig.ts'

const root = resolve(import.meta.dirname, '../..')
const opa = join(root, '.engines/bin/opa')
const starters = readdirSync(join(root, 'rego/starters')).map((name) => join(root, 'rego/starters', name))

beforeAll(() => {
  if (!existsSync(opa)) throw new Error('opa is not installed: run `npm run engines`')
})

describe('an answer that is given again', () => {
  it.each(starters.map((place) => [basename(place), place]))('is what an evaluation of the starter %s answers', async (_, place) => {
    const { plain, watched } = await instancesOf(readBundle(compileFolder(join(place, 'policy'), opa)))
    const { cases } = readCases([join(place, 'cases')])
    const inputs = cases.filter(({ entrypoint }) => entrypoint === 'countersign/decision').map(({ input }) => framedOf(input))
    const instance = watched()
    let given = 0
    fc.assert(
      fc.property(pairs(inputs), ({ one, others }) => {
        given += held(plain, instance, one, others)
      }),
      { numRuns: 200 },
    )
    expect(given).toBeGreaterThan(100)
  })
})
