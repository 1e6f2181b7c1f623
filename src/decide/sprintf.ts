/** `sprintf` as the policy language has it: Go's `fmt.Sprintf` over a number, a string, or the printed form of anything else. */

import { formatFloat, type FloatForm } from './float-text.ts'
import { printTerm, quote, quoteCharacter, type Term } from './term.ts'

type Operand =
  | { readonly type: 'int64' | '*big.Int'; readonly value: bigint }
  | { readonly type: 'float64'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }

interface Directive {
  readonly sharp: boolean
  readonly zero: boolean
  readonly plus: boolean
  readonly minus: boolean
  readonly space: boolean
  readonly width: number | null
  readonly precision: number | null
}

const bare: Directive = { sharp: false, zero: false, plus: false, minus: false, space: false, width: null, precision: null }

/**
 * Formats as Go does, mistakes included: `%!d(string=a)`, `%!d(MISSING)`, `%!(EXTRA int64=1)`. Never throws.
 * Not there: `%x` and `%b` of a fraction, which are answered as a wrong verb.
 */
export function sprintf(format: string, terms: readonly Term[]): string {
  return new Printer(format, terms.map(operand)).print()
}

class Printer {
  readonly #format: string
  readonly #operands: readonly Operand[]
  #at = 0
  #next = 0
  #reordered = false
  #sound = true
  #out = ''

  constructor(format: string, operands: readonly Operand[]) {
    this.#format = format
    this.#operands = operands
  }

  print(): string {
    while (this.#at < this.#format.length) {
      const percent = this.#format.indexOf('%', this.#at)
      this.#out += this.#format.slice(this.#at, percent === -1 ? undefined : percent)
      if (percent === -1) break
      this.#at = percent + 1
      this.#verb()
    }
    const extra = this.#operands.slice(this.#next)
    if (!this.#reordered && extra.length > 0) this.#out += `%!(EXTRA ${extra.map(labelled).join(', ')})`
    return this.#out
  }

  #verb(): void {
    this.#sound = true
    const directive = this.#directive()
    const point = this.#format.codePointAt(this.#at)
    if (point === undefined) {
      this.#out += '%!(NOVERB)'
      return
    }
    const verb = String.fromCodePoint(point)
    this.#at += verb.length
    const argument = this.#operands[this.#next]
    if (verb === '%') this.#out += '%'
    else if (!this.#sound) this.#out += `%!${verb}(BADINDEX)`
    else if (argument === undefined) this.#out += `%!${verb}(MISSING)`
    else {
      this.#next++
      this.#out += show(argument, verb, directive)
    }
  }

  #directive(): Directive {
    const flags = this.#flags()
    let indexed = this.#index()
    let width = this.#star(indexed, '%!(BADWIDTH)')
    if (width === undefined) {
      width = this.#digits()
      if (indexed && width !== null) this.#sound = false
    } else indexed = false
    let precision: number | null = null
    if (this.#format[this.#at] === '.' && this.#at + 1 < this.#format.length) {
      this.#at++
      if (indexed) this.#sound = false
      indexed = this.#index()
      const starred = this.#star(indexed, '%!(BADPREC)')
      if (starred !== undefined) indexed = false
      precision = starred === undefined ? (this.#digits() ?? 0) : starred
      if (precision !== null && precision < 0) {
        precision = null
        this.#out += '%!(BADPREC)'
      }
    }
    if (!indexed) this.#index()
    const left = width !== null && width < 0
    return {
      sharp: flags.includes('#'),
      zero: flags.includes('0') && !left,
      plus: flags.includes('+'),
      minus: flags.includes('-') || left,
      space: flags.includes(' '),
      width: width === null ? null : Math.abs(width),
      precision,
    }
  }

  #flags(): string {
    const start = this.#at
    while (this.#at < this.#format.length && '#0+- '.includes(this.#format.charAt(this.#at))) this.#at++
    return this.#format.slice(start, this.#at)
  }

  /** `[3]`: the argument to go on with. True when one was read, even if it names none. */
  #index(): boolean {
    if (this.#format[this.#at] !== '[') return false
    this.#reordered = true
    const close = this.#format.indexOf(']', this.#at)
    const text = close === -1 ? '' : this.#format.slice(this.#at + 1, close)
    this.#at = close === -1 ? this.#at + 1 : close + 1
    const well = /^\d{1,6}$/.test(text)
    const index = Number(text) - 1
    if (well && index >= 0 && index < this.#operands.length) this.#next = index
    else this.#sound = false
    return well
  }

  /** `*`: a width or precision from the arguments; undefined when there is no star, null when the argument is no small integer. */
  #star(_indexed: boolean, complaint: string): number | null | undefined {
    if (this.#format[this.#at] !== '*') return undefined
    this.#at++
    const argument = this.#operands[this.#next]
    if (argument !== undefined) this.#next++
    if (argument?.type === 'int64' && argument.value >= -1_000_000n && argument.value <= 1_000_000n) return Number(argument.value)
    this.#out += complaint
    return null
  }

  #digits(): number | null {
    const start = this.#at
    while (this.#at < this.#format.length && isDigit(this.#format.charAt(this.#at))) this.#at++
    if (this.#at === start) return null
    const number = Number(this.#format.slice(start, this.#at))
    if (number <= 1_000_000) return number
    this.#at = this.#format.length
    return null
  }
}

function isDigit(character: string): boolean {
  return character >= '0' && character <= '9'
}

function operand(term: Term): Operand {
  if (term.kind === 'string') return { type: 'string', value: term.value }
  if (term.kind !== 'number') return { type: 'string', value: printTerm(term) }
  if (/[.eE]/.test(term.digits)) {
    const value = Number(term.digits)
    return Number.isFinite(value) ? { type: 'float64', value } : { type: 'string', value: term.digits }
  }
  const value = BigInt(term.digits)
  return { type: BigInt.asIntN(64, value) === value ? 'int64' : '*big.Int', value }
}

function labelled(argument: Operand): string {
  return `${argument.type}=${show(argument, 'v', bare)}`
}

function show(argument: Operand, verb: string, directive: Directive): string {
  if (verb === 'T') return padded(clipped(argument.type, directive), directive)
  const shown =
    argument.type === 'string'
      ? showString(argument.value, verb, directive)
      : argument.type === 'float64'
        ? showFloat(argument.value, verb, directive)
        : showInteger(argument.value, verb, directive, argument.type === 'int64')
  if (shown !== null) return shown
  if (argument.type === '*big.Int') return `%!${verb}(big.Int=${argument.value})`
  return `%!${verb}(${argument.type}=${show(argument, 'v', directive)})`
}

function showString(value: string, verb: string, directive: Directive): string | null {
  switch (verb) {
    case 'v':
      return directive.sharp ? padded(quote(clipped(value, directive)), directive) : padded(clipped(value, directive), directive)
    case 's':
      return padded(clipped(value, directive), directive)
    case 'q': {
      const text = clipped(value, directive)
      const raw = directive.sharp && /^[^\p{Cc}`\ufeff]*$/u.test(text.replaceAll('\t', ''))
      return padded(raw ? `\`${text}\`` : quote(text, directive.plus), directive)
    }
    case 'x':
    case 'X':
      return padded(hexed(value, verb === 'X', directive), directive)
    default:
      return null
  }
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
  if (directive.sharp && verb !== 'v') text = pointed(text, form, precision)
  const negative = text.startsWith('-')
  const magnitude = negative ? text.slice(1) : text
  const sign = negative ? '-' : directive.plus && verb !== 'v' ? '+' : directive.space ? ' ' : ''
  const room = (directive.width ?? 0) - sign.length
  if (sign !== '' && directive.zero && !directive.minus) return sign + magnitude.padStart(room, '0')
  return padded(sign + magnitude, directive)
}

const floatForms: Readonly<Record<string, FloatForm>> = { v: 'g', g: 'g', G: 'G', e: 'e', E: 'E', f: 'f', F: 'f' }

/** The sharp flag keeps the point, and for `g` the zeros up to the precision. */
function pointed(text: string, form: FloatForm, precision: number | null): string {
  const tail = /[eE].*$/.exec(text)?.[0] ?? ''
  let head = text.slice(0, text.length - tail.length)
  const digits = head.replace(/^-/, '').replace('.', '').replace(/^0+/, '')
  let missing = form === 'g' || form === 'G' ? (precision ?? 6) - digits.length : 0
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
  const plus = directive.plus && verb !== 'v'
  const sign = negative ? '-' : plus ? '+' : directive.space ? ' ' : ''
  const prefix = directive.sharp || verb === 'O' ? (integerPrefixes[verb] ?? '') : ''
  const filled = directive.zero && !directive.minus && directive.precision === null
  // Go counts the prefix into the width for a big integer only.
  const room = filled ? (directive.width ?? 0) - sign.length - (small ? 0 : prefix.length) : (directive.precision ?? 0)
  digits = digits.padStart(room, '0')
  const mark = prefix === '0' && digits.startsWith('0') && small ? '' : prefix
  return padded(sign + mark + digits, { ...directive, zero: false })
}

const integerBases: Readonly<Record<string, number>> = { v: 10, d: 10, b: 2, o: 8, O: 8, x: 16, X: 16 }
const integerPrefixes: Readonly<Record<string, string>> = { b: '0b', o: '0', O: '0o', x: '0x', X: '0X' }

function showCharacter(value: bigint, verb: string, directive: Directive): string | null {
  if (verb !== 'c' && verb !== 'q' && verb !== 'U') return null
  const scalar = value >= 0n && value <= 0x10ffffn && !(value >= 0xd800n && value <= 0xdfffn)
  const character = scalar ? String.fromCodePoint(Number(value)) : '\ufffd'
  if (verb === 'c') return padded(character, directive)
  const quoted = `'${quoteCharacter(character, "'", verb === 'q' && directive.plus)}'`
  if (verb === 'q') return padded(quoted, directive)
  const hex = BigInt.asUintN(64, value).toString(16).toUpperCase()
  const shown = directive.sharp && scalar && quoted.length === character.length + 2 ? ` ${quoted}` : ''
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
