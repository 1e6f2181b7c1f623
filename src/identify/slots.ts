import type { Presented } from './identify.ts'
import { rejected } from './rejected.ts'
import { readShape } from './token-shape.ts'

/**
 * The headers that an SDK can fill with a token, and that may therefore hold one: all are stripped before a request goes upstream,
 * on every route, whatever they hold.
 */
export const credentialSlots = ['authorization', 'proxy-authorization', 'x-api-key', 'x-goog-api-key'] as const

type SlotName = (typeof credentialSlots)[number]

const nothing: readonly Presented[] = []

/**
 * Takes the flat header list of a call (lower-cased names), gives what its slots hold that could be a token: bearer and DPoP tokens,
 * Basic passwords (RFC 7617) and whole API-key headers, each text once a scheme. Texts without a dot cannot be tokens and are left out.
 * Throws `identify.rejected` when a slot's header is repeated, or holds a token under a scheme that is none of these.
 */
export function findPresented(headers: readonly string[]): readonly Presented[] {
  let seen = 0
  let found: Presented[] | null = null
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = slotName(headers[at] ?? '')
    if (name === null) continue
    const bit = 1 << credentialSlots.indexOf(name)
    if ((seen & bit) !== 0) throw rejected('repeated', `${name} was sent more than once`)
    seen |= bit
    const presented = read(name, headers[at + 1] ?? '')
    // the dot test keeps the dummy keys that SDKs insist on away from hashing
    if (presented === null || presented.token.indexOf('.') <= 0) continue
    if (found === null) found = [presented]
    else if (!found.some((other) => other.token === presented.token && other.scheme === presented.scheme)) found.push(presented)
  }
  return found ?? nothing
}

/** By length first: this runs for every header of every call. */
function slotName(name: string): SlotName | null {
  switch (name.length) {
    case 9:
      return name === 'x-api-key' ? name : null
    case 13:
      return name === 'authorization' ? name : null
    case 14:
      return name === 'x-goog-api-key' ? name : null
    case 19:
      return name === 'proxy-authorization' ? name : null
    default:
      return null
  }
}

function read(name: SlotName, value: string): Presented | null {
  if (name === 'x-api-key' || name === 'x-goog-api-key') return { slot: name, token: value }
  const space = value.indexOf(' ')
  const rest = afterSpaces(value, space + 1)
  const scheme = space === -1 ? '' : value.slice(0, space).toLowerCase()
  if (scheme === 'bearer') return { slot: name, token: rest }
  if (scheme === 'dpop') return { slot: name, token: rest, scheme }
  if (scheme === 'basic') {
    const token = basicPassword(rest)
    return { slot: name === 'authorization' ? 'basic-password' : name, token }
  }
  // a token under a scheme of its own or under none must not pass for "nothing presented"
  if (readShape(rest) !== null) throw rejected('scheme', `${name} holds a token without Bearer, DPoP or Basic`)
  return null
}

/** RFC 9110 §11.4: one space or more, and nothing else that might pass for one. */
function afterSpaces(value: string, from: number): string {
  let at = from
  while (value[at] === ' ') at++
  return value.slice(at)
}

/** The text after the first colon, or nothing when there is none. */
function basicPassword(encoded: string): string {
  const pair = Buffer.from(encoded, 'base64').toString('latin1')
  const colon = pair.indexOf(':')
  return colon === -1 ? '' : pair.slice(colon + 1)
}
