/** One operand in the words of one verb of Go's `fmt`. */

import { formatFloat, type FloatForm } from './float-text.ts'
import { quote, quoteCharacter } from './term.ts'

/** What a verb is applied to, named as Go names its types. */
export type Operand =
  | { readonly type: 'int64' | '*big.Int'; readonly value: bigint }
  | { readonly type: 'float64'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }

/** What stands between `%` and the verb. */
export interface Directive {
  /** `%#v`: as a literal of the language. */
  readonly literal: boolean
  readonly sharp: boolean
  readonly zero: boolean
  readonly plus: boolean
  readonly minus: boolean
  readonly space: boolean
  readonly width: number | null
  readonly precision: number | null
}

/** One operand under one verb; a verb that does not fit says so. Never throws. */
export function formatVerb(argument: Operand, verb: string, directive: Directive): string {
  if (verb === 'T') return padded(clipped(argument.type, directive), directive)
  const shown =
    argument.type === 'string'
      ? showString(argument.value, verb, directive)
      : argument.type === 'float64'
        ? showFloat(argument.value, verb, directive)
        : showInteger(argument.value, verb, directive, argument.type === 'int64')
  if (shown !== null) return shown
  if (argument.type === '*big.Int') return `%!${verb}(big.Int=${argument.value})`
  return `%!${verb}(${argument.type}=${formatVerb(argument, 'v', directive)})`
}

function showString(value: string, verb: string, directive: Directive): string | null {
  switch (verb) {
    case 'v':
      return directive.literal ? quoted(value, directive) : padded(clipped(value, directive), directive)
    case 's':
      return padded(clipped(value, directive), directive)
    case 'q':
      return quoted(value, directive)
    case 'x':
    case 'X':
      return padded(hexed(value, verb === 'X', directive), directive)
    default:
      return null
  }
}

function quoted(value: string, directive: Directive): string {
  const text = clipped(value, directive)
  const raw = directive.sharp && /^[^\p{Cc}`\ufeff]*$/u.test(text.replaceAll('\t', ''))
  return padded(raw ? `\`${text}\`` : quote(text, directive.plus), directive)
}

function hexed(value: string, upper: boolean, directive: Directive): string {
  const bytes = Buffer.from(value).subarray(0, directive.precision ?? undefined)
  const hex = upper ? bytes.toString('hex').toUpperCase() : bytes.toString('hex')
  const mark = directive.sharp && hex !== '' ? (upper ? '0X' : '0x') : ''
  return directive.space ? (hex.match(/../g) ?? []).map((pair) => mark + pair).join(' ') : mark + hex
}

function showFloat(value: number, verb: string, directive: Directive): string | null {
  const form = floatForms[verb]
  if (form === undefined) return null
  const long = verb === 'e' || verb === 'E' || form === 'f'
  const precision = directive.precision ?? (long ? 6 : null)
  let text = formatFloat(value, form, precision)
  if (directive.sharp && verb !== 'b') text = pointed(text, form, precision)
  const negative = text.startsWith('-')
  const magnitude = negative ? text.slice(1) : text
  const sign = negative ? '-' : directive.plus ? '+' : directive.space ? ' ' : ''
  const room = (directive.width ?? 0) - sign.length
  if (sign !== '' && directive.zero && !directive.minus) return sign + magnitude.padStart(room, '0')
  return padded(sign + magnitude, directive)
}

const floatForms: Readonly<Record<string, FloatForm>> = { v: 'g', b: 'b', g: 'g', G: 'G', e: 'e', E: 'E', f: 'f', F: 'f', x: 'x', X: 'X' }

/** The sharp flag keeps the point, and for some forms the zeros up to the precision; what is no zero counts as a digit, an `x` too. */
function pointed(text: string, form: FloatForm, precision: number | null): string {
  const tail = (form === 'x' || form === 'X' ? /[pP].*$/ : /[eE].*$/).exec(text)?.[0] ?? ''
  let head = text.slice(0, text.length - tail.length)
  const digits = head.replace(/^-/, '').replace('.', '').replace(/^0+/, '')
  let missing = form === 'g' || form === 'G' || form === 'x' ? (precision ?? 6) - digits.length : 0
  if (!head.includes('.')) {
    if (/^-?0$/.test(head)) missing--
    head += '.'
  }
  return head + '0'.repeat(Math.max(missing, 0)) + tail
}

function showInteger(value: bigint, verb: string, directive: Directive, small: boolean): string | null {
  const base = integerBases[verb]
  if (base === undefined || (!small && verb === 'c'))
    return small ? showCharacter(value, verb, directive) : verb === 's' ? showInteger(value, 'd', directive, small) : null
  const negative = value < 0n
  let digits = (negative ? -value : value).toString(base)
  if (verb === 'X') digits = digits.toUpperCase()
  if (directive.precision === 0 && value === 0n) return small ? ' '.repeat(directive.width ?? 0) : ''
  const sign = negative ? '-' : directive.plus ? '+' : directive.space ? ' ' : ''
  const sharp = directive.sharp ? (integerPrefixes[verb] ?? '') : ''
  const prefix = verb === 'O' ? (small ? `0o${sharp}` : '0o') : sharp
  const filled = directive.zero && !directive.minus && directive.precision === null
  // Go counts the prefix into the width for a big integer only.
  const room = filled ? (directive.width ?? 0) - sign.length - (small ? 0 : prefix.length) : (directive.precision ?? 0)
  digits = digits.padStart(room, '0')
  const mark = small && sharp === '0' && digits.startsWith('0') ? prefix.slice(0, -1) : prefix
  return padded(sign + mark + digits, { ...directive, zero: false })
}

const integerBases: Readonly<Record<string, number>> = { v: 10, d: 10, b: 2, o: 8, O: 8, x: 16, X: 16 }
const integerPrefixes: Readonly<Record<string, string>> = { b: '0b', o: '0', O: '0', x: '0x', X: '0X' }

function showCharacter(value: bigint, verb: string, directive: Directive): string | null {
  if (verb !== 'c' && verb !== 'q' && verb !== 'U') return null
  const scalar = value >= 0n && value <= 0x10ffffn && !(value >= 0xd800n && value <= 0xdfffn)
  const character = scalar ? String.fromCodePoint(Number(value)) : '\ufffd'
  if (verb === 'c') return padded(character, directive)
  const marked = `'${quoteCharacter(character, "'", verb === 'q' && directive.plus)}'`
  if (verb === 'q') return padded(marked, directive)
  const hex = BigInt.asUintN(64, value).toString(16).toUpperCase()
  const shown = directive.sharp && scalar && marked.length === character.length + 2 ? ` ${marked}` : ''
  return padded(`U+${hex.padStart(Math.max(directive.precision ?? 4, 4), '0')}${shown}`, { ...directive, zero: false })
}

function clipped(value: string, directive: Directive): string {
  return directive.precision === null ? value : Array.from(value).slice(0, directive.precision).join('')
}

function padded(value: string, directive: Directive): string {
  if (directive.width === null) return value
  const missing = directive.width - Array.from(value).length
  if (missing <= 0) return value
  if (directive.minus) return value + ' '.repeat(missing)
  return (directive.zero ? '0' : ' ').repeat(missing) + value
}
