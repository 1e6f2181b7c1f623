/** Arguments of builtins, as the policy language takes them. */

import type { Term } from '../term.ts'
import { BuiltinLimit, bounds, type Builtin } from './builtin.ts'

/** A builtin of one string. */
export function withText(of: (value: string) => string | undefined): Builtin {
  return (_, term) => (term?.kind === 'string' ? of(term.value) : undefined)
}

/** A builtin of two strings. */
export function withTexts(of: (a: string, b: string) => string | undefined): Builtin {
  return (_, a, b) => (a?.kind === 'string' && b?.kind === 'string' ? of(a.value, b.value) : undefined)
}

/** One string, or a collection of nothing but strings. */
export function stringsOf(term: Term | undefined): readonly string[] | undefined {
  if (term?.kind === 'string') return [term.value]
  const items = itemsOf(term)
  const values = items?.flatMap((item) => (item.kind === 'string' ? [item.value] : []))
  return values?.length === items?.length ? values : undefined
}

export function itemsOf(term: Term | undefined): readonly Term[] | undefined {
  return term?.kind === 'array' || term?.kind === 'set' ? term.items : undefined
}

export const least64 = -(2n ** 63n)
export const most64 = 2n ** 63n - 1n

/** A number that is a 64-bit integer as written: `1` and `1.0`, not `1e0`. */
export function int64(term: Term | undefined): bigint | undefined {
  return term?.kind === 'number' ? int64Text(term.digits) : undefined
}

/** The same of digits, which may also have a `+` and leading zeros. */
export function int64Text(digits: string): bigint | undefined {
  const match = /^([+-]?)(\d*)(\.0*)?$/.exec(digits)
  if (match === null || digits.replace(/^[+-]/, '').length > 19 || digits.length === match[1]?.length) return undefined
  const value = BigInt(match[2] ?? '') * (match[1] === '-' ? -1n : 1n)
  return value >= least64 && value <= most64 ? value : undefined
}

/** A number whose value is an integer, however it is written. Throws BuiltinLimit when it has too many digits. */
export function integer(term: Term | undefined): bigint | undefined {
  if (term?.kind !== 'number') return undefined
  const value = decimal(term.digits)
  return value === undefined || value.numerator % value.denominator !== 0n ? undefined : value.numerator / value.denominator
}

export interface Ratio {
  readonly numerator: bigint
  readonly denominator: bigint
}

/** Exact value of `-1.5e3` and the like. Throws BuiltinLimit when it has too many digits. */
export function decimal(text: string): Ratio | undefined {
  const match = /^([+-]?)(?=\.?\d)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text)
  if (match === null) return undefined
  const [, sign, whole = '', fraction = '', power = '0'] = match
  const exponent = Number(power) - fraction.length
  if (whole.length + fraction.length > bounds.digits || Math.abs(exponent) > bounds.digits)
    throw new BuiltinLimit(`a number may have ${bounds.digits} digits at most`)
  const digits = BigInt(whole + fraction) * (sign === '-' ? -1n : 1n)
  const scale = 10n ** BigInt(Math.abs(exponent))
  return exponent < 0 ? { numerator: digits, denominator: scale } : { numerator: digits * scale, denominator: 1n }
}
