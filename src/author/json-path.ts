/** Reads and changes places in plain JSON documents; a place is named as facts are: `task.intent.tools`. */

export type JsonRecord = Readonly<Record<string, unknown>>

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value at a place; undefined when it is not there. */
export function valueAt(document: unknown, place: string): unknown {
  if (!place.includes('.')) return isRecord(document) && Object.hasOwn(document, place) ? document[place] : undefined
  let value = document
  for (const name of place.split('.')) {
    if (!isRecord(value) || !Object.hasOwn(value, name)) return undefined
    value = value[name]
  }
  return value
}

/** A copy in which the place holds `value`; what is missing above it is made. */
export function withValue(document: JsonRecord, place: string, value: unknown): JsonRecord {
  const [name = '', ...rest] = place.split('.')
  if (rest.length === 0) return { ...document, [name]: value }
  const inner = document[name]
  return { ...document, [name]: withValue(isRecord(inner) ? inner : {}, rest.join('.'), value) }
}

/** Texts of a list; nothing when it is no list of texts. */
export function textsAt(document: unknown, place: string): readonly string[] {
  const value = valueAt(document, place)
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
}

/** A text; empty when there is none. */
export function textAt(document: unknown, place: string): string {
  const value = valueAt(document, place)
  return typeof value === 'string' ? value : ''
}
