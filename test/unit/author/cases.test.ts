import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { readCases, runCase } from '../../../src/author/cases.ts'
import { caseOf, writeCase } from '../../../src/author/write-case.ts'
import { defaultCandidate, inputWith, scratchFolder } from '../../support/author-rig.ts'

const folder = scratchFolder('cases')
const candidate = defaultCandidate()
const denied = inputWith({ tool: { name: 'never.declared' } })

function file(name: string, content: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : name.endsWith('.json') ? JSON.stringify(content) : stringify(content))
  return path
}

describe('a case', () => {
  test('holds when policy says what it expects', () => {
    const path = file('good.yaml', [
      { name: 'one', input: inputWith({}), expect: { effect: 'allow', rules: [], obligations: [] } },
      { name: 'two', input: denied, expect: { effect: 'deny', rules: ['intent.tool'] } },
      { input: denied, expect: { effect: 'deny' } },
    ])
    const { cases } = readCases([path])
    expect(cases.map(({ name }) => name)).toEqual(['one', 'two', `${path}[2]`])
    expect(cases.map((one) => runCase(one, candidate)).every(({ ok, differences }) => ok && differences.length === 0)).toBe(true)
  })

  test('says what differs from what it expects', () => {
    const path = file('bad.json', { name: 'one', input: denied, expect: { effect: 'ask', rules: ['other.rule'], obligations: ['notify'] } })
    const [outcome] = readCases([path]).cases.map((one) => runCase(one, candidate))
    expect(outcome).toMatchObject({
      ok: false,
      got: { effect: 'deny', rules: ['intent.tool'] },
      differences: ['effect: expected ask, got deny', 'rules: - other.rule  + intent.tool', 'obligations: - notify'],
    })
  })

  test('of an opening is judged as one', () => {
    const path = file('task.json', { name: 'one', entrypoint: 'countersign/task', input: { v: 1 }, expect: { effect: 'deny' } })
    expect(readCases([path]).cases.map((one) => runCase(one, candidate))).toMatchObject([{ ok: true }])
  })

  const input = { v: 1 }
  const wrong: readonly (readonly [what: string, document: unknown, fault: RegExp])[] = [
    ['no object', [1], /a case is an object/],
    ['a slip of a name', { imput: input, expect: { effect: 'deny' } }, /no member "imput"/],
    ['no input', { expect: { effect: 'deny' } }, /the input is an object/],
    ['no expectation', { input }, /expect is an object/],
    ['a slip in what it expects', { input, expect: { effect: 'deny', rule: [] } }, /no member "rule"/],
    ['an unknown effect', { input, expect: { effect: 'maybe' } }, /allow, deny or ask/],
    ['rules that are no list', { input, expect: { effect: 'deny', rules: 'a' } }, /list of rule ids/],
    ['an unknown entrypoint', { entrypoint: 'x', input, expect: { effect: 'deny' } }, /the entrypoint is one of/],
    ['text that is no YAML', '{', /yaml/],
  ]

  test.each(wrong)('with %s is refused with its place', (_, document, fault) => {
    const path = file('wrong.yaml', document)
    expect(() => readCases([path])).toThrow(fault)
    expect(() => readCases([path])).toThrow(path)
  })
})

test('a folder gives the cases in it and names what holds none', () => {
  const sub = join(folder, 'sub')
  mkdirSync(sub)
  file('sub/a.json', { input: denied, expect: { effect: 'deny' } })
  file('sub/data.json', { limit: 100 })
  const { cases, passedOver } = readCases([sub])
  expect(cases).toHaveLength(1)
  expect(passedOver).toEqual([join(sub, 'data.json')])
  expect(() => readCases([join(sub, 'data.json')])).toThrow(/no member "limit"/)
  expect(() => readCases([join(folder, 'no-such')])).toThrow(/ENOENT/)
})

test('a written case is read again as it was, and never written over', () => {
  for (const name of ['written.yaml', 'written.json']) {
    const path = join(folder, name)
    const document = caseOf(denied, 'countersign/decision', { effect: 'deny', rules: [{ id: 'intent.tool' }] }, 'mine')
    writeCase(path, document)
    expect(readCases([path]).cases).toMatchObject([{ name: 'mine', input: denied, expect: { effect: 'deny', rules: ['intent.tool'] } }])
    expect(() => writeCase(path, document)).toThrow('is there already')
  }
})
