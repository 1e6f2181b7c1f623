import { expect, test } from 'vitest'
import { openCandidate, type Candidate } from '../../../src/author/candidate.ts'
import { diffPolicies, type PolicyDiff } from '../../../src/author/diff.ts'
import { changedBundle, defaultCandidate, scratchFolder } from '../../support/author-rig.ts'

const folder = scratchFolder('diff')
const usual = defaultCandidate()

function against(name: string, changes: (files: Record<string, Uint8Array | string>) => void): PolicyDiff {
  const other: Candidate = openCandidate(changedBundle(folder, `${name}.tar.gz`, changes), {})
  const found = diffPolicies(usual, other)
  other.close()
  return found
}

function edited(path: string, from: string, to: string): (files: Record<string, Uint8Array | string>) => void {
  return (files) => {
    const text = Buffer.from(files[path] ?? '').toString()
    expect(text).toContain(from)
    files[path] = text.replace(from, to)
  }
}

test('a policy is the same as itself', () => {
  expect(diffPolicies(usual, usual)).toEqual({
    same: true,
    manifest: [],
    data: [],
    rules: [],
    helpers: { added: [], removed: [], changed: [] },
    module: 'same',
    without_sources: [],
  })
})

test('what changed in the annotation of a rule is told member by member', () => {
  const { same, rules } = against('metadata', edited('countersign/call/sequence.rego', 'severity: medium', 'severity: high'))
  expect(same).toBe(false)
  expect(rules).toMatchObject([
    { id: 'sequence.repeats', kind: 'changed', body: false, metadata: [{ place: 'severity', from: 'medium', to: 'high' }] },
  ])
})

test('a rule that is written otherwise is told from one that only says otherwise', () => {
  const { rules, helpers } = against('body', edited('countersign/call/sequence.rego', 'if not fresh', 'if not fresh == true'))
  expect(rules).toMatchObject([{ id: 'sequence.repeats', kind: 'changed', body: true, metadata: [] }])
  expect(helpers.changed).toEqual([])
  const helped = against('helper', edited('countersign/call/sequence.rego', 'repeats < 10', 'repeats < 20'))
  expect(helped).toMatchObject({ rules: [], helpers: { changed: ['countersign.call.fresh'] } })
})

test('comments, blank lines and line breaks are no difference', () => {
  const path = 'countersign/call/sequence.rego'
  expect(
    against('note', edited(path, 'fresh if input.sequence.repeats < 10', '# as measured\n\nfresh if # few\n\tinput.sequence.repeats < 10'))
      .same,
  ).toBe(true)
})

test('rules that came and went are told', () => {
  const came = against('added', (files) => {
    files['countersign/call/acme.rego'] =
      'package countersign.call\n\n# METADATA\n# custom: {id: acme.a, effect: ask, severity: low}\nask contains 1 if false\n'
  })
  expect(came.rules).toMatchObject([{ id: 'acme.a', kind: 'added', effect: 'ask', severity: 'low', package: 'countersign.call' }])
  const went = against('removed', (files) => delete files['countersign/call/sequence.rego'])
  expect(went.rules).toMatchObject([{ id: 'sequence.repeats', kind: 'removed' }])
})

test('the manifest and the data are compared by their places', () => {
  const { manifest, data } = against('data', (files) => {
    const before = JSON.parse(Buffer.from(files['.manifest'] ?? '').toString())
    before.metadata.countersign.serial = 7
    files['.manifest'] = JSON.stringify(before)
    files['data.json'] = '{"countersign":{"acme":{"limit":100,"list":["a"]}}}'
  })
  expect(manifest).toContainEqual({ place: 'metadata.countersign.serial', to: 7 })
  expect(data).toEqual([{ place: 'countersign', to: { acme: { limit: 100, list: ['a'] } } }])
})

test('a bundle without sources is said to have none', () => {
  const found = against('blind', (files) => {
    for (const name of Object.keys(files)) if (name.endsWith('.rego')) delete files[name]
  })
  expect(found).toMatchObject({ module: 'same', same: false, without_sources: [expect.stringContaining('blind')] })
})
