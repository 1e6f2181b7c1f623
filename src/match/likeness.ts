/** A path as lenient servers read it: without regard to case, path parameters, blanks around a segment or slashes at the end. */

import type { Piece, Template } from './template.ts'

/** The decoded segments of a path, made lenient; the same list when nothing about them is. */
export function lenientSegments(segments: readonly string[]): readonly string[] {
  let end = segments.length
  while (end > 1 && segments[end - 1] === '') end--
  const kept = end === segments.length ? segments : segments.slice(0, end)
  return kept.every(isPlain) ? kept : kept.map(lenient)
}

/** A template to hold such segments against. */
export function lenientTemplate(template: Template): Template {
  return { ...template, pieces: template.pieces.map(lenientPiece) }
}

/** True when a template says each segment of what it takes, the empty one at the end included: then no other spelling is meant. */
export function isSpelledOut({ pieces }: Template): boolean {
  const last = pieces.at(-1)
  return pieces.every(({ kind }) => kind === 'literal') || (last?.kind === 'literal' && last.text === '')
}

function lenientPiece(piece: Piece): Piece {
  if (piece.kind === 'literal') return { ...piece, text: lenient(piece.text) }
  return piece.kind === 'param' ? { ...piece, before: fold(piece.before), after: fold(piece.after) } : piece
}

/** A segment, or the value of a header that chooses the operation. */
export function lenient(segment: string): string {
  const cut = segment.indexOf(';')
  return fold(cut > 0 ? segment.slice(0, cut) : segment).trim()
}

/** Upper case first: it joins letters that lower case alone keeps apart. */
function fold(text: string): string {
  return text.normalize('NFKC').toUpperCase().toLowerCase()
}

/** Small letters, digits and marks that mean nothing: most segments are read by everyone alike. */
function isPlain(segment: string): boolean {
  for (let at = 0; at < segment.length; at++) {
    const unit = segment.charCodeAt(at)
    if (unit <= 0x20 || unit === 0x3b || (unit >= 0x41 && unit <= 0x5a) || unit >= 0x7f) return false
  }
  return true
}
