/**
 * The path rules of OPA's `system/log/mask`: what they name goes from an event, or is replaced in it. To the letter, but that a key which
 * percent-encoding changes is found all the same: OPA leaves it, and what it holds, in the line. And one `op` is ours: `hmac` puts a
 * pseudonym in the place of what it names.
 */
import { pseudonymized, type Pseudonym } from './pseudonym.ts'

/** The maskable parts of an event, as values; a part that is not there is `undefined`. */
export interface Maskable {
  input: unknown
  result: unknown
}

/** What the rules did, as paths in the spelling that OPA lists them in. */
export interface MaskOutcome {
  readonly erased: readonly string[]
  /** What was replaced, by a value or by a pseudonym. */
  readonly masked: readonly string[]
  /** Those of them that have a pseudonym. */
  readonly hashed: readonly string[]
}

interface MaskRule {
  readonly op: 'remove' | 'upsert' | 'hmac'
  readonly part: keyof Maskable | 'nd_builtin_cache'
  readonly keys: readonly Key[]
  readonly value: unknown
}

/** One segment of a path. */
interface Key {
  /** Percent-encoded once more, as OPA compares it and as it is listed. */
  readonly encoded: string
  /** That, as it was written, and decoded: an agent names its query parameters as it likes, `%2F` is a slash in one. */
  readonly spellings: readonly string[]
}

/**
 * Reads the result of the mask query: a list (or what was a set) of paths and of `{op, path, value}`.
 * Throws an Error that says which rule is none; OPA throws the whole event away then.
 */
export function readMaskRules(result: unknown): readonly MaskRule[] {
  if (!Array.isArray(result)) throw new Error('the result is no list of rules')
  return result.map((rule: unknown) => {
    if (typeof rule === 'string') return maskRule(rule, 'remove', null)
    if (typeof rule !== 'object' || rule === null || Array.isArray(rule)) throw new Error('a rule is neither a path nor an object')
    const { op, path, value = null } = rule as Readonly<Record<string, unknown>>
    if (op !== 'remove' && op !== 'upsert' && op !== 'hmac') throw new Error('a rule with an unknown op')
    if (typeof path !== 'string') throw new Error('a rule without a path')
    return maskRule(path, op, value)
  })
}

function maskRule(path: string, op: MaskRule['op'], value: unknown): MaskRule {
  if (!path.startsWith('/')) throw new Error('a path that does not begin with /')
  const [part, ...keys] = path.slice(1).split('/')
  if (part !== 'input' && part !== 'result' && part !== 'nd_builtin_cache') throw new Error('a path into what may not be masked')
  for (const key of keys) if (/%(?![0-9a-fA-F]{2})/.test(key)) throw new Error('a path with a broken escape')
  return { op, part, keys: keys.map(keyOf), value }
}

function keyOf(segment: string): Key {
  const encoded = escapeSegment(segment)
  return { encoded, spellings: [...new Set([encoded, segment, decoded(segment)])] }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** As Go's `url.PathEscape`: in a segment only these stand for themselves. */
function escapeSegment(segment: string): string {
  return encodeURIComponent(segment.toWellFormed())
    .replaceAll(/%(24|26|2B|3A|3D|40)/g, (escape) => decodeURIComponent(escape))
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** Applies rules in order to `event`, which is changed in place. A rule that finds nothing does nothing and is not listed. */
export function applyMaskRules(rules: readonly MaskRule[], event: Maskable, pseudonym: Pseudonym): MaskOutcome {
  const erased: string[] = []
  const masked: string[] = []
  const hashed: string[] = []
  for (const { op, part, keys, value } of rules) {
    // nothing that policy calls here gives another answer the next time, so no event has this part
    if (part === 'nd_builtin_cache' || event[part] === undefined) continue
    const path = [keyOf(part), ...keys]
    const change = op === 'remove' ? gone : op === 'upsert' ? () => structuredClone(value) : (was: unknown) => pseudonymized(was, pseudonym)
    if (!changed(event, path, op, change)) continue
    const listed = `/${path.map(({ encoded }) => encoded).join('/')}`
    if (op === 'remove') erased.push(listed)
    else masked.push(listed)
    if (op === 'hmac') hashed.push(listed)
  }
  return { erased, masked, hashed }
}

/** What is to stand in the place of a value; `gone`: nothing. */
type Change = (was: unknown) => unknown

const gone: Change = () => undefined

/** Removes or replaces what stands at the path below `node`; false when nothing does. Members that are to be upserted are made, items never. */
function changed(node: unknown, [key, ...rest]: readonly Key[], op: MaskRule['op'], change: Change): boolean {
  if (key === undefined) return false
  if (Array.isArray(node)) {
    const at = indexOf(key.encoded, node.length)
    if (at === null) return false
    if (rest.length > 0) return changed(node[at], rest, op, change)
    node.splice(at, 1, ...(op === 'remove' ? [] : [change(node[at])]))
    return true
  }
  if (!isMembers(node)) return false
  const there = key.spellings.filter((name) => Object.hasOwn(node, name))
  if (there.length === 0 && op === 'upsert') {
    define(node, key.encoded, {})
    there.push(key.encoded)
  }
  let done = false
  for (const name of there) {
    if (rest.length > 0) done = changed(node[name], rest, op, change) || done
    else {
      if (op === 'remove') Reflect.deleteProperty(node, name)
      else define(node, name, change(node[name]))
      done = true
    }
  }
  return done
}

function isMembers(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** As an own member, whatever its name: `__proto__` is a key like another. */
function define(members: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(members, key, { value, writable: true, enumerable: true, configurable: true })
}

/** As Go's `strconv.Atoi` reads it, within the list. */
function indexOf(key: string, length: number): number | null {
  if (!/^[+-]?\d+$/.test(key)) return null
  const at = Number(key)
  return at >= 0 && at < length ? at : null
}
