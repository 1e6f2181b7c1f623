/** An input in two parts: text that many inputs have in common, letter for letter, and between it what each has of its own. */

/** The common part. The same object stands for the same text, so that an engine knows it again without reading it. */
export interface Frame {
  /** What stands before, between and behind the pieces of an input's own: one more than `places`. */
  readonly texts: readonly string[]
  /** Where each piece belongs: the names of members from the top down. */
  readonly places: readonly (readonly string[])[]
}

/** An input in its parts. */
export interface Framed {
  readonly frame: Frame
  /** One JSON value each, in the order of the places. */
  readonly own: readonly string[]
  /** The piece that holds a document of the agent's. Absent: none does. */
  readonly document?: PieceWithDocument
}

/** Every other piece is well-formed and flat by the way it is written. */
export interface PieceWithDocument {
  /** Which of the pieces. */
  readonly piece: number
  /** The member that the document is. */
  readonly member: string
  /** The piece without that. */
  readonly without: string
  /** True: the document is left out of the piece, as it is one that every engine takes and writing it takes long. */
  readonly left: boolean
}

/** The whole input as JSON text. */
export function framedText({ frame: { texts }, own }: Framed): string {
  let whole = texts[0] ?? ''
  for (let at = 0; at < own.length; at++) whole += (own[at] ?? '') + (texts[at + 1] ?? '')
  return whole
}
