/** Ranges of numbers, and numbers with a unit. */

import { decimal, integer, withText, type Ratio } from './argument.ts'
import { BuiltinLimit, bounds, type Builtin } from './builtin.ts'

export const numberBuiltins: Readonly<Record<string, Builtin>> = {
  'numbers.range_step': (_, from, to, step) => rangeStep(integer(from), integer(to), integer(step)),
  'units.parse': withText((value) => parseUnit(value.replaceAll('"', ''))),
  // Go lowers this letter to a plain one; the runtime to two characters.
  'units.parse_bytes': withText((value) => parseBytes(value.replaceAll('İ', 'i').toLowerCase().replaceAll('"', ''))),
}

function rangeStep(from: bigint | undefined, to: bigint | undefined, step: bigint | undefined): string | undefined {
  if (from === undefined || to === undefined || step === undefined || step <= 0n) return undefined
  const up = from <= to
  const count = (up ? to - from : from - to) / step + 1n
  if (count > bounds.numbers) throw new BuiltinLimit(`numbers.range_step gives ${bounds.numbers} numbers at most`)
  const stride = up ? step : -step
  return `[${Array.from({ length: Number(count) }, (_, index) => from + BigInt(index) * stride).join(',')}]`
}

const powers = ['k', 'm', 'g', 't', 'p', 'e']

/** Factor of `k`, `ki` and their like. */
function factor(letter: string, binary: boolean): bigint | undefined {
  const power = powers.indexOf(letter) + 1
  return letter.length !== 1 || power === 0 ? undefined : binary ? 1024n ** BigInt(power) : 1000n ** BigInt(power)
}

/** The double nearest to a thousandth, exactly: what the real engine multiplies with. */
const milli: Ratio = { numerator: 1_152_921_504_606_847n, denominator: 2n ** 60n }

/** `m` is a thousandth, `M` a million; of the others the case of the letters says nothing. */
function unitOf(unit: string): Ratio | undefined {
  if (unit === '') return { numerator: 1n, denominator: 1n }
  if (unit === 'm') return milli
  const lower = unit.toLowerCase()
  if (lower.length !== unit.length || !/^.i?$/.test(lower)) return undefined
  const numerator = factor(/^[A-Za-z]/.test(unit) ? lower.charAt(0) : '', lower.length === 2)
  return numerator === undefined ? undefined : { numerator, denominator: 1n }
}

function parseUnit(value: string): string | undefined {
  const [number, unit] = split(value)
  const by = unitOf(unit.replaceAll('İ', 'i'))
  const amount = by === undefined ? undefined : decimal(number)
  if (by === undefined || amount === undefined) return undefined
  const numerator = amount.numerator * by.numerator
  const denominator = amount.denominator * by.denominator
  if (numerator % denominator === 0n) return String(numerator / denominator)
  const magnitude = numerator < 0n ? -numerator : numerator
  // Ten places, half away from zero.
  const scaled = (magnitude * 20_000_000_000n + denominator) / (2n * denominator)
  const digits = scaled.toString().padStart(11, '0')
  return `${numerator < 0n ? '-' : ''}${digits.slice(0, -10)}.${digits.slice(-10)}`
}

function parseBytes(value: string): string | undefined {
  const [number, unit] = split(value)
  const by = unit === '' ? 1n : /^[a-z]i?b?$/.test(unit) ? factor(unit.charAt(0), unit.charAt(1) === 'i') : undefined
  const amount = by === undefined ? undefined : decimal(number)
  if (by === undefined || amount === undefined) return undefined
  const binary = rounded(amount)
  const product = rounded({ numerator: binary.numerator * by, denominator: binary.denominator })
  return String(product.numerator / product.denominator)
}

/** The number before the first character that cannot belong to one, and the rest; with a space or a long exponent there is neither. */
function split(value: string): readonly [string, string] {
  if (value.includes(' ') || /[eE][+-]?\d{7}/.test(value)) return ['', ' ']
  const end = /^(?:[0-9.+-]|[eE](?=[0-9+-]))*/.exec(value)?.[0].length ?? 0
  return [value.slice(0, end), value.slice(end)]
}

/** Rounded to 64 bits, half to even: the precision of the real engine's floats. */
function rounded({ numerator, denominator }: Ratio): Ratio {
  const magnitude = numerator < 0n ? -numerator : numerator
  if (magnitude === 0n) return { numerator: 0n, denominator: 1n }
  let shift = bits(magnitude) - bits(denominator) - 64
  if (significant(magnitude, denominator, shift) >= 1n << 64n) shift++
  const [top, bottom] = shift >= 0 ? [magnitude, denominator << BigInt(shift)] : [magnitude << BigInt(-shift), denominator]
  const quotient = top / bottom
  const twice = (top % bottom) * 2n
  const mantissa = twice > bottom || (twice === bottom && quotient % 2n === 1n) ? quotient + 1n : quotient
  const signed = numerator < 0n ? -mantissa : mantissa
  return shift >= 0 ? { numerator: signed << BigInt(shift), denominator: 1n } : { numerator: signed, denominator: 1n << BigInt(-shift) }
}

function significant(numerator: bigint, denominator: bigint, shift: number): bigint {
  return shift >= 0 ? numerator / (denominator << BigInt(shift)) : (numerator << BigInt(-shift)) / denominator
}

function bits(value: bigint): number {
  return value.toString(2).length
}
