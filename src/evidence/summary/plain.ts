/** Values out of lines that have exactly one text: whatever an agent wrote, the summary can be made. */
import { isRecord, textAt, textsAt, valueAt } from '../../author/json-path.ts'

/** A text; null when there is none. */
export function text(document: unknown, place: string): string | null {
  const found = textAt(document, place)
  return found === '' ? null : found.toWellFormed()
}

/** The texts of a list. */
export function texts(document: unknown, place: string): readonly string[] {
  return textsAt(document, place).map((one) => one.toWellFormed())
}

/** A number; null when there is none. */
export function number(document: unknown, place: string): number | null {
  const found = valueAt(document, place)
  return typeof found === 'number' && Number.isFinite(found) ? found : null
}

export function flag(document: unknown, place: string): boolean {
  return valueAt(document, place) === true
}

/** A moment that stands there in ms, as RFC 3339; null when it is none. */
export function moment(document: unknown, place: string): string | null {
  const ms = number(document, place)
  return ms === null || Math.abs(ms) > 8.64e15 ? null : new Date(ms).toISOString()
}

/** Names with texts, such as owners. */
export function textsByName(document: unknown, place: string): Readonly<Record<string, string>> {
  return byName(document, place, (value) => (typeof value === 'string' ? value.toWellFormed() : null))
}

/** Names with numbers, such as budgets. */
export function numbersByName(document: unknown, place: string): Readonly<Record<string, number>> {
  return byName(document, place, (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null))
}

function byName<Value>(document: unknown, place: string, read: (value: unknown) => Value | null): Readonly<Record<string, Value>> {
  const found = valueAt(document, place)
  const rows = Object.entries(isRecord(found) ? found : {}).flatMap(([name, value]): [string, Value][] => {
    const known = read(value)
    return known === null ? [] : [[name.toWellFormed(), known]]
  })
  return Object.fromEntries(rows)
}

/** Without doubles, by code unit. */
export function sorted(values: Iterable<string>): readonly string[] {
  return [...new Set(values)].toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))
}
