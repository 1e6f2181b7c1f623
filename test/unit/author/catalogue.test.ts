import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { controlsOf, readCatalogue, ruleOf } from '../../../src/author/catalogue.ts'
import { readModule } from '../../../src/author/rego-text.ts'
import { defaultCandidate } from '../../support/author-rig.ts'

const { catalogue } = defaultCandidate()

describe('the catalogue of the default policy', () => {
  test('has every rule with all that its annotation says', () => {
    expect(catalogue.problems).toEqual([])
    expect(catalogue.rules.length).toBeGreaterThanOrEqual(23)
    for (const rule of catalogue.rules) {
      expect(rule, rule.id).toMatchObject({ title: expect.stringMatching(/./), description: expect.stringMatching(/./) })
      expect(rule, rule.id).toMatchObject({ message: expect.stringMatching(/./), remediation: expect.stringMatching(/./) })
      expect(['deny', 'ask', 'defer', 'obligate'], rule.id).toContain(rule.effect)
      expect(controlsOf(rule).length, rule.id).toBeGreaterThan(3)
    }
  })

  test('tells a rule of calls from the rule of tasks with the same id', () => {
    expect(ruleOf(catalogue, 'intent.tool', 'countersign/decision')).toMatchObject({ facts: ['task.intent.tools', 'tool.name'] })
    expect(ruleOf(catalogue, 'intent.tool', 'countersign/task')).toMatchObject({ facts: ['agent.intent.tools', 'task.intent.tools'] })
    expect(ruleOf(catalogue, 'no.such', 'countersign/decision')).toBeNull()
  })

  test('has the statement that uses the constant of an annotation as the body of its rule', () => {
    const body = ruleOf(catalogue, 'sequence.repeats', 'countersign/decision')?.body
    expect(body).toContain('rego.metadata.rule()')
    expect(body).toContain('deny contains lib.finding(')
    expect(catalogue.helpers.has('countersign.call.fresh')).toBe(true)
  })

  test('knows that no rule reads the judged body', () => {
    expect(catalogue.readsBody).toBe(false)
  })
})

const annotated = (custom: string, body = 'deny contains 1 if true'): ReadonlyMap<string, string> =>
  new Map([['a.rego', `package acme\n\n# METADATA\n# title: A\n# custom:\n${custom}\n${body}\n`]])

describe('a catalogue', () => {
  test('takes an annotation on the rule itself', () => {
    const { rules } = readCatalogue(annotated('#   id: acme.a\n#   facts: [tool.name]'))
    expect(rules).toMatchObject([{ id: 'acme.a', facts: ['tool.name'], body: 'deny contains 1 if true', observable: null, severity: '' }])
  })

  test('goes on behind an annotation that is no YAML, and says so', () => {
    const sources = new Map([...annotated('#   id: [acme'), ['b.rego', 'package b\n\n# METADATA\n# custom: {id: b.b}\nx := 1\n']])
    const { rules, problems } = readCatalogue(sources)
    expect(rules.map(({ id }) => id)).toEqual(['b.b'])
    expect(problems).toEqual([expect.stringMatching(/^a\.rego:7: the METADATA is not YAML/)])
  })

  test('knows who reads the body: by the facts, by the text, or because there is no text', () => {
    expect(readCatalogue(new Map()).readsBody).toBe(true)
    expect(readCatalogue(annotated('#   id: a\n#   facts: [request.body.parsed]')).readsBody).toBe(true)
    expect(readCatalogue(annotated('#   id: a', 'x if input.request.body.parsed.amount > 1')).readsBody).toBe(true)
    expect(readCatalogue(annotated('#   id: a', 'x if object.get(input, ["request", "body", "parsed"], 1)')).readsBody).toBe(true)
    expect(
      readCatalogue(new Map([['m.rego', 'package system.log\n\nmask contains "/input" if input.input.request.body.parsed\n']])).readsBody,
    ).toBe(false)
    expect(readCatalogue(annotated('#   id: a', '# what was parsed\nx if true')).readsBody).toBe(false)
  })

  test('is read from any text without an error', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => void readCatalogue(new Map([['x.rego', text]]))))
    const lines = fc.array(
      fc.constantFrom('package a', '# METADATA', '# title: [', '# custom: {id: x}', '', 'x := 1', '}', '\tx', '# "', 'y := "#"'),
    )
    fc.assert(fc.property(lines, (some) => void readCatalogue(new Map([['x.rego', some.join('\n')]]))))
  })
})

test('a # in a string begins no comment', () => {
  expect(readModule('package a\nx := "#" # and so on\ny := `a#` + "\\"#"\n').statements).toMatchObject([
    { name: 'x', text: 'x := "#"' },
    { name: 'y', text: 'y := `a#` + "\\"#"' },
  ])
})

test('a comment behind an annotation and a blank line is no part of it', () => {
  const { statements } = readModule('package a\n\n# METADATA\n# title: A\n\n# not: [yaml\nx := 1\n')
  expect(statements).toMatchObject([{ metadata: 'title: A' }])
})
