import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { bounds } from '../../../src/decide/builtins/builtin.ts'
import { refused } from '../../../src/decide/builtins/refused.ts'
import { builtins } from '../../../src/decide/builtins/table.ts'
import { builtinsPolicyBytes, openHost } from '../../support/policy-rig.ts'

// The language's own reference: https://www.openpolicyagent.org/docs/policy-reference#built-in-functions.
// `npm run test:engines` asks the real engine the same cases.

interface Case {
  readonly call: string
  readonly args: readonly unknown[]
  readonly gives: readonly unknown[]
}

const text = readFileSync(new URL('cases.json', import.meta.url), 'utf8')
const lines = text.split('\n').filter((line) => line.startsWith('  {'))
const cases: readonly Case[] = JSON.parse(text)

describe('builtins of the host, through a compiled module', () => {
  const host = openHost(builtinsPolicyBytes)
  afterAll(() => host.close())

  for (const [index, { call, args, gives }] of cases.entries()) {
    it(`${call}(${JSON.stringify(args)}) gives ${gives.length === 0 ? 'undefined' : JSON.stringify(gives[0])}`, () => {
      // The line itself: digits beyond a double must reach the engine as they are written.
      const line = (lines[index] ?? '').trim().replace(/,$/, '')
      const document = host.evaluate('countersign/decision', line)
      expect(document).toEqual({ effect: 'deny', gives })
    })
  }

  it('every builtin of the table has a case', () => {
    expect(new Set(cases.map(({ call }) => call))).toEqual(new Set(Object.keys(builtins)))
  })

  it('no case cost an instance', () => {
    expect(host.replaced).toBe(0)
  })
})

describe('docs/builtins.md', () => {
  const rows = readFileSync(new URL('../../../docs/builtins.md', import.meta.url), 'utf8').split('\n')
  const [lent = [], denied = []] = ['| builtin | bound', '| builtin | why'].map((head) => {
    const start = rows.findIndex((row) => row.startsWith(head)) + 2
    return rows.slice(start, rows.indexOf('', start)).map((row) => /^\| `([^`]+)` \| (.*) ?\|$/.exec(row)?.slice(1) ?? [row])
  })

  it('lists what is lent, with the bounds that hold', () => {
    expect(lent.map(([name]) => name)).toEqual(Object.keys(builtins).sort())
    const said = new Map(lent.map(([name = '', note = '']) => [name, note]))
    const numbers = (name: string): string[] => (said.get(name) ?? '').match(/\d{1,3}(?:,\d{3})+/g) ?? []
    const written = (...most: number[]): string[] => most.map((one) => one.toLocaleString('en-US'))
    expect(numbers('net.cidr_expand')).toEqual(written(bounds.addresses))
    expect(numbers('net.cidr_contains_matches')).toEqual(written(bounds.pairs))
    expect(numbers('numbers.range_step')).toEqual(written(bounds.numbers))
    expect(numbers('json.patch')).toEqual(written(bounds.patched))
    expect(numbers('sprintf')).toEqual(written(bounds.formatted))
    expect(numbers('graph.reachable_paths')).toEqual(written(bounds.walked, bounds.path))
    expect(numbers('units.parse')).toContain(bounds.digits.toLocaleString('en-US'))
  })

  it('lists what is refused, with the reasons that a bundle is refused with', () => {
    const reasons = Object.entries(refused).map(([name, why]) => [
      name.replace(/[._]$/, '$&*'),
      `${why.charAt(0).toUpperCase()}${why.slice(1)}. `,
    ])
    expect(denied.map(([name, why = '']) => [name, `${why.trim()} `])).toEqual(reasons)
  })
})
