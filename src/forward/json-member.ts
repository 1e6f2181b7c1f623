/** Adds one member to a JSON document in its bytes: all else stays as it was written. */
import { isUtf8 } from 'node:buffer'
import { notJson, SpliceFault, Tokens } from './json-tokens.ts'

/** The document has a member of that name, or of one that some reader takes for it. */
export class MemberTaken extends SpliceFault {
  constructor() {
    super('a member of that name is there')
    this.name = 'MemberTaken'
  }
}

/** As deep as what policy may read. */
const deepest = 64

/**
 * Takes one JSON document as UTF-8 bytes, the pointer (RFC 6901) of the member to add, and its text. Gives new bytes.
 * Throws MemberTaken when it is there, in any case of its letters, and a SpliceFault for anything but one strict document (see `Tokens`)
 * in which every object that the pointer leads through stands exactly once.
 */
export function withMember(bytes: Uint8Array, pointer: string, text: string): Buffer {
  const names = pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (!isUtf8(bytes)) throw new SpliceFault('not UTF-8')
  const { at, empty } = new Walk(bytes, names).document()
  const member = `${JSON.stringify(names.at(-1))}:${JSON.stringify(text)}${empty ? '' : ','}`
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(member, 'utf8'), bytes.subarray(at)])
}

interface Room {
  /** Where a member goes: just inside the object. */
  readonly at: number
  readonly empty: boolean
}

/** One walk through one document. */
class Walk {
  readonly #bytes: Uint8Array
  readonly #tokens: Tokens
  readonly #names: readonly string[]
  #room: Room | null = null

  constructor(bytes: Uint8Array, names: readonly string[]) {
    this.#bytes = bytes
    this.#tokens = new Tokens(bytes)
    this.#names = names
  }

  document(): Room {
    this.#value(0, 1)
    if (this.#tokens.next() !== -1) throw notJson()
    if (this.#room === null) throw new SpliceFault('it has no object in that place')
    return this.#room
  }

  /** `level`: how many names of the pointer lead here; null: it does not. */
  #value(level: number | null, depth: number): void {
    const first = this.#tokens.next()
    if (depth > deepest && (first === 0x7b || first === 0x5b)) throw new SpliceFault('nested too deeply')
    if (first === 0x22) this.#tokens.string()
    else if (first === 0x7b) this.#object(level, depth)
    else if (first === 0x5b) this.#array(depth)
    else this.#tokens.scalar()
  }

  #object(level: number | null, depth: number): void {
    const at = ++this.#tokens.at
    const empty = this.#tokens.take(0x7d)
    const last = this.#names.length - 1
    if (level === last) this.#room = { at, empty }
    if (empty) return
    let found = 0
    do {
      const key = this.#key(level)
      const named = level !== null && fold(key) === fold(this.#names[level] ?? '')
      if (named && level === last) throw new MemberTaken()
      if (named && ++found > 1) throw new SpliceFault('an object in that place stands twice')
      if (!this.#tokens.take(0x3a)) throw notJson()
      this.#value(named ? level + 1 : null, depth + 1)
    } while (this.#tokens.take(0x2c))
    if (!this.#tokens.take(0x7d)) throw notJson()
  }

  #array(depth: number): void {
    this.#tokens.at++
    if (this.#tokens.take(0x5d)) return
    do this.#value(null, depth + 1)
    while (this.#tokens.take(0x2c))
    if (!this.#tokens.take(0x5d)) throw notJson()
  }

  #key(level: number | null): string {
    this.#tokens.next()
    const from = this.#tokens.at
    const escaped = this.#tokens.string()
    if (level === null) return ''
    const written = Buffer.from(this.#bytes.subarray(from, this.#tokens.at)).toString('utf8')
    return escaped ? (JSON.parse(written) as string) : written.slice(1, -1)
  }
}

/** As the strict reader tells twins apart (match/json.ts). */
function fold(key: string): string {
  return key.toUpperCase().toLowerCase()
}
