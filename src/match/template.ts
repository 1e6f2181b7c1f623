/** One path template of the catalogue, such as `GET /customers/{id}` or `POST /v1/{+any}`. */

/** What one segment of a template takes. Text is percent-decoded once, as the segments of a call are. */
export type Piece =
  | { readonly kind: 'literal'; readonly text: string }
  /** One non-empty segment; `before` and `after` are text around it, as in `{model}:generate`. */
  | { readonly kind: 'param'; readonly name: string; readonly before: string; readonly after: string }
  /** The rest of the path, slashes and all; stands last and takes at least one non-empty segment. */
  | { readonly kind: 'rest'; readonly name: string }

export interface Template {
  /** Upper case, or `*` for every method. */
  readonly method: string
  readonly pieces: readonly Piece[]
  readonly names: ReadonlySet<string>
  /** True when the last piece takes the rest of the path. */
  readonly open: boolean
}

/** Takes a template as written; throws an Error that says what is wrong with it. */
export function parseTemplate(written: string): Template {
  const [, method, path] = /^(\*|[A-Z][A-Z-]*) \/(\S*)$/.exec(written) ?? []
  if (method === undefined || path === undefined) throw new Error('must be a method, a blank and a path')
  if (/[?#]/.test(path)) throw new Error('a template has no query and no fragment')
  const pieces = path.split('/').map(parsePiece)
  const names = new Set<string>()
  for (const [index, piece] of pieces.entries()) {
    if (piece.kind === 'literal') continue
    if (piece.kind === 'rest' && index !== pieces.length - 1) throw new Error('{+name} must stand last')
    if (names.has(piece.name)) throw new Error(`{${piece.name}} stands twice`)
    names.add(piece.name)
  }
  return { method, pieces, names, open: pieces.at(-1)?.kind === 'rest' }
}

/** Whether the decoded segments of a path are what the template describes; the method is not looked at. */
export function fits(template: Template, segments: readonly string[]): boolean {
  const { pieces, open } = template
  if (open ? segments.length < pieces.length : segments.length !== pieces.length) return false
  for (let at = 0; at < pieces.length; at++) {
    const piece = pieces[at]
    const segment = segments[at]
    if (piece === undefined || segment === undefined || !takes(piece, segment)) return false
  }
  return true
}

/** The named pieces of a path that fits. */
export function params(template: Template, segments: readonly string[]): Readonly<Record<string, string>> {
  const found = Object.create(null) as Record<string, string>
  for (const [at, piece] of template.pieces.entries()) {
    const segment = segments[at] ?? ''
    if (piece.kind === 'param') found[piece.name] = segment.slice(piece.before.length, segment.length - piece.after.length)
    if (piece.kind === 'rest') found[piece.name] = segments.slice(at).join('/')
  }
  return found
}

/**
 * Orders templates that can fit one path, the more specific first: from the left, literal before literal with a parameter
 * (the longer text first) before parameter before the rest; then a named method before `*`, and HEAD before the GET it may also be.
 */
export function bySpecificity(left: Template, right: Template): number {
  const shared = Math.min(left.pieces.length, right.pieces.length)
  for (let at = 0; at < shared; at++) {
    const difference = weight(right.pieces[at]) - weight(left.pieces[at])
    if (difference !== 0) return difference
  }
  if (left.pieces.length !== right.pieces.length) return right.pieces.length - left.pieces.length
  return breadth(left.method) - breadth(right.method)
}

function breadth(method: string): number {
  if (method === '*') return 2
  return method === 'GET' ? 1 : 0
}

function parsePiece(written: string): Piece {
  const [, before, plus, name, after] = /^([^{}]*)\{(\+?)([A-Za-z_][A-Za-z0-9_]*)\}([^{}]*)$/.exec(written) ?? []
  if (before === undefined || name === undefined || after === undefined) {
    if (/[{}]/.test(written)) throw new Error('a segment holds at most one {name}')
    return { kind: 'literal', text: decodeOnce(written) }
  }
  if (plus !== '+') return { kind: 'param', name, before: decodeOnce(before), after: decodeOnce(after) }
  if (before !== '' || after !== '') throw new Error('{+name} must be a whole segment')
  return { kind: 'rest', name }
}

function decodeOnce(written: string): string {
  let text: string
  try {
    text = decodeURIComponent(written)
  } catch (cause) {
    throw new Error('a segment is not percent-encoded UTF-8', { cause })
  }
  if (text === '.' || text === '..') throw new Error('a dot segment never reaches a route')
  return text
}

function takes(piece: Piece, segment: string): boolean {
  if (piece.kind === 'literal') return segment === piece.text
  if (piece.kind === 'rest') return segment !== ''
  const { before, after } = piece
  return segment.length > before.length + after.length && segment.startsWith(before) && segment.endsWith(after)
}

function weight(piece: Piece | undefined): number {
  if (piece?.kind === 'literal') return Number.MAX_SAFE_INTEGER
  return piece?.kind === 'param' ? piece.before.length + piece.after.length + 1 : 0
}
