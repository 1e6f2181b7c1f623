/** What a lent secret looks like when it comes back, made once for all calls of a lease; and where in bytes it stands. */
import type { Lease } from '../credential/credential.ts'
import type { Secret } from '../secret.ts'
import { Anchors, shortestAnchor } from './anchors.ts'
import { edgeOf, type Edge } from './edge.ts'
import { escapeAt, escapeBefore, longestEscape } from './escapes.ts'
import { placed, unfolded, withoutHalf } from './unfold.ts'
import { anchorsOf, leastOf, shortest, spellingsOf, type Anchor, type Form, type Spelled } from './spelling.ts'

/** Bytes `[start, end)` that hold a run of a secret. */
export type Range = readonly [start: number, end: number]

/** All secrets of a lease, prepared. */
export interface Echoes {
  readonly forms: readonly Form[]
  readonly edge: Edge
  /** Null where there is nothing to look for. */
  readonly anchors: Anchors | null
  /** By number of the text in `anchors`: of what it is, and how many of its units are whole in it. */
  readonly parts: readonly AnchorPart[]
  /** Secrets too short to be looked for in bodies: a header that holds one is dropped all the same. */
  readonly short: readonly string[]
  /** The secrets in lower case, as a header's name would hold them, and the characters of each that are a run. */
  readonly names: readonly { readonly text: string; readonly least: number }[]
  /** No run is longer, in bytes. */
  readonly reach: number
}

interface AnchorPart {
  readonly form: Form
  /** The first unit of it, and the first behind it. */
  readonly unit: number
  readonly next: number
  /** Bytes of those units. */
  readonly length: number
}

/** Of a route without a credential. */
export const noEchoes: Echoes = { forms: [], edge: edgeOf([]), anchors: null, parts: [], short: [], names: [], reach: 0 }

/** Of a lease of which no byte is sent: nothing can come back. Answers are read all the same, as on every route with a credential. */
const unsent: Echoes = { ...noEchoes }

const prepared = new WeakMap<Secret, Echoes>()

/**
 * Takes a lease; gives what `Scrub`, `answerHead` and the others look for in its answers: the secret and every further one (`parts`) in all
 * spellings of spelling.ts, and the Basic pair of a secret that is too short by itself. A lease has one set for all its calls.
 */
export function echoesOf({ secret, parts = {}, user, placement }: Pick<Lease, 'secret' | 'parts' | 'user' | 'placement'>): Echoes {
  // the key of a connection stays here, and its certificate is none
  if (placement.in === 'tls') return unsent
  let echoes = prepared.get(secret)
  if (echoes === undefined) {
    const name = placement.in === 'basic' ? (placement.user ?? user) : user
    // the key of DPoP proofs is not sent
    const sent = placement.in === 'dpop' ? [secret] : [secret, ...Object.values(parts)]
    echoes = prepare(
      sent.map((each) => each.reveal()),
      name,
    )
    prepared.set(secret, echoes)
  }
  return echoes
}

function prepare(secrets: readonly string[], user: string | undefined): Echoes {
  const short = secrets.filter((each) => each !== '' && Buffer.byteLength(each) < shortest)
  const pairs = user === undefined ? [] : short.map((each) => `${user}:${each}`)
  // the user of a pair is no secret: only the whole of it is masked
  const spelled = [...[...new Set(secrets)].flatMap((text) => spellingsOf(text)), ...pairs.flatMap((pair) => spellingsOf(pair, 1))]
  if (spelled.length === 0) return { ...noEchoes, short }
  const anchors = chosen(spelled)
  const table = new Anchors(anchors.map(({ tokens }) => Buffer.from(tokens.join(''), 'latin1')))
  const names = secrets.filter((each) => each.length >= shortest).map((each) => ({ text: each.toLowerCase(), least: leastOf(each.length) }))
  const forms = spelled.map(({ form }) => form)
  const reach = longestEscape * Math.max(...forms.map(({ units }) => units.length))
  return { forms, edge: edgeOf(forms), anchors: table, parts: anchors.map((each) => partOf(each, table.length)), short, names, reach }
}

/** Beyond this longer anchors make the search no faster. */
const longest = 67
/** Windows of one form: more of them are longer, and are more to look for. */
const mostWindows = 9

/** The longest anchors that all forms can have, of those lengths that make a difference. */
function chosen(spelled: readonly Spelled[]): readonly Anchor[] {
  for (let length = longest; length > shortestAnchor; length -= 4) {
    const all = spelled.map((each) => anchorsOf(each, length, mostWindows))
    if (all.every((each) => each !== null)) return all.flat()
  }
  return spelled.flatMap((each) => anchorsOf(each, shortestAnchor, Infinity) ?? [])
}

/** The search compares no more bytes than the shortest anchor has: the last unit may be cut. */
function partOf({ form, unit, tokens }: Anchor, bytes: number): AnchorPart {
  let length = 0
  let next = unit
  for (const token of tokens) {
    if (length + token.length > bytes) break
    length += token.length
    next++
  }
  return { form, unit, next, length }
}

/** Whether a text holds a secret. */
export function holds(text: string, echoes: Echoes): boolean {
  for (const one of echoes.short) if (text.includes(one)) return true
  return (
    echoes.anchors !== null && text.length >= echoes.anchors.length && searched(Buffer.from(text, 'latin1'), echoes, true).runs.length > 0
  )
}

/** Whether a header's name, in lower case, holds a run of a secret as it is. */
export function namesSecret(name: string, { names }: Echoes): boolean {
  for (const { text, least } of names) {
    if (name.length < least) continue
    for (let at = 0; at + least <= text.length; at++) if (name.includes(text.slice(at, at + least))) return true
  }
  return false
}

export interface Searched {
  /** Every run of a secret that is long enough to be masked, in no order. */
  readonly runs: readonly Range[]
  /** There are soft line breaks. */
  readonly broken: boolean
}

/** Looks through the bytes as they are (`last`: nothing follows them), and around soft line breaks of quoted-printable without them too: one may have parted a run. */
export function searched(bytes: Buffer, echoes: Echoes, last: boolean): Searched {
  const runs = search(bytes, echoes)
  const parts = unfolded(last ? bytes : withoutHalf(bytes), echoes.reach)
  for (const part of parts)
    for (const [start, end] of search(part.text, echoes)) runs.push([placed(start, part), placed(end - 1, part) + 1])
  return { runs, broken: parts.length > 0 }
}

function search(bytes: Uint8Array, { anchors, parts }: Echoes): Range[] {
  const runs: Range[] = []
  anchors?.search(bytes, (which, at) => {
    const { form, unit, next, length } = parts[which] as AnchorPart
    const before = reachBack(bytes, at, form, unit)
    const after = reachOn(bytes, at + length, form, next)
    if (after.unit - before.unit >= form.least) runs.push([before.at, after.at])
  })
  return runs
}

/** How far a run goes: the unit, and where in the bytes. */
export interface Reach {
  readonly unit: number
  readonly at: number
}

/** Takes the end of a run, exclusive; gives its beginning and the unit that stands there. */
export function reachBack(bytes: Uint8Array, end: number, { units }: Form, unit: number): Reach {
  let places = [end]
  let reached = unit
  while (reached > 0) {
    const flags = units[reached - 1] as Uint8Array
    const further: number[] = []
    for (const place of places) {
      if (place > 0 && flags[bytes[place - 1] ?? 0] === 1) add(further, place - 1)
      const escape = escapeBefore(bytes, place)
      if (escape > 0 && flags[escape & 255] === 1) add(further, place - (escape >> 8))
    }
    if (further.length === 0) break
    places = further
    reached--
  }
  return { unit: reached, at: Math.min(...places) }
}

/** Takes where a run goes on, and the unit that must stand there; gives where it ends, exclusive, and the unit that does not follow. */
function reachOn(bytes: Uint8Array, from: number, { units }: Form, unit: number): Reach {
  let places = [from]
  let reached = unit
  while (reached < units.length) {
    const flags = units[reached] as Uint8Array
    const further: number[] = []
    for (const place of places) {
      if (place < bytes.length && flags[bytes[place] ?? 0] === 1) add(further, place + 1)
      const escape = escapeAt(bytes, place)
      if (escape > 0 && flags[escape & 255] === 1) add(further, place + (escape >> 8))
    }
    if (further.length === 0) break
    places = further
    reached++
  }
  return { unit: reached, at: Math.max(...places) }
}

/** Readings of one run that are followed at once: only a secret that itself looks like an escape has several. */
const mostReadings = 8

function add(places: number[], place: number): void {
  if (places.length < mostReadings && !places.includes(place)) places.push(place)
}
