/** Finds a secret in text the plain way, by looking for every run in every spelling: the judge of what scrubbing leaves. Knows nothing of how it is done. */

/** A spelling of a text as what each of its characters became. */
type Spelling = (text: string) => readonly string[]

const each =
  (write: (char: string) => string): Spelling =>
  (text) =>
    [...text].map(write)
const hex = (char: string): string => char.charCodeAt(0).toString(16).padStart(2, '0')
const specially = (write: (char: string) => string) => each((char) => (/[A-Za-z0-9]/.test(char) ? char : write(char)))

/** Symbols of base64 that only the text decides, when so many bytes stand before it. */
function base64(form: 'base64' | 'base64url', before: number): Spelling {
  return (text) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(text)])
    return [...bytes.toString(form)].slice(Math.ceil((before * 4) / 3), Math.floor((bytes.length * 4) / 3))
  }
}

export const spellings: Readonly<Record<string, Spelling>> = {
  plain: each((char) => char),
  'base64 at 0': base64('base64', 0),
  'base64 at 1': base64('base64', 1),
  'base64 at 2': base64('base64', 2),
  'base64url at 0': base64('base64url', 0),
  'base64url at 1': base64('base64url', 1),
  'base64url at 2': base64('base64url', 2),
  'URL, what must': each((char) => encodeURIComponent(char)),
  'URL, what must, in lower case': each((char) => encodeURIComponent(char).replace(/%../, (escape) => escape.toLowerCase())),
  'URL, every byte': each((char) => `%${hex(char).toUpperCase()}`),
  'URL, every byte in lower case': each((char) => `%${hex(char)}`),
  JSON: each((char) => JSON.stringify(char).slice(1, -1)),
  'JSON, every character': each((char) => `\\u00${hex(char)}`),
  'JSON, every character in upper case': each((char) => `\\u00${hex(char).toUpperCase()}`),
  'HTML, named': each((char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[char] ?? char),
  'HTML, numbered': specially((char) => `&#${char.charCodeAt(0)};`),
  'HTML, every character': each((char) => `&#${char.charCodeAt(0)};`),
  'HTML, every character in hex': each((char) => `&#x${hex(char)};`),
  hex: (text) => [...Buffer.from(text).toString('hex')],
  'hex in upper case': (text) => [...Buffer.from(text).toString('hex').toUpperCase()],
  'quoted-printable': each((char) => (char === '=' ? '=3D' : char)),
  'quoted-printable, every byte': each((char) => `=${hex(char).toUpperCase()}`),
}

interface Sought {
  readonly how: string
  /** In every run. */
  readonly middle: string
  readonly runs: readonly string[]
}

/** Looks for 60 % of a secret of at least 14 characters, in every spelling. */
export class LeakFinder {
  readonly #sought: readonly Sought[]

  constructor(secrets: readonly string[]) {
    this.#sought = secrets.flatMap((secret) => Object.entries(spellings).map(([how, spell]) => soughtFor(how, spell(secret))))
  }

  /** How it is spelled where it stands in the text; null when it does not. */
  find(text: string): string | null {
    for (const { how, middle, runs } of this.#sought) if (text.includes(middle) && runs.some((run) => text.includes(run))) return how
    return null
  }
}

function soughtFor(how: string, tokens: readonly string[]): Sought {
  const least = Math.ceil(tokens.length * 0.6)
  const runs = tokens.slice(0, tokens.length - least + 1).map((_, at) => tokens.slice(at, at + least).join(''))
  return { how, middle: tokens.slice(tokens.length - least, least).join(''), runs }
}
