/** One text for one value, so that equal decisions have equal bytes. */

/**
 * RFC 8785: members sorted by the UTF-16 units of their keys, no white space, numbers and strings as ECMAScript writes them.
 * Null for what has no such text: other than JSON values, half of a surrogate pair, or more than `depth` levels.
 */
export function canonical(value: unknown, depth = 16): string | null {
  if (typeof value === 'string') return value.isWellFormed() ? JSON.stringify(value) : null
  if (typeof value === 'number') return Number.isFinite(value) ? String(value === 0 ? 0 : value) : null
  if (typeof value === 'boolean' || value === null) return String(value)
  if (typeof value !== 'object' || depth === 0) return null
  let inside = ''
  if (Array.isArray(value)) {
    for (const item of value) {
      const text = canonical(item, depth - 1)
      if (text === null) return null
      inside += inside === '' ? text : `,${text}`
    }
    return `[${inside}]`
  }
  for (const key of Object.keys(value).sort()) {
    const text = canonical((value as Record<string, unknown>)[key], depth - 1)
    if (text === null || !key.isWellFormed()) return null
    inside += `${inside === '' ? '' : ','}${JSON.stringify(key)}:${text}`
  }
  return `{${inside}}`
}
