import { expect, test } from 'vitest'
import { idSource } from '../../src/id.ts'

test('ids name their kind, sort by time and never repeat', () => {
  let now = 1_790_000_000_000
  const newId = idSource(() => now)
  const first = newId('c')
  expect(first).toMatch(/^c_[0-9A-HJKMNP-TV-Z]{26}$/)
  const many = new Set(Array.from({ length: 20_000 }, () => newId('t')))
  expect(many.size).toBe(20_000)
  now += 1
  expect(newId('c') > first).toBe(true)
})

test('the time of an id is that of the clock', () => {
  const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
  const text = idSource(() => 1_790_000_000_123)('l').slice(2, 12)
  expect([...text].reduce((sum, digit) => sum * 32 + digits.indexOf(digit), 0)).toBe(1_790_000_000_123)
})
