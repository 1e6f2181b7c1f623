import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readPlaced } from '../../../src/record/line-scan.ts'
import { readStored } from '../../../src/record/stored-line.ts'

// The quick reader must never say of a line what JSON.parse does not.

const place = { seq: 7, prev: `sha256:${'ab'.repeat(32)}`, kind: 'decision' }

/** What the slow reader says, of the same members. */
function slow(text: string): unknown {
  const line = readStored(text)
  return line === null ? null : { id: line.id, seq: line.seq, prev: line.prev, kind: line.kind }
}

function quick(bytes: Buffer): unknown {
  const line = readPlaced(bytes)
  return line === null ? null : { id: line.id, seq: line.seq, prev: line.prev, kind: line.kind }
}

const name = fc.oneof(fc.constantFrom('seq', 'prev', 'kind', 'custom', 'countersign', 'decision_id', '__proto__'), fc.string())
const { own } = fc.letrec<{ own: unknown }>((tie) => ({
  own: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>(place.prev, 'decision', 'outcome', 7, 8, 0, -1, 7.5, 1e21, 2 ** 53, null, true),
    fc.string({ unit: 'binary' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(tie('own'), { maxLength: 3 }),
    fc.dictionary(name, tie('own'), { maxKeys: 4 }),
  ),
}))

const around = fc.dictionary(name, own, { maxKeys: 3 })
const text = fc
  .tuple(around, around, around, around, fc.boolean())
  .map(([before, after, inside, outer, wide]) =>
    JSON.stringify(
      { ...before, decision_id: 'c_1', ...after, custom: { ...outer, countersign: { ...inside, ...place } } },
      null,
      wide ? '\t' : undefined,
    ),
  )

test('lines with any members around the place are read as JSON.parse reads them', () => {
  fc.assert(
    fc.property(text, (line) => {
      expect(quick(Buffer.from(line))).toEqual(slow(line))
    }),
    { numRuns: 500 },
  )
}, 120_000)

test('lines with bytes changed, put in or taken out are read, or refused, as JSON.parse does', () => {
  const tokens = fc.constantFrom(
    '"',
    '\\',
    '\\u00e',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"seq":9,',
    '"kind":"outcome",',
    '0',
    '-',
    '.',
    'e',
    'true',
    '\n',
    '\u0001',
    ' ',
  )
  fc.assert(
    fc.property(text, fc.array(fc.tuple(fc.nat(), fc.nat(3), tokens), { minLength: 1, maxLength: 3 }), (line, changes) => {
      let changed = line
      for (const [where, gone, put] of changes) {
        const at = where % (changed.length + 1)
        changed = changed.slice(0, at) + put + changed.slice(at + gone)
      }
      // a half of a pair cannot be written as UTF-8
      fc.pre(changed.isWellFormed())
      expect(quick(Buffer.from(changed))).toEqual(slow(changed))
    }),
    { numRuns: 1500 },
  )
}, 120_000)

test.each([
  ['a place inside a string', '{"decision_id":"c","x":"\\"custom\\":{}","custom":{"countersign":{"seq":1,"kind":"event","prev":"P"}}}'],
  ['a second place', '{"decision_id":"c","custom":{"countersign":{"seq":1,"kind":"event","prev":"P","seq":2}}}'],
  ['a second object', '{"decision_id":"c","custom":{"countersign":{"seq":1,"kind":"event","prev":"P"}},"custom":{}}'],
  ['a member spelt with an escape', '{"decision_id":"c","custom":{"countersign":{"seq":1,"kind":"event","prev":"P","s\\u0065q":3}}}'],
  [
    'an object that is emptied first',
    '{"decision_id":"c","custom":{"countersign":{}},"custom":{"countersign":{"seq":1,"kind":"event","prev":"P"}}}',
  ],
  [
    'half of it in a first object',
    '{"decision_id":"c","custom":{"countersign":{"kind":"event","prev":"P"}},"custom":{"countersign":{"seq":1}}}',
  ],
  ['a number that is not plain', '{"decision_id":"c","custom":{"countersign":{"seq":1e0,"kind":"event","prev":"P"}}}'],
  [
    'deep nesting',
    `{"decision_id":"c","x":${'['.repeat(500)}${']'.repeat(500)},"custom":{"countersign":{"seq":1,"kind":"event","prev":"P"}}}`,
  ],
])('%s is read as JSON.parse reads it', (_, line) => {
  const whole = line.replaceAll('"P"', JSON.stringify(place.prev))
  expect(quick(Buffer.from(whole))).toEqual(slow(whole))
})

test('what is no UTF-8 is no line', () => {
  const line = Buffer.from(`{"decision_id":"c\u0000","custom":{"countersign":${JSON.stringify(place)}}}`.replace('\u0000', 'x'))
  expect(quick(line)).not.toBeNull()
  line[line.indexOf('x')] = 0xff
  expect(quick(line)).toBeNull()
})
