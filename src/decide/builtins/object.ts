/** Whether one collection holds another. */

import { compareTerms, printTerm, type Term } from '../term.ts'
import type { Builtin } from './builtin.ts'

export const objectBuiltins: Readonly<Record<string, Builtin>> = {
  'object.subset': (_, whole, part) => (whole === undefined || part === undefined ? undefined : subset(whole, part)),
}
function subset(whole: Term, part: Term): string | undefined {
  if (whole.kind === 'object' && part.kind === 'object') return String(within(whole, part))
  if (whole.kind === 'set' && part.kind === 'set') return String(within(whole, part))
  if (whole.kind !== 'array') return undefined
  if (part.kind === 'array') return String(within(whole, part))
  if (part.kind !== 'set') return undefined
  // The real engine counts an item of the list each time it comes.
  const wanted = new Set(part.items.map(printTerm))
  const found = whole.items.filter((item) => wanted.has(printTerm(item))).length
  return String(whole.items.length > 0 && found >= part.items.length)
}

function within(whole: Term, part: Term): boolean {
  if (compareTerms(whole, part) === 0) return true
  if (whole.kind === 'object' && part.kind === 'object') {
    const values = new Map(whole.entries.map(([key, value]) => [printTerm(key), value]))
    return part.entries.every(([key, value]) => {
      const other = values.get(printTerm(key))
      return other !== undefined && within(other, value)
    })
  }
  if (whole.kind === 'set' && part.kind === 'set') {
    const there = new Set(whole.items.map(printTerm))
    return part.items.every((item) => there.has(printTerm(item)))
  }
  return whole.kind === 'array' && part.kind === 'array' && follows(whole.items.map(printTerm), part.items.map(printTerm))
}

/** True when `part` stands somewhere in `whole` without a gap: the search of Knuth, Morris and Pratt, which never looks back. */
function follows(whole: readonly string[], part: readonly string[]): boolean {
  const borders = bordersOf(part)
  let found = 0
  for (const item of whole) {
    if (found === part.length) return true
    while (found > 0 && item !== part[found]) found = borders[found - 1] ?? 0
    if (item === part[found]) found++
  }
  return found === part.length
}

/** For each start of `part`, the length of its longest proper start that is also its end. */
function bordersOf(part: readonly string[]): readonly number[] {
  const borders: number[] = []
  let length = 0
  for (const [index, item] of part.entries()) {
    while (length > 0 && item !== part[length]) length = borders[length - 1] ?? 0
    if (index > 0 && item === part[length]) length++
    borders.push(length)
  }
  return borders
}
