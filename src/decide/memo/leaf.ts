/** What is known of one value inside an input: as much of it as an evaluation found out, and no more. */

/** A value that every input of an answer must have alike. */
export interface Leaf {
  /** Names of members from the piece down. */
  readonly path: readonly string[]
  readonly type: 'absent' | 'null' | 'boolean' | 'number' | 'string' | 'array' | 'object'
  /** Of a boolean: which. */
  readonly value?: boolean
  /** Of a number, which is a whole one: the least and the most it may be. Narrowed by `between`. */
  least: number
  most: number
  /** Of a number: what it is not. Written by `isNot`. */
  readonly not: number[]
  /** Of a string: texts that it was held against, whether as a whole or only at its beginning, and what came of it. Written by `told`. */
  readonly told: { readonly text: string; readonly begins: boolean; readonly outcome: boolean }[]
}

export function leafOf(path: readonly string[], value: unknown): Leaf {
  const type = typeOf(value)
  return { path, type, ...(typeof value === 'boolean' && { value }), least: -Infinity, most: Infinity, not: [], told: [] }
}

export function typeOf(value: unknown): Leaf['type'] {
  if (value === undefined) return 'absent'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  const type = typeof value
  return type === 'boolean' || type === 'number' || type === 'string' ? type : 'object'
}

/** Narrows a number. */
export function between(leaf: Leaf, least: number, most: number): void {
  leaf.least = Math.max(leaf.least, least)
  leaf.most = Math.min(leaf.most, most)
}

/** Remembers a number that this one was found not to be. */
export function isNot(leaf: Leaf, value: number): void {
  if (!leaf.not.includes(value)) leaf.not.push(value)
}

/** Remembers what a text was held against. */
export function told(leaf: Leaf, text: string, begins: boolean, outcome: boolean): void {
  if (!leaf.told.some((one) => one.text === text && one.begins === begins)) leaf.told.push({ text, begins, outcome })
}

/** What stands in a value at a path; undefined where nothing does. */
export function valueAt(value: unknown, path: readonly string[]): unknown {
  let inner = value
  for (const name of path) {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner) || !Object.hasOwn(inner, name)) return undefined
    inner = (inner as Readonly<Record<string, unknown>>)[name]
  }
  return inner
}

/** Whether a value is all that is known of it. A number that is not a whole one, and exact, never is. */
export function holds({ type, value: wanted, least, most, not, told: all }: Leaf, value: unknown): boolean {
  if (type === 'number') {
    const whole = value as number
    return Number.isSafeInteger(whole) && whole >= least && whole <= most && (not.length === 0 || !not.includes(whole))
  }
  if (typeOf(value) !== type) return false
  if (type === 'boolean') return value === wanted
  if (type !== 'string' || all.length === 0) return true
  const text = value as string
  // the engine ends some texts at a NUL
  return !text.includes('\0') && all.every((one) => (one.begins ? text.startsWith(one.text) : text === one.text) === one.outcome)
}
