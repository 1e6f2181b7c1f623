/** Floating-point numbers in the words of Go's `strconv.FormatFloat`, with exact rounding, half to even. */

export type FloatForm = 'b' | 'e' | 'E' | 'f' | 'g' | 'G' | 'x' | 'X'

/** Significant digits without trailing zeros, and the place of the point: 0.`digits` × 10^`point`. */
interface Decimal {
  readonly digits: string
  readonly point: number
}

/** A finite double as text, sign included. `precision` null: the shortest that reads back as the same double. */
export function formatFloat(value: number, form: FloatForm, precision: number | null): string {
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const magnitude = Math.abs(value)
  if (form === 'f') return sign + fixed(magnitude, precision)
  if (form === 'x' || form === 'X') return sign + hexadecimal(magnitude, precision, form)
  if (form === 'b') {
    const { mantissa, exponent } = binary(magnitude)
    return `${sign}${mantissa}p${exponent < 0 ? '' : '+'}${exponent}`
  }
  if (form === 'e' || form === 'E') {
    const decimal = precision === null ? shortest(magnitude) : rounded(magnitude, precision + 1)
    return sign + exponential(decimal, precision ?? Math.max(decimal.digits.length - 1, 0), form)
  }
  return sign + general(magnitude, precision, form === 'g' ? 'e' : 'E')
}

function general(magnitude: number, precision: number | null, letter: 'e' | 'E'): string {
  const decimal = precision === null ? shortest(magnitude) : rounded(magnitude, precision || 1)
  const count = decimal.digits.length
  const wanted = precision === null ? count : precision || 1
  const limit = precision === null ? 6 : wanted > count && count >= decimal.point ? count : wanted
  const exponent = decimal.point - 1
  if (exponent < -4 || exponent >= limit) return exponential(decimal, Math.min(wanted, count) - 1, letter)
  return plain(decimal, Math.max((wanted > decimal.point ? count : wanted) - decimal.point, 0))
}

function fixed(magnitude: number, precision: number | null): string {
  if (precision === null) {
    const decimal = shortest(magnitude)
    return plain(decimal, Math.max(decimal.digits.length - decimal.point, 0))
  }
  const digits = scaled(magnitude, precision)
    .toString()
    .padStart(precision + 1, '0')
  return precision === 0 ? digits : `${digits.slice(0, -precision)}.${digits.slice(-precision)}`
}

function plain(decimal: Decimal, fraction: number): string {
  const whole = decimal.point > 0 ? decimal.digits.slice(0, decimal.point).padEnd(decimal.point, '0') : '0'
  if (fraction === 0) return whole
  const leading = '0'.repeat(Math.max(-decimal.point, 0))
  const tail = (leading + decimal.digits.slice(Math.max(decimal.point, 0))).slice(0, fraction)
  return `${whole}.${tail.padEnd(fraction, '0')}`
}

function exponential(decimal: Decimal, fraction: number, letter: 'e' | 'E'): string {
  const exponent = decimal.digits === '' ? 0 : decimal.point - 1
  const mantissa = decimal.digits.padEnd(Math.max(fraction + 1, 1), '0')
  const tail = fraction > 0 ? `.${mantissa.slice(1, fraction + 1)}` : ''
  return `${mantissa.charAt(0)}${tail}${letter}${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
}

/** The runtime's own shortest form has the same digits as Go's. */
function shortest(magnitude: number): Decimal {
  if (magnitude === 0) return { digits: '', point: 0 }
  const [mantissa = '', exponent = '0'] = magnitude.toExponential().split('e')
  return { digits: mantissa.replace('.', ''), point: Number(exponent) + 1 }
}

/** Exactly rounded to `count` significant digits. */
function rounded(magnitude: number, count: number): Decimal {
  if (magnitude === 0) return { digits: '', point: 0 }
  let point = shortest(magnitude).point
  let digits = scaled(magnitude, count - point).toString()
  // The shortest form of a double just below a power of ten is that power: one digit is missing then.
  if (digits.length < count) digits = scaled(magnitude, count - --point).toString()
  if (digits.length > count) point++
  return { digits: digits.slice(0, count).replace(/0+$/, ''), point }
}

/** magnitude × 10^power as an integer, half to even, from the exact binary value. */
function scaled(magnitude: number, power: number): bigint {
  const { mantissa, exponent } = binary(magnitude)
  let numerator = mantissa
  let denominator = 1n
  if (exponent >= 0) numerator <<= BigInt(exponent)
  else denominator <<= BigInt(-exponent)
  if (power >= 0) numerator *= 10n ** BigInt(power)
  else denominator *= 10n ** BigInt(-power)
  const quotient = numerator / denominator
  const twice = (numerator % denominator) * 2n
  const up = twice > denominator || (twice === denominator && quotient % 2n === 1n)
  return up ? quotient + 1n : quotient
}

/** The exact value: mantissa × 2^exponent. */
function binary(magnitude: number): { readonly mantissa: bigint; readonly exponent: number } {
  const bits = new DataView(new ArrayBuffer(8))
  bits.setFloat64(0, magnitude)
  const raw = bits.getBigUint64(0)
  const stored = Number(raw >> 52n)
  const fraction = raw & ((1n << 52n) - 1n)
  return { mantissa: stored === 0 ? fraction : fraction | (1n << 52n), exponent: Math.max(stored, 1) - 1075 }
}

/** `0x1.8p+01`: one bit before the point. */
function hexadecimal(magnitude: number, precision: number | null, letter: 'x' | 'X'): string {
  let { mantissa, exponent } = binary(magnitude)
  exponent = magnitude === 0 ? 0 : exponent + 52
  for (; mantissa !== 0n && mantissa < 1n << 52n; exponent--) mantissa <<= 1n
  if (precision !== null && precision < 13) mantissa = cut(mantissa, BigInt(4 * (13 - precision)))
  if (mantissa >= 1n << 53n) {
    mantissa >>= 1n
    exponent++
  }
  const all = mantissa.toString(16).padStart(14, '0')
  const fraction = precision === null ? all.slice(1).replace(/0+$/, '') : all.slice(1).slice(0, precision).padEnd(precision, '0')
  const text = `0x${all.charAt(0)}${fraction === '' ? '' : '.'}${fraction}p${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
  return letter === 'X' ? text.toUpperCase() : text
}

/** The last `bits` bits made zero, half to even. */
function cut(value: bigint, bits: bigint): bigint {
  const unit = 1n << bits
  const rest = value % unit
  const down = value - rest
  const up = rest * 2n > unit || (rest * 2n === unit && (down / unit) % 2n === 1n)
  return up ? down + unit : down
}
