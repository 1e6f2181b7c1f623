/** Durations: `1h30m`, `-1.5s`, and days, weeks and years of 365 days. */

import { formatFloat } from '../float-text.ts'
import { most64 } from './argument.ts'

const units: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}

const hours: Readonly<Record<string, number>> = { d: 24, w: 168, y: 8760 }

/** Nanoseconds; undefined when it is no duration, or one of more than 292 years. */
export function parseDuration(text: string): bigint | undefined {
  const plain = /[dwy]/.test(text) ? withoutDays(text) : text
  const [, sign, rest = ''] = /^([+-]?)([^]*)$/.exec(plain ?? '') ?? []
  if (rest === '0') return 0n
  let total = 0n
  let end = 0
  for (const { 0: piece, 1: whole = '', 2: fraction = '', 3: unit = '', index } of rest.matchAll(/(\d*)(?:\.(\d*))?([^\d.]+)/gu)) {
    const size = Object.hasOwn(units, unit) ? units[unit] : undefined
    if (index !== end || size === undefined || whole + fraction === '' || whole.length > 400) return undefined
    const nanoseconds = BigInt(whole) * size + partOf(fraction, size)
    total += nanoseconds
    if (BigInt(whole) > (most64 + 1n) / size || nanoseconds > most64 + 1n || total > most64 + 1n) return undefined
    end = index + piece.length
  }
  if (end === 0 || end !== rest.length) return undefined
  if (sign === '-') return -total
  return total > most64 ? undefined : total
}

/** In doubles, as the real engine does. What does not fit 63 bits is cut off. */
function partOf(fraction: string, size: bigint): bigint {
  let digits = 0n
  let scale = 1
  for (const digit of fraction) {
    const next = digits * 10n + BigInt(digit)
    if (digits > most64 / 10n || next > most64 + 1n) break
    digits = next
    scale *= 10
  }
  return BigInt(Math.trunc(Number(digits) * (Number(size) / scale)))
}

/** Days, weeks and years written in hours. */
function withoutDays(text: string): string | undefined {
  if (!/^[+-]?(?:[\d.]+(?:ms|us|µs|ns|[a-z]))+$/.test(text)) return undefined
  let out = /^[+-]/.exec(text)?.[0] ?? ''
  for (const [, digits = '', unit = ''] of text.matchAll(/([\d.]+)(ms|us|µs|ns|[a-z])/g)) {
    const factor = hours[unit]
    const value = Number(digits)
    if (factor !== undefined && (!Number.isFinite(value) || digits === '.')) return undefined
    out += factor === undefined ? digits + unit : `${formatFloat(value * factor, 'f', null)}h`
  }
  return out
}
