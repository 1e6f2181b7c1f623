/** Makes SPIFFE IDs from claims. What a claim holds is taken as it is or not at all: it is never trimmed, folded or encoded. */
import { shown } from '../rejected.ts'
import { MalformedSpiffeId, parseSpiffeId } from '../spiffe-id.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import { UnfitClaims } from './claim-path.ts'

/** A part of the path of an ID: literal text around at most one placeholder. */
interface Segment {
  readonly before: string
  readonly placeholder: { readonly path: string; readonly spans: boolean } | null
  readonly after: string
}

/** An ID with placeholders, such as `spiffe://acme.example/ns/{kubernetes.io.namespace}`. */
export interface Template {
  readonly trustDomain: string
  readonly segments: readonly Segment[]
}

/** What stands for a placeholder in messages; never in an ID. */
const stand = 'x'
const longestPath = 256

/**
 * Reads a template; throws `MalformedSpiffeId` with what to do. `{path}` stands for a claim that is one path segment, `{+path}` for one
 * that is one or more. The trust domain is literal. A segment has at most one placeholder, and one placeholder of a template may span:
 * so two different lists of claim values never make the same ID.
 */
export function parseTemplate(text: string): Template {
  // by name a claim may hold a slash: segments end at those outside braces
  const pieces: readonly string[] = text.match(/\{[^{}]*\}|[^{}]|[{}]/g) ?? []
  if (pieces.some((piece) => piece === '{' || piece === '}' || piece === '{}' || piece === '{+}'))
    throw new MalformedSpiffeId('a brace does not belong to a placeholder: write {claim} or {+claim}')
  const example = parseSpiffeId(pieces.map((piece) => (piece.startsWith('{') ? stand : piece)).join(''))
  if (example.path === '') throw new MalformedSpiffeId('it names a trust domain, not a workload: add a path')
  const slash = pieces.indexOf('/', 'spiffe://'.length)
  if (pieces.slice(0, slash).some((piece) => piece.startsWith('{')))
    throw new MalformedSpiffeId('the trust domain is not for claims to choose: write it out')
  const segments = split(pieces.slice(slash + 1)).map((own) => readSegment(own))
  if (segments.filter((segment) => segment.placeholder?.spans === true).length > 1)
    throw new MalformedSpiffeId('only one placeholder may span segments')
  return { trustDomain: example.trustDomain, segments }
}

/** The ID that these claims make; `lookUp` gives the value of a claim. Throws `UnfitClaims`. */
export function render(template: Template, lookUp: (path: string) => unknown): SpiffeId {
  const path = template.segments.map(({ before, placeholder, after }) => {
    if (placeholder === null) return `/${before}`
    const value = valueOf(placeholder.path, lookUp(placeholder.path))
    checkValue(placeholder.path, value, placeholder.spans)
    return `/${before}${value}${after}`
  })
  return parsed(`spiffe://${template.trustDomain}${path.join('')}`, template.trustDomain)
}

/** The claims that a template reads. */
export function placeholders(template: Template): readonly string[] {
  return template.segments.flatMap(({ placeholder }) => (placeholder === null ? [] : [placeholder.path]))
}

/** True when one ID could come from either template. */
export function mayCollide(one: Template, other: Template): boolean {
  if (one.trustDomain !== other.trustDomain) return false
  for (let at = 0; at < Math.max(one.segments.length, other.segments.length); at++) {
    const first = one.segments[at]
    const second = other.segments[at]
    // behind a placeholder that spans, anything may follow
    if (first?.placeholder?.spans === true || second?.placeholder?.spans === true) return true
    if (first === undefined || second === undefined || !alike(first, second)) return false
  }
  return true
}

function alike(one: Segment, other: Segment): boolean {
  if (one.placeholder === null && other.placeholder === null) return one.before === other.before
  if (one.placeholder === null) return couldBe(other, one.before)
  if (other.placeholder === null) return couldBe(one, other.before)
  const starts = one.before.startsWith(other.before) || other.before.startsWith(one.before)
  return starts && (one.after.endsWith(other.after) || other.after.endsWith(one.after))
}

function couldBe({ before, after }: Segment, text: string): boolean {
  return text.length > before.length + after.length && text.startsWith(before) && text.endsWith(after)
}

function split(pieces: readonly string[]): string[][] {
  const segments: string[][] = [[]]
  for (const piece of pieces) {
    if (piece === '/') segments.push([])
    else segments.at(-1)?.push(piece)
  }
  return segments
}

function readSegment(pieces: readonly string[]): Segment {
  const at = pieces.findIndex((piece) => piece.startsWith('{'))
  if (at === -1) return { before: pieces.join(''), placeholder: null, after: '' }
  const before = pieces.slice(0, at).join('')
  const after = pieces.slice(at + 1).join('')
  if (after.includes('{')) throw new MalformedSpiffeId('two placeholders in one segment: put a slash between them')
  const name = pieces[at]?.slice(1, -1) ?? ''
  const spans = name.startsWith('+')
  const path = spans ? name.slice(1) : name
  if (path.length > longestPath) throw new MalformedSpiffeId(`the name of a claim is longer than ${longestPath} characters`)
  if (spans && before + after !== '') throw new MalformedSpiffeId('a placeholder that spans segments stands between slashes alone')
  return { before, placeholder: { path, spans }, after }
}

/** Numbers that JSON and every other reader have exactly; anything else would be a guess at what the issuer meant. */
function valueOf(path: string, value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return String(value)
  throw new UnfitClaims(value === undefined ? `no claim ${path}` : `the claim ${path} is neither text nor a whole number`)
}

function checkValue(path: string, value: string, spans: boolean): void {
  for (const segment of spans ? value.split('/') : [value]) {
    if (!/^[\w.-]+$/.test(segment) || segment === '.' || segment === '..') {
      throw new UnfitClaims(`the claim ${path} is not ${spans ? 'path segments' : 'one path segment'} of a SPIFFE ID: ${shown(value)}`)
    }
  }
}

function parsed(text: string, trustDomain: string): SpiffeId {
  try {
    const id = parseSpiffeId(text)
    if (id.trustDomain !== trustDomain) throw new UnfitClaims('the ID is of another trust domain')
    return id
  } catch (error) {
    if (error instanceof MalformedSpiffeId) throw new UnfitClaims(`the ID: ${error.message}`)
    throw error
  }
}
