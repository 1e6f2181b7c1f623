/** What a part of a policy's answer must look like; anything else is `decide.malformed`, with the place. */

import { Refusal } from '../refusal.ts'

/** Ids and labels. */
export const names = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
export const printable = /^[\x21-\x7e]{1,512}$/
/** One line of text for people. */
export const sentence = /^[^\p{Cc}\p{Cs}]{1,512}$/u

/** The refusal of an answer that is wrong at `place`; nothing of its text is repeated. */
export function malformed(place: string): Refusal {
  return new Refusal('decide.malformed', { detail: `result: ${place === '' ? 'no decision' : place}` })
}

export function record(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw malformed(place)
  return value as Record<string, unknown>
}

/** An object with every member of `required`, and none but those and `optional`. */
export function closed(
  value: unknown,
  place: string,
  required: readonly string[],
  optional: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  const members = record(value, place)
  for (const key of required) if (!Object.hasOwn(members, key)) throw malformed(`${place}/${key}`)
  for (const key of Object.keys(members)) {
    if (!required.includes(key) && !optional.includes(key)) throw malformed(`${place}: an unknown member`)
    if (members[key] === undefined) throw malformed(`${place}/${key}`)
  }
  return members
}

export function list<T>(value: unknown, most: number, place: string, read: (item: unknown, place: string) => T): readonly T[] {
  if (!Array.isArray(value) || value.length > most) throw malformed(place)
  return Array.from(value, (item: unknown, at) => read(item, `${place}/${at}`))
}

export function oneOf<const T extends string>(value: unknown, allowed: readonly T[], place: string): T {
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw malformed(place)
  return found
}

/** At most 512 UTF-16 units, whatever the pattern says. */
export function pattern(value: unknown, allowed: RegExp, place: string): string {
  if (typeof value !== 'string' || value.length > 512 || !allowed.test(value)) throw malformed(place)
  return value
}

export function flag(value: unknown, place: string): boolean {
  if (typeof value !== 'boolean') throw malformed(place)
  return value
}

/** A whole number from `least` to `most`. */
export function whole(value: unknown, least: number, most: number, place: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most) throw malformed(place)
  return value
}
