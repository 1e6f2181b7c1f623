import { describe, expect, it } from 'vitest'
import { jsonOf, readTerm } from '../../../src/decide/term.ts'

describe('a term as JSON', () => {
  const json = (text: string): string => jsonOf(readTerm(text))

  it('has its sets as lists in the order of the policy language, however deep', () => {
    expect(json('{"b",{"op":"upsert","path":"/a"},"a",{"op":"remove","path":"/z"},{"op":"remove","path":"/b"}}')).toBe(
      '["a","b",{"op":"remove","path":"/b"},{"op":"remove","path":"/z"},{"op":"upsert","path":"/a"}]',
    )
    expect(json('[{10,9},{"k":{"b",null,"a",true}},set()]')).toBe('[[9,10],{"k":[null,true,"a","b"]},[]]')
  })

  it('leaves lists as they are, and numbers with their digits', () => {
    expect(json('["b","a",12345678901234567890,1.50,{}]')).toBe('["b","a",12345678901234567890,1.50,{}]')
  })

  it('has the text of a key that is no string', () => {
    expect(json('{1:"a",["x",2]:"b","__proto__":{null:1}}')).toBe('{"1":"a","[\\"x\\",2]":"b","__proto__":{"null":1}}')
  })
})
