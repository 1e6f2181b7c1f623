import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildPolicy, compileFolder, plainly } from '../../src/author/build.ts'
import { readCases } from '../../src/author/cases.ts'
import { readBundle } from '../../src/decide/bundle/bundle.ts'
import { framedText } from '../../src/decide/frame.ts'
import { encodeInput } from '../../src/decide/input-text.ts'
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

  it('rests on what a builtin of the host was given, and on all of what `with` replaces', async () => {
    const place = mkdtempSync(join(tmpdir(), 'countersign-memo-'))
    try {
      mkdirSync(join(place, 'countersign'))
      writeFileSync(join(place, 'countersign/decision.rego'), lookingPolicy)
      const { plain, watched } = await instancesOf(readBundle(buildPolicy([place], { ...plainly, library: false }, opa).bytes))
      const instance = watched()
      const said = new Set<string>()
      for (const tool of ['hash', 'with']) {
        const frame = { texts: [`{"tool":{"name":"${tool}","resource":`, '},"n":', '}'], places: [['tool', 'resource'], ['n']] }
        const inputs = ['a', 'b', 'c', 'd'].flatMap((resource) =>
          [1, 2].map((n) => ({ frame, own: [JSON.stringify(resource), String(n)] })),
        )
        for (const one of inputs) expect(held(plain, instance, one, inputs)).toBe(tool === 'hash' ? 2 : 1)
        for (const one of inputs)
          said.add(plain.evaluate(plain.entrypoints.get('countersign/decision') ?? -1, encodeInput(framedText(one))))
      }
      expect(said.size).toBeGreaterThan(2)
    } finally {
      rmSync(place, { recursive: true })
    }
  })
})

const lookingPolicy = `package countersign

decision := {"effect": "deny", "found": crypto.sha256(input.tool.resource)} if input.tool.name == "hash"

decision := {"effect": "deny", "found": replaced} if input.tool.name == "with"

replaced := found if found := odd with input.added as 1

odd if input.n == 1

task := {"effect": "deny"}
`
