/** Finds a lent secret in what an upstream sends back. An upstream can always invent another spelling: these are the ones that servers use. */
import type { Secret } from '../secret.ts'

const known = new WeakMap<Secret, readonly string[]>()

/** Shorter than this a match says nothing: masking it would spoil answers and hide no secret. */
const shortest = 8
const star = 0x2a

/**
 * The spellings looked for: as it is, URL-encoded, JSON-escaped, hex, and base64 and base64url at each of the three offsets
 * (which also finds it inside a Basic pair). Made once per secret.
 */
export function spellingsOf(secret: Secret): readonly string[] {
  let found = known.get(secret)
  if (found === undefined) known.set(secret, (found = spell(secret.reveal())))
  return found
}

function spell(text: string): readonly string[] {
  const bytes = Buffer.from(text, 'utf8')
  const encoded = encodeURIComponent(text)
  const all = [text, encoded, encoded.replaceAll('%20', '+'), JSON.stringify(text).slice(1, -1), bytes.toString('hex')]
  for (const offset of [0, 1, 2]) {
    const whole = Buffer.concat([Buffer.alloc(offset), bytes])
    // only the characters that no neighbour has a part in
    const inside = (form: 'base64' | 'base64url') =>
      whole.toString(form).slice(Math.ceil((offset * 4) / 3), Math.floor((whole.length * 4) / 3))
    all.push(inside('base64'), inside('base64url'))
  }
  return [...new Set(all)].filter((one) => one === text || one.length >= shortest)
}

const empty = Buffer.alloc(0)

/** Spellings → what is looked for in bytes. A lease has one list for all its calls. */
const wanted = new WeakMap<readonly string[], readonly Buffer[]>()

function wantedBytes(spellings: readonly string[]): readonly Buffer[] {
  let bytes = wanted.get(spellings)
  if (bytes === undefined) {
    bytes = spellings.filter((one) => one.length >= shortest).map((one) => Buffer.from(one, 'latin1'))
    wanted.set(spellings, bytes)
  }
  return bytes
}

/** Masks every spelling in a body that streams by, stars in its place: lengths stay what they were announced to be. */
export class Scrub {
  readonly #spellings: readonly Buffer[]
  readonly #found: (() => void) | null
  /** The end of what came, as long as it may yet become a match. */
  #held: Buffer = empty

  /** The list must not change afterwards: what is made of it is kept as long as it lives. `found` is told of what is masked, again and again. */
  constructor(spellings: readonly string[], found: (() => void) | null = null) {
    this.#spellings = wantedBytes(spellings)
    this.#found = found
  }

  /** Takes the next bytes and whether they are the last; gives those that can go. */
  pass(chunk: Buffer, last: boolean): Buffer {
    const whole = this.#masked(this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]))
    if (last) {
      this.#held = empty
      return whole
    }
    const from = this.#undecided(whole)
    this.#held = whole.subarray(from)
    return whole.subarray(0, from)
  }

  /** What was held when nothing more came. */
  rest(): Buffer {
    const held = this.#held
    this.#held = empty
    return held
  }

  #masked(bytes: Buffer): Buffer {
    let masked = bytes
    for (const spelling of this.#spellings) {
      if (spelling.length > bytes.length) continue
      for (let at = masked.indexOf(spelling); at !== -1; at = masked.indexOf(spelling, at + spelling.length)) {
        if (masked === bytes) masked = Buffer.from(bytes)
        masked.fill(star, at, at + spelling.length)
      }
    }
    if (masked !== bytes) this.#found?.()
    return masked
  }

  /** Where the longest end of the bytes begins that is the beginning of a spelling. */
  #undecided(bytes: Buffer): number {
    let from = bytes.length
    for (const spelling of this.#spellings) {
      const first = spelling[0] ?? 0
      for (let at = bytes.indexOf(first, Math.max(0, bytes.length - spelling.length + 1)); at !== -1 && at < from;) {
        if (begins(spelling, bytes, at)) from = at
        else at = bytes.indexOf(first, at + 1)
      }
    }
    return from
  }
}

/** Whether all that stands in `bytes` from `at` on is how `spelling` begins. */
function begins(spelling: Buffer, bytes: Buffer, at: number): boolean {
  for (let index = at; index < bytes.length; index++) if (bytes[index] !== spelling[index - at]) return false
  return true
}
