/** Reads the answers of AWS STS: the few forms of XML that its Query API writes, and nothing else. */

/** Text of the leaves by path (`AssumeRoleWithWebIdentityResult/Credentials/AccessKeyId`), the root element left out. */
export interface StsDocument {
  readonly root: string
  readonly leaves: ReadonlyMap<string, string>
}

const deepest = 8
const mostElements = 256
const entities: Readonly<Record<string, string>> = { '&lt;': '<', '&gt;': '>', '&amp;': '&', '&quot;': '"', '&apos;': "'" }

/** A tag, with the attributes that STS writes: namespaces. Or text. */
const token = /<(\/?)([A-Za-z][A-Za-z0-9]{0,63})((?:\s+xmlns(?::[a-z]+)?="[^"<&]*")*)\s*(\/?)>|([^<]+)/y

/**
 * Gives null for anything that is not wholly understood: a document type, comments, CDATA, processing instructions, other attributes,
 * entities beyond the five of XML, text beside elements, an element that stands twice, or what does not end as it began.
 */
export function readSts(text: string): StsDocument | null {
  const reader = new Reader()
  token.lastIndex = /^\uFEFF?(<\?xml version="1\.0"( encoding="[Uu][Tt][Ff]-8")?\s*\?>)?/.exec(text)?.[0].length ?? 0
  while (token.lastIndex < text.length) {
    const match = token.exec(text)
    if (match === null || !reader.take(match)) return null
  }
  return reader.result()
}

interface Open {
  readonly name: string
  text: string
  parent: boolean
}

class Reader {
  readonly #open: Open[] = []
  readonly #leaves = new Map<string, string>()
  readonly #seen = new Set<string>()
  #root: string | null = null

  /** False when this cannot stand here. */
  take([, closing, name, attributes, alone, text]: RegExpExecArray): boolean {
    if (text !== undefined) return this.#text(text)
    if (name === undefined) return false
    if (closing === '/') return attributes === '' && alone === '' && this.#close(name)
    return this.#begin(name) && (alone === '' || this.#close(name))
  }

  result(): StsDocument | null {
    return this.#root === null || this.#open.length > 0 ? null : { root: this.#root, leaves: this.#leaves }
  }

  #begin(name: string): boolean {
    const parent = this.#open.at(-1)
    if (parent === undefined && this.#root !== null) return false
    if (parent !== undefined) parent.parent = true
    this.#root ??= name
    this.#open.push({ name, text: '', parent: false })
    const path = this.#path()
    if (this.#seen.has(path) || this.#seen.size >= mostElements || this.#open.length > deepest) return false
    this.#seen.add(path)
    return true
  }

  #close(name: string): boolean {
    const path = this.#path()
    const open = this.#open.pop()
    if (open?.name !== name) return false
    if (open.parent) return open.text.trim() === ''
    if (this.#open.length > 0) this.#leaves.set(path, open.text)
    return true
  }

  #text(text: string): boolean {
    const open = this.#open.at(-1)
    if (open === undefined) return text.trim() === ''
    let known = true
    open.text += text.replaceAll(/&[^;&]{0,16};?/g, (entity) => {
      known &&= entity in entities
      return entities[entity] ?? ''
    })
    return known
  }

  #path(): string {
    return this.#open
      .slice(1)
      .map(({ name }) => name)
      .join('/')
  }
}
