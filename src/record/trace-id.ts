/**
 * The trace id of a `traceparent` header (W3C Trace Context §3.2), or null when it is absent or malformed.
 * Later versions may append fields after a dash; version `ff` and an all-zero id are invalid.
 */
export function traceId(header: string | undefined): string | null {
  if (header === undefined || header.length < 55) return null
  if (header[2] !== '-' || header[35] !== '-' || header[52] !== '-') return null
  if (!isHex(header, 0, 2) || !isHex(header, 3, 35) || !isHex(header, 36, 52) || !isHex(header, 53, 55)) return null
  const version = header.slice(0, 2)
  if (version === 'ff' || (header.length > 55 && (version === '00' || header[55] !== '-'))) return null
  const id = header.slice(3, 35)
  return id === '00000000000000000000000000000000' || header.slice(36, 52) === '0000000000000000' ? null : id
}

function isHex(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at)
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) return false
  }
  return true
}
