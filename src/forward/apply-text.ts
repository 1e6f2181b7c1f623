/** What every way to put a credential on a request needs of its text. */
import { Refusal } from '../refusal.ts'
import type { Secret } from '../secret.ts'

/** Secrets that were looked through before: a lease serves many calls. */
const fit = new WeakSet<Secret>()

/** The secret as visible ASCII, the one form that no header or URL can be split by. Throws `credential.unavailable`. */
export function readable(secret: Secret): string {
  const value = secret.reveal()
  if (fit.has(secret)) return value
  if (value === '') throw unavailable('the credential is empty')
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index)
    if (code < 0x20 || code > 0x7e) throw unavailable('the credential holds bytes that no header can carry')
  }
  fit.add(secret)
  return value
}

/** The list with this header last, and nothing else of its name. */
export function replaced(headers: readonly string[], name: string, value: string): string[] {
  const list: string[] = []
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index] !== name) list.push(headers[index] ?? '', headers[index + 1] ?? '')
  }
  list.push(name, value)
  return list
}

export function unavailable(detail: string): Refusal {
  return new Refusal('credential.unavailable', { detail })
}
