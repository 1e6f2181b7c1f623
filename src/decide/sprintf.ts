/** `sprintf` as the policy language has it: Go's `fmt.Sprintf` over a number, a string, or the printed form of anything else. */

import { BuiltinLimit, bounds } from './builtins/builtin.ts'
import { formatVerb, type Directive, type Operand } from './format-verb.ts'
import { printTerm, type Term } from './term.ts'

const bare: Directive = { literal: false, sharp: false, zero: false, plus: false, minus: false, space: false, width: null, precision: null }

/**
 * Formats as Go does, mistakes included: `%!d(string=a)`, `%!d(MISSING)`, `%!(EXTRA int64=1)`. Throws BuiltinLimit when the text grows too long.
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
      if (this.#out.length > bounds.formatted) throw new BuiltinLimit(`sprintf gives ${bounds.formatted} characters at most`)
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
      // `v` alone takes these two flags for itself; a wrong verb falls back to it with the flags as they are.
      const general = verb === 'v' || verb === 'w'
      this.#out += formatVerb(argument, verb, general ? { ...directive, literal: directive.sharp, sharp: false, plus: false } : directive)
    }
  }

  #directive(): Directive {
    const flags = this.#flags()
    let indexed = this.#index()
    let width = this.#star('%!(BADWIDTH)')
    if (width === undefined) {
      width = this.#digits()
      if (indexed && width !== null) this.#sound = false
    } else indexed = false
    let precision: number | null = null
    if (this.#format[this.#at] === '.' && this.#at + 1 < this.#format.length) {
      this.#at++
      if (indexed) this.#sound = false
      indexed = this.#index()
      const starred = this.#star('%!(BADPREC)')
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
      literal: false,
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
  #star(complaint: string): number | null | undefined {
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
  return `${argument.type}=${formatVerb(argument, 'v', bare)}`
}
