/** A credential in place of an opaque text that the agent's client was given for a key. */
import { Refusal } from '../refusal.ts'
import type { Lease, Placement } from '../credential/credential.ts'
import { readable, unavailable } from './apply-text.ts'
import { isEnded, isKeySlot, namedByConnection } from './headers.ts'
import type { Applied, Outgoing } from './outgoing.ts'

/** Whether a placeholder is looked for in a header of this name, in lower case. */
export function isLookedAt(name: string): boolean {
  return !never.test(name) && (isKeySlot(name) || !isEnded(name))
}

type Swapping = Placement & { readonly in: 'placeholder' }

/** Headers in which nobody puts a key, and which frame, route or describe the message: never looked at. */
const never =
  /^(accept(-.*)?|connection|content-.*|cookie|date|expect|forwarded|from|host|if-.*|origin|range|referer|te|trailer|transfer-encoding|upgrade|user-agent|via)$/

/**
 * Looks through the headers that the agent sent, those too that are dropped for being a slot of a key, and the query; swaps whole values only:
 * the text itself, the text after a scheme, the user or the password of a Basic pair, a parameter that decodes to it.
 * A body is never looked at. Throws `credential.unplaced` when it stands nowhere.
 */
export function inPlaceOf(lease: Lease, placement: Swapping, out: Outgoing): Applied {
  const swap = new Swap(placement, readable(lease.secret))
  const headers = swap.headers(out)
  const path = swap.path(out.path)
  if (!swap.done) {
    throw new Refusal('credential.unplaced', {
      reasons: ["the call does not carry the placeholder of this route's credential: give it to the client as its key"],
    })
  }
  return { headers, path }
}

class Swap {
  readonly #text: string
  readonly #at: readonly string[] | undefined
  readonly #secret: string
  done = false

  constructor({ text, at }: Swapping, secret: string) {
    this.#text = text
    this.#at = at
    this.#secret = secret
  }

  headers({ headers, given }: Outgoing): string[] {
    const list: string[] = []
    for (let at = 0; at + 1 < headers.length; at += 2) {
      const name = headers[at] ?? ''
      const value = headers[at + 1] ?? ''
      list.push(name, this.#inHeader(name, value) ?? value)
    }
    const named = namedByConnection(given)
    for (let at = 0; at + 1 < given.length; at += 2) {
      const name = given[at] ?? ''
      if (!isKeySlot(name) || named?.has(name)) continue
      const swapped = this.#inHeader(name, given[at + 1] ?? '')
      if (swapped !== null) list.push(name, swapped)
    }
    return list
  }

  /** Every byte but those of the value stays as it came. */
  path(path: string): string {
    const mark = path.indexOf('?')
    if (mark === -1) return path
    const pairs = path.slice(mark + 1).split('&')
    const swapped = pairs.map((pair) => {
      const equals = pair.indexOf('=')
      if (equals === -1 || decoded(pair.slice(equals + 1)) !== this.#text) return pair
      if (!this.#wanted('query', decoded(pair.slice(0, equals)))) return pair
      this.done = true
      return pair.slice(0, equals + 1) + encodeURIComponent(this.#secret)
    })
    return path.slice(0, mark + 1) + swapped.join('&')
  }

  /** The value with the secret in it; null where the text does not stand. */
  #inHeader(name: string, value: string): string | null {
    if (!isLookedAt(name) || !this.#wanted('header', name)) return null
    const before = value.endsWith(this.#text) ? value.slice(0, value.length - this.#text.length) : null
    if (before !== null && /^([A-Za-z0-9!#$%&'*+.^_`|~-]+ +)?$/.test(before)) {
      this.done = true
      return before + this.#secret
    }
    const [, scheme = '', encoded] = /^(basic +)([A-Za-z0-9+/=_-]+)$/i.exec(value) ?? []
    return encoded === undefined ? null : this.#inPair(scheme, encoded)
  }

  /** RFC 7617. Some clients give a key as the user, with an empty password or one that says so. */
  #inPair(scheme: string, encoded: string): string | null {
    const pair = Buffer.from(encoded, 'base64').toString('latin1')
    const colon = pair.indexOf(':')
    const user = pair.slice(0, Math.max(colon, 0))
    const password = pair.slice(colon + 1)
    if (colon === -1 || (user !== this.#text && password !== this.#text)) return null
    if (user === this.#text && this.#secret.includes(':'))
      throw unavailable('the credential holds a colon and cannot be the user of a Basic pair')
    const put = (part: string): string => (part === this.#text ? this.#secret : part)
    this.done = true
    return scheme + Buffer.from(`${put(user)}:${put(password)}`, 'latin1').toString('base64')
  }

  #wanted(where: 'header' | 'query', name: string | null): boolean {
    return name !== null && (this.#at === undefined || this.#at.includes(`${where}:${name}`))
  }
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return null
  }
}
