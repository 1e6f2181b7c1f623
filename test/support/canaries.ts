/** Something that must not be found. */
interface Canary {
  readonly name: string
  readonly spellings: ReadonlyMap<string, Buffer>
  /** Places where it may be, and must have been seen. */
  readonly belongs: readonly string[]
}

export interface Sighting {
  readonly canary: string
  readonly place: string
  readonly spelling: string
  /** What stands around it, without it. */
  readonly around: string
}

/** Secrets with the places they belong to, and everything that was said or written, by place. */
export class Canaries {
  readonly #canaries: Canary[] = []
  readonly #places = new Map<string, Buffer[]>()

  /** Takes a secret text and the places it belongs to; gives the text. */
  add(name: string, secret: string, ...belongs: string[]): string {
    this.#canaries.push({ name, spellings: spellings(Buffer.from(secret)), belongs })
    return secret
  }

  /** A JWT is given away by its signature already. */
  addJwt(name: string, token: string, ...belongs: string[]): string {
    this.add(`${name}, its signature`, token.slice(token.lastIndexOf('.') + 1), ...belongs)
    return this.add(name, token, ...belongs)
  }

  /** Takes bytes that are a secret as they are. */
  addBytes(name: string, secret: Uint8Array, ...belongs: string[]): void {
    this.#canaries.push({ name, spellings: spellings(Buffer.from(secret)), belongs })
  }

  /** Takes something that was said or written somewhere. */
  at(place: string, content: string | Uint8Array): void {
    const known = this.#places.get(place) ?? []
    known.push(Buffer.from(content))
    this.#places.set(place, known)
  }

  get names(): readonly string[] {
    return this.#canaries.map(({ name }) => name)
  }

  /** Every place that was searched, with its bytes. */
  sizes(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#places].map(([place, parts]) => [place, parts.reduce((sum, part) => sum + part.length, 0)]))
  }

  /** Where a canary was found that does not belong there. */
  strays(): Sighting[] {
    const found: Sighting[] = []
    for (const { name, spellings: all, belongs } of this.#canaries) {
      for (const [place, parts] of this.#places) {
        if (belongs.includes(place)) continue
        for (const [spelling, bytes] of all) {
          const part = parts.find((one) => one.includes(bytes))
          if (part !== undefined) found.push({ canary: name, place, spelling, around: around(part, bytes) })
        }
      }
    }
    return found
  }

  /** Canaries that were not even seen where they belong: the search for them would prove nothing. */
  unseen(): string[] {
    return this.#canaries.flatMap(({ name, spellings: all, belongs }) =>
      belongs
        .filter((place) => !(this.#places.get(place) ?? []).some((part) => [...all.values()].some((bytes) => part.includes(bytes))))
        .map((place) => `${name} at ${place}`),
    )
  }
}

/** As it is, URL-encoded, JSON-escaped, hex, and both base64 alphabets at each offset that text before it can cause. */
function spellings(bytes: Buffer): ReadonlyMap<string, Buffer> {
  const text = bytes.toString('utf8')
  const all = new Map([
    ['as it is', bytes],
    ['hex', Buffer.from(bytes.toString('hex'))],
  ])
  if (Buffer.from(text).equals(bytes)) {
    all.set('URL-encoded', Buffer.from(encodeURIComponent(text)))
    all.set('JSON-escaped', Buffer.from(JSON.stringify(text).slice(1, -1)))
  }
  for (const offset of [0, 1, 2]) {
    for (const alphabet of ['base64', 'base64url'] as const) {
      const whole = Buffer.concat([Buffer.alloc(offset), bytes])
        .toString(alphabet)
        .replaceAll('=', '')
      // the first and the last group hold bits of the neighbours
      all.set(`${alphabet} at ${offset}`, Buffer.from(whole.slice(offset === 0 ? 0 : 4, -3)))
    }
  }
  return all
}

function around(part: Buffer, bytes: Buffer): string {
  const at = part.indexOf(bytes)
  const before = part.subarray(Math.max(0, at - 60), at).toString('latin1')
  return `${before}<here>${part.subarray(at + bytes.length, at + bytes.length + 30).toString('latin1')}`
}
