/** Text as a moment, by a layout: as lax and as strict as Go's `time.Parse`, whose zone is UTC. */

import { daysIn, momentAt } from './instant.ts'
import { months, readLayout, weekdays, type Chunk } from './layout.ts'

/** Nanoseconds since 1970; undefined when the text is not of the layout, or names no moment that 64 bits hold. */
export function parseTime(layout: string, text: string): bigint | undefined {
  const reader = new TimeReader(text)
  const chunks = readLayout(layout)
  for (const [index, chunk] of chunks.entries()) {
    const next = chunks.slice(index + 1).find(({ element }) => element !== null)?.element ?? ''
    if (!(chunk.element === null ? reader.skip(chunk.literal) : reader.take(chunk, next))) return undefined
  }
  return reader.end()
}

type Field = 'year' | 'month' | 'day' | 'yearDay' | 'hour' | 'minute' | 'second' | 'nanosecond'

/** Element → the field it fills, the digits it has at least, the least and the most. */
const numbers: Readonly<Record<string, readonly [Field, 1 | 2, number, number]>> = {
  '01': ['month', 2, 1, 12],
  '1': ['month', 1, 1, 12],
  '02': ['day', 2, 0, 99],
  _2: ['day', 1, 0, 99],
  '2': ['day', 1, 0, 99],
  '15': ['hour', 1, 0, 23],
  '03': ['hour', 2, 0, 12],
  '3': ['hour', 1, 0, 12],
  '04': ['minute', 2, 0, 59],
  '4': ['minute', 1, 0, 59],
  '05': ['second', 2, 0, 59],
  '5': ['second', 1, 0, 59],
}

class TimeReader {
  #rest: string
  #half: 'am' | 'pm' | null = null
  #utc = false
  #offset: number | null = null
  readonly #fields: Partial<Record<Field, number>> = {}

  constructor(text: string) {
    this.#rest = text
  }

  /** Spaces of a layout fit as many spaces, or the end. */
  skip(literal: string): boolean {
    for (const piece of literal.match(/ +|[^ ]+/g) ?? []) {
      if (piece.startsWith(' ')) {
        if (this.#rest !== '' && !this.#rest.startsWith(' ')) return false
        this.#rest = this.#rest.replace(/^ +/, '')
      } else if (this.#match(piece) === undefined) return false
    }
    return true
  }

  take({ literal }: Chunk, next: string): boolean {
    const number = numbers[literal]
    if (number !== undefined) return this.#number(literal, number, next)
    switch (literal) {
      case '2006':
        return this.#year(/^\d[^]{3}/, 0)
      case '06':
        return this.#year(/^[^]{2}/, 2000)
      case 'January':
        return this.#name(months, 'month')
      case 'Jan':
        return this.#name(months.map(short), 'month')
      case 'Monday':
        return this.#name(weekdays, null)
      case 'Mon':
        return this.#name(weekdays.map(short), null)
      case '002':
        return this.#set('yearDay', this.#pattern(/^\d{3}/))
      case '__2':
        this.#pattern(/^ {1,2}/)
        return this.#set('yearDay', this.#pattern(/^\d{1,3}/))
      case 'PM':
      case 'pm':
        return this.#halfDay(literal)
      case 'MST':
        return this.#zoneName()
      default:
        return /^[.,]/.test(literal) ? this.#fraction(literal) : this.#zone(literal)
    }
  }

  end(): bigint | undefined {
    const { year = 0, yearDay, minute = 0, second = 0, nanosecond = 0 } = this.#fields
    const [month, day] = yearDay === undefined ? [this.#fields.month ?? 1, this.#fields.day ?? 1] : this.#dayOfYear(year, yearDay)
    if (this.#rest !== '' || month === undefined || day === undefined || day < 1 || day > daysIn(year, month)) return undefined
    let { hour = 0 } = this.#fields
    if (this.#half === 'pm' && hour < 12) hour += 12
    else if (this.#half === 'am' && hour === 12) hour = 0
    const offset = this.#utc ? 0 : (this.#offset ?? 0)
    return momentAt({ year, month, day, hour, minute, second: second - offset, nanosecond }, 'UTC')
  }

  #match(word: string): string | undefined {
    if (!this.#rest.startsWith(word)) return undefined
    this.#rest = this.#rest.slice(word.length)
    return word
  }

  #pattern(pattern: RegExp): string | undefined {
    const found = pattern.exec(this.#rest)?.[0]
    return found === undefined ? undefined : this.#match(found)
  }

  #set(field: Field, digits: string | undefined): boolean {
    if (digits !== undefined) this.#fields[field] = Number(digits)
    return digits !== undefined
  }

  #number(element: string, [field, least, from, to]: readonly [Field, 1 | 2, number, number], next: string): boolean {
    if (element === '_2') this.#match(' ')
    const digits = this.#pattern(least === 2 ? /^\d{2}/ : /^\d{1,2}/)
    if (digits === undefined || Number(digits) < from || Number(digits) > to) return false
    this.#fields[field] = Number(digits)
    // Seconds may have a fraction that the layout does not speak of.
    const fraction = field === 'second' && !/^[.,]/.test(next) ? this.#pattern(/^[.,]\d+/) : undefined
    return fraction === undefined || this.#nanoseconds(fraction)
  }

  #year(pattern: RegExp, century: number): boolean {
    const year = signed(this.#pattern(pattern))
    if (year === undefined) return false
    this.#fields.year = century === 0 ? year : year >= 69 ? year + century - 100 : year + century
    return true
  }

  #name(names: readonly string[], field: 'month' | null): boolean {
    const lower = this.#rest.slice(0, 9).toLowerCase()
    const index = names.findIndex((name) => lower.startsWith(name.toLowerCase()))
    this.#rest = this.#rest.slice(names[index]?.length ?? 0)
    if (field !== null) this.#fields[field] = index + 1
    return index !== -1
  }

  #halfDay(literal: 'PM' | 'pm'): boolean {
    const half = this.#pattern(literal === 'PM' ? /^[AP]M/ : /^[ap]m/)
    // Once afternoon, a later word for morning changes nothing.
    if (half !== undefined && this.#half !== 'pm') this.#half = half.toLowerCase() === 'pm' ? 'pm' : 'am'
    return half !== undefined
  }

  #fraction(literal: string): boolean {
    if (literal.charAt(1) === '9') {
      const digits = this.#pattern(/^[.,]\d+/)
      return digits === undefined || this.#nanoseconds(digits)
    }
    if (this.#rest.length < literal.length) return false
    const digits = this.#rest.slice(0, literal.length)
    this.#rest = this.#rest.slice(literal.length)
    return /^[.,]/.test(digits) && this.#nanoseconds(digits)
  }

  #nanoseconds(digits: string): boolean {
    const kept = digits.slice(1, 10)
    const value = signed(kept)
    if (value === undefined || value < 0) return false
    this.#fields.nanosecond = value * 10 ** (9 - kept.length)
    return true
  }

  #zone(literal: string): boolean {
    if (literal.startsWith('Z') && this.#match('Z') !== undefined) {
      this.#utc = true
      return true
    }
    const form = literal.slice(1).replaceAll(/\d\d/g, '(\\d\\d)')
    const found = new RegExp(`^([+-])${form}`).exec(this.#rest)
    if (found === null) return false
    this.#rest = this.#rest.slice(found[0].length)
    const [hours, minutes, seconds] = [Number(found[2]), Number(found[3] ?? '0'), Number(found[4] ?? '0')]
    if (hours > 24 || minutes > 60 || seconds > 60) return false
    const offset = (hours * 60 + minutes) * 60 + seconds
    // One second west is how the real parser says that there is no offset.
    this.#offset = found[1] === '-' ? (offset === 1 ? null : -offset) : offset
    return true
  }

  /** A short name is read and counts for nothing, for it names no zone. */
  #zoneName(): boolean {
    if (this.#match('UTC') !== undefined) {
      this.#utc = true
      return true
    }
    if (this.#rest.length < 3) return false
    if (this.#pattern(/^(?:ChST|MeST)/) !== undefined) return true
    const gmt = this.#match('GMT')
    const offset = gmt !== undefined || /^[+-]/.test(this.#rest) ? /^[+-](\d+)/.exec(this.#rest) : null
    if (offset !== null && Number(offset[1]) <= 23) this.#rest = this.#rest.slice(offset[0].length)
    else if (gmt === undefined) return this.#pattern(/^(?:[A-Z]{4}T(?![A-Z])|(?:[A-Z]{3}T|WITA)(?![A-Z])|[A-Z]{3}(?![A-Z]))/) !== undefined
    return true
  }

  #dayOfYear(year: number, yearDay: number): readonly [number?, number?] {
    if (yearDay < 1 || yearDay > 365 + Number(daysIn(year, 2) === 29)) return []
    const date = new Date(0)
    date.setUTCFullYear(year, 0, yearDay)
    const [month, day] = [date.getUTCMonth() + 1, date.getUTCDate()]
    return (this.#fields.month ?? month) === month && (this.#fields.day ?? day) === day ? [month, day] : []
  }
}

function short(name: string): string {
  return name.slice(0, 3)
}

function signed(text: string | undefined): number | undefined {
  return text !== undefined && /^[+-]?\d*$/.test(text) ? Number(text.length > 1 || /\d/.test(text) ? text : '0') : undefined
}
