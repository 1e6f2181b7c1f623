/** The path rules of OPA's `system/log/mask`, to the letter: what they name goes from an event, or is replaced in it. */

/** The maskable parts of an event, as values; a part that is not there is `undefined`. */
export interface Maskable {
  input: unknown
  result: unknown
}

/** What the rules did, as paths in the spelling that OPA lists them in. */
export interface MaskOutcome {
  readonly erased: readonly string[]
  readonly masked: readonly string[]
}

interface MaskRule {
  readonly op: 'remove' | 'upsert'
  readonly part: keyof Maskable | 'nd_builtin_cache'
  /** Percent-encoded once more, as OPA compares them: a key that percent-encoding changes is never found. */
  readonly keys: readonly string[]
  readonly value: unknown
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
    if (op !== 'remove' && op !== 'upsert') throw new Error('a rule with an unknown op')
    if (typeof path !== 'string') throw new Error('a rule without a path')
    return maskRule(path, op, value)
  })
}

function maskRule(path: string, op: MaskRule['op'], value: unknown): MaskRule {
  if (!path.startsWith('/')) throw new Error('a path that does not begin with /')
  const [part, ...keys] = path.slice(1).split('/')
  if (part !== 'input' && part !== 'result' && part !== 'nd_builtin_cache') throw new Error('a path into what may not be masked')
  for (const key of keys) if (/%(?![0-9a-fA-F]{2})/.test(key)) throw new Error('a path with a broken escape')
  return { op, part, keys: keys.map(escapeSegment), value }
}

/** As Go's `url.PathEscape`: in a segment only these stand for themselves. */
function escapeSegment(segment: string): string {
  return encodeURIComponent(segment.toWellFormed())
    .replaceAll(/%(24|26|2B|3A|3D|40)/g, (escape) => decodeURIComponent(escape))
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** Applies rules in order to `event`, which is changed in place. A rule that finds nothing does nothing and is not listed. */
export function applyMaskRules(rules: readonly MaskRule[], event: Maskable): MaskOutcome {
  const erased: string[] = []
  const masked: string[] = []
  for (const { op, part, keys, value } of rules) {
    // nothing that policy calls here gives another answer the next time, so no event has this part
    if (part === 'nd_builtin_cache' || event[part] === undefined) continue
    const done = op === 'remove' ? remove(event, [part, ...keys]) : upsert(event, [part, ...keys], structuredClone(value))
    if (done) (op === 'remove' ? erased : masked).push(`/${[part, ...keys].join('/')}`)
  }
  return { erased, masked }
}

function remove(from: object, path: readonly string[]): boolean {
  const key = path.at(-1) ?? ''
  const parent = walk(from, path.slice(0, -1), false)
  if (Array.isArray(parent)) {
    const at = indexOf(key, parent.length)
    if (at !== null) parent.splice(at, 1)
    return at !== null
  }
  if (!isMembers(parent) || !Object.hasOwn(parent, key)) return false
  return Reflect.deleteProperty(parent, key)
}

function upsert(into: object, path: readonly string[], value: unknown): boolean {
  const key = path.at(-1) ?? ''
  const parent = walk(into, path.slice(0, -1), true)
  if (Array.isArray(parent)) {
    const at = indexOf(key, parent.length)
    if (at !== null) parent[at] = value
    return at !== null
  }
  if (!isMembers(parent)) return false
  define(parent, key, value)
  return true
}

/** What stands at a path; with `make`, members that are missing on the way are made. Undefined when the path leads nowhere. */
function walk(from: unknown, path: readonly string[], make: boolean): unknown {
  let node = from
  for (const key of path) {
    if (Array.isArray(node)) {
      const at = indexOf(key, node.length)
      if (at === null) return undefined
      node = node[at]
    } else if (isMembers(node)) {
      if (!Object.hasOwn(node, key)) {
        if (!make) return undefined
        define(node, key, {})
      }
      node = node[key]
    } else return undefined
  }
  return node
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
  if (!/^[+-]?\d{1,15}$/.test(key)) return null
  const at = Number(key)
  return at >= 0 && at < length ? at : null
}
