import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { makeSeal } from '../../../src/state/seal.ts'

describe('a seal', () => {
  const key = randomBytes(32)
  const seal = makeSeal(key)

  it('gives back what was sealed, never twice the same text', () => {
    const sealed = seal.seal('tök€n', 'lease:l_1')
    expect(seal.open(sealed, 'lease:l_1')).toBe('tök€n')
    expect(seal.seal('tök€n', 'lease:l_1')).not.toBe(sealed)
    expect(sealed).not.toContain('tök€n')
  })

  it('opens for the purpose it was sealed for and no other', () => {
    const sealed = seal.seal('token', 'lease:l_1')
    expect(() => seal.open(sealed, 'lease:l_2')).toThrow('for this purpose')
  })

  it('opens with its own key alone, also when the key it was made from was wiped', () => {
    const wiped = Buffer.from(key)
    const second = makeSeal(wiped)
    wiped.fill(0)
    expect(second.open(seal.seal('token', 'p'), 'p')).toBe('token')
    expect(() => makeSeal(randomBytes(32)).open(seal.seal('token', 'p'), 'p')).toThrow('with this key')
  })

  it('does not open when any byte was changed or is missing', () => {
    const sealed = seal.seal('token', 'p')
    const bytes = Buffer.from(sealed.slice(3), 'base64url')
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(() => seal.open(`s1.${changed.toString('base64url')}`, 'p')).toThrow('not sealed with this key')
    }
    for (const text of ['', 's1.', 's2.' + sealed.slice(3), 's1.AAAA', sealed.slice(0, -4)])
      expect(() => seal.open(text, 'p')).toThrow('sealed')
  })

  it('needs a key of 32 bytes', () => {
    expect(() => makeSeal(randomBytes(16))).toThrow('32 bytes')
  })
})
