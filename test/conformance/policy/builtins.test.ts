import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { builtins } from '../../../src/decide/builtins.ts'
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
