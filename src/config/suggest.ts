/** Keys that the JSON Schema knows at a path: properties of every branch that could stand there. */
export function keysAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  let branches: unknown[] = [schema]
  for (const step of path) branches = branches.flatMap((branch) => alternatives(branch)).flatMap((branch) => descend(branch, step))
  return [...new Set(branches.flatMap((branch) => alternatives(branch)).flatMap((branch) => Object.keys(member(branch, 'properties'))))]
}

/** The closest of `known` to `word`, or null when none is near enough to be a slip. */
export function nearest(word: string, known: readonly string[]): string | null {
  let best: string | null = null
  let least = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

function alternatives(branch: unknown): unknown[] {
  const record = asRecord(branch)
  const inner = record['anyOf'] ?? record['oneOf']
  return Array.isArray(inner) ? inner.flatMap((one) => alternatives(one)) : [branch]
}

function descend(branch: unknown, step: PropertyKey): unknown[] {
  const record = asRecord(branch)
  if (typeof step === 'number') return record['items'] === undefined ? [] : [record['items']]
  const property = member(branch, 'properties')[String(step)] ?? record['additionalProperties']
  return property && typeof property === 'object' ? [property] : []
}

function member(branch: unknown, name: string): Readonly<Record<string, unknown>> {
  return asRecord(asRecord(branch)[name])
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {}
}

/** Edits from one word to the other, two neighbours changing places counted as one (optimal string alignment), by rows. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = swapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      next.push(Math.min(change, swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}
