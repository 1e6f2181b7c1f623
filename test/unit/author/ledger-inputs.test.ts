import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bodyPlace, findCall, judgedCalls, lineCount, readLedgerLine, readWhole } from '../../../src/author/ledger-inputs.ts'
import { rawMembers, rawMembersWith } from '../../../src/author/raw-members.ts'
import { inputWith, linesOfTexts, storedLine } from '../../support/author-rig.ts'

describe('a stored line', () => {
  test('of a judged call gives what policy saw and said', () => {
    const line = readLedgerLine(
      storedLine({ effect: 'deny', rules: ['b', 'a', 'b'], obligations: [{ type: 'notify' }], erased: [bodyPlace] }),
    )
    expect(line).toMatchObject({
      type: 'judged',
      recorded: {
        id: 'c_1',
        code: 'decide.denied',
        said: { effect: 'deny', rules: ['a', 'b'], obligations: ['notify'] },
        observed: null,
        revision: 'r1',
        hidden: [bodyPlace],
      },
    })
    if (line.type === 'judged') expect(line.recorded.input).toEqual(inputWith({}))
  })

  test('keeps the input byte for byte', () => {
    const text = storedLine().replace('"step":3', '"step":3.0e0')
    const line = readLedgerLine(text)
    expect(line.type === 'judged' && line.recorded.inputText?.includes('"step":3.0e0')).toBe(true)
  })

  test('of anything else is told apart', () => {
    expect(readLedgerLine(storedLine({ kind: 'outcome', path: 'countersign/outcome' }))).toEqual({ type: 'other' })
    const refused = storedLine({ kind: 'refusal', path: 'countersign/refusal', own: { code: 'identify.missing' } })
    expect(readLedgerLine(refused)).toEqual({ type: 'unjudged', id: 'c_1', code: 'identify.missing' })
  })

  test('that is damaged is said to be, with why', () => {
    const good = storedLine()
    const damaged = [
      '',
      '{',
      'null',
      '[]',
      '"text"',
      `${good}}`,
      good.slice(0, -1),
      good.replace('"custom"', '"costum"'),
      good.replace('"result"', '"resalt"'),
      good.replace('"input"', '"inpat"'),
      good.replace('"decision_id"', '"decision"'),
      good.replace('"v":1,"request"', '"v":1,,"request"'),
      good.replace('"effect":"allow","reasons"', '"effect":"maybe","reasons"'),
    ]
    for (const text of damaged) expect(readWhole(text), text.slice(0, 80)).toMatchObject({ type: 'damaged' })
  })

  test('whose input or answer was masked whole is no damage', () => {
    const line = readWhole(storedLine({ input: undefined, masked: ['/input'] }))
    expect(line).toMatchObject({ type: 'judged', recorded: { inputText: null, input: null } })
    const withheld = storedLine({ input: null, erased: ['/input', '/result'] }).replace(/"result":\{.*?"labels":\{\}\}/, '"result":null')
    expect(readWhole(withheld)).toMatchObject({ type: 'judged', recorded: { inputText: null, input: null, said: null } })
    const hidden = storedLine({ masked: ['/result'] }).replace(/"result":\{.*?"labels":\{\}\},/, '')
    expect(readWhole(hidden)).toMatchObject({ type: 'judged', recorded: { said: null } })
  })

  test('never throws, whatever it is', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.string().map((part) => storedLine().replace('"custom"', part)),
    )
    fc.assert(
      fc.property(text, (any) => {
        expect(['judged', 'unjudged', 'other', 'damaged']).toContain(readWhole(any).type)
      }),
    )
    const good = storedLine()
    fc.assert(
      fc.property(fc.nat({ max: good.length - 1 }), fc.string({ minLength: 1, maxLength: 1 }), (at, unit) => {
        expect(['judged', 'unjudged', 'other', 'damaged']).toContain(readWhole(good.slice(0, at) + unit + good.slice(at + 1)).type)
      }),
    )
  })
})

describe('the members of an object', () => {
  test('are those that JSON.parse finds, as text', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()), fc.constantFrom(0, 1), (object, indent) => {
        const text = JSON.stringify(object, null, indent)
        const members = rawMembers(text)
        expect(members).not.toBeNull()
        const read = new Map([...(members ?? [])].map(([name, value]) => [JSON.parse(`"${name}"`), JSON.parse(value)]))
        expect(read).toEqual(new Map(Object.entries(JSON.parse(text))))
      }),
    )
  })

  test('of a text whose brackets or quotes do not fit are none', () => {
    for (const text of ['', '{', '{"a"', '{"a":1', '{"a":"x}', '{"a":[1}', '{"a":1}}', '{"a":1} x', '{"a":1,}', '{a:1}', '[1]', '{"a":]}'])
      expect(rawMembers(text), text).toBeNull()
  })

  test('are read with those of one of them as they are of each for itself', () => {
    const value = fc.oneof(fc.json({ maxDepth: 3 }), fc.constantFrom('{}', '{"a":1} x', ' { "b" : [ ] } ', '{', '"{"', '{"a":1,}', '}'))
    const listed = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'input'), value), { maxLength: 4 })
    fc.assert(
      fc.property(listed, (list) => {
        const text = `{${list.map(([name, of]) => `"${name}":${of}`).join(',')}}`
        const found = rawMembersWith(text, 'input')
        const members = rawMembers(text)
        // what stands behind the object that was asked for makes the whole none
        if (found === null) expect(() => JSON.parse(text)).toThrow(SyntaxError)
        else expect(found).toEqual({ members, inner: rawMembers(members?.get('input') ?? '') })
      }),
    )
  })
})

describe('the judged calls of a record', () => {
  test('are given in order, and what cannot be read is reported and passed over', async () => {
    const count = lineCount()
    const told: string[] = []
    const texts = [storedLine({ id: 'c_1' }), 'rubbish', '', null, storedLine({ kind: 'event' }), storedLine({ id: 'c_2' })]
    const calls: string[] = []
    const damaged = (line: number, why: string): void => void told.push(`${line}: ${why}`)
    for await (const { id } of judgedCalls(linesOfTexts(texts), count, damaged)) calls.push(id)
    expect(calls).toEqual(['c_1', 'c_2'])
    expect(told).toEqual(['2: it is not JSON', '3: it is too long'])
    expect(count).toEqual({ lines: 5, judged: 2, unjudged: 0, other: 1, damaged: 2 })
  })

  test('one is found by its id, and not by a mention of it', async () => {
    const texts = [storedLine({ id: 'c_9', own: { detail: 'c_2' } }), storedLine({ id: 'c_2' })]
    expect(await findCall(linesOfTexts(texts), 'c_2')).toMatchObject({ type: 'judged', recorded: { id: 'c_2' } })
    expect(await findCall(linesOfTexts(texts), 'c_3')).toBeNull()
  })
})
