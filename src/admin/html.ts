/** HTML that text cannot get out of: every value put into a template is escaped, unless it is HTML made here. */

/** Made by `html` alone. */
export class Html {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

export type Piece = Html | string | number | null | readonly Piece[]

/** Tagged template: the fixed parts are HTML, the values are text. Attribute values stand in double quotes. */
export function html(fixed: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  return new Html(fixed.reduce((text, part, at) => text + textOf(pieces[at - 1] ?? null) + part))
}

function textOf(piece: Piece): string {
  if (piece === null) return ''
  if (piece instanceof Html) return piece.toString()
  if (typeof piece === 'object') return piece.map((one) => textOf(one)).join('')
  return escaped(String(piece))
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"'`]/g, (found) => `&#${found.charCodeAt(0)};`)
}
