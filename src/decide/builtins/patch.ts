/** JSON Patch (RFC 6902) over terms; a path may also be a list of terms, and lead into sets. */

import { compareTerms, writeTerm, type Term } from '../term.ts'
import { int64, int64Text } from './argument.ts'
import { Budget, bounds, type Builtin } from './builtin.ts'

export const patchBuiltins: Readonly<Record<string, Builtin>> = {
  'json.patch': (_, target, operations) => {
    if (target === undefined || operations?.kind !== 'array') return undefined
    const patched = new Patch().apply(target, operations.items)
    return patched === undefined ? undefined : writeTerm(patched)
  },
}

type Path = readonly Term[]

/** Changes nothing that it was given: every operation copies the collections along its path. Undefined is failure throughout. */
class Patch {
  readonly #budget = new Budget('json.patch', bounds.patched)

  apply(target: Term, operations: readonly Term[]): Term | undefined {
    let whole: Term | undefined = target
    for (const operation of operations) {
      if (whole === undefined) return undefined
      whole = this.#operate(whole, operation)
    }
    if (whole !== undefined) this.#weigh(whole)
    return whole
  }

  #operate(whole: Term, operation: Term): Term | undefined {
    const op = member(operation, 'op')
    const path = readPath(member(operation, 'path'))
    if (op?.kind !== 'string' || path === undefined) return undefined
    const value = member(operation, 'value')
    switch (op.value) {
      case 'add':
        return value === undefined ? undefined : this.#add(whole, path, value)
      case 'remove':
        return this.#remove(whole, path)
      case 'replace':
        return value === undefined ? undefined : this.#replace(whole, path, value)
      case 'test': {
        const found = this.#find(whole, path)
        if (found === undefined || value === undefined) return undefined
        this.#weigh(found)
        return compareTerms(found, value) === 0 ? whole : undefined
      }
      case 'move':
      case 'copy': {
        const from = readPath(member(operation, 'from'))
        const found = from === undefined ? undefined : this.#find(whole, from)
        if (from === undefined || found === undefined) return undefined
        if (op.value === 'move' && from.length === 0) return path.length === 0 ? whole : undefined
        const rest = op.value === 'move' ? this.#remove(whole, from) : whole
        return rest === undefined ? undefined : this.#add(rest, path, found)
      }
      default:
        return undefined
    }
  }

  #replace(whole: Term, path: Path, value: Term): Term | undefined {
    if (path.length === 0) return value
    const rest = this.#remove(whole, path)
    return rest === undefined ? undefined : this.#add(rest, path, value)
  }

  #find(whole: Term, path: Path): Term | undefined {
    let term: Term | undefined = whole
    for (const key of path) term = term === undefined ? undefined : this.#child(term, key)
    return term
  }

  #child(term: Term, key: Term): Term | undefined {
    if (term.kind === 'array') {
      const index = indexOf(key, term.items.length)
      return index === undefined ? undefined : term.items[index]
    }
    this.#budget.spend(width(term))
    if (term.kind === 'set') return term.items.find((item) => same(item, key))
    return term.kind === 'object' ? term.entries.find(([name]) => same(name, key))?.[1] : undefined
  }

  #add(whole: Term, path: Path, value: Term): Term | undefined {
    return (
      this.#change(whole, path, 0, (parent, key) => {
        if (parent.kind === 'object')
          return { kind: 'object', entries: [...parent.entries.filter(([name]) => !same(name, key)), [key, value]] }
        if (parent.kind === 'set')
          return same(key, value) ? { kind: 'set', items: [...parent.items.filter((item) => !same(item, key)), value] } : undefined
        const index = parent.kind === 'array' ? indexOf(key, parent.items.length) : undefined
        if (parent.kind !== 'array' || index === undefined || index > parent.items.length) return undefined
        return { kind: 'array', items: parent.items.toSpliced(index, 0, value) }
      }) ?? (path.length === 0 ? value : undefined)
    )
  }

  #remove(whole: Term, path: Path): Term | undefined {
    return this.#change(whole, path, 0, (parent, key) => {
      if (this.#child(parent, key) === undefined) return undefined
      if (parent.kind === 'object') return { kind: 'object', entries: parent.entries.filter(([name]) => !same(name, key)) }
      if (parent.kind === 'set') return { kind: 'set', items: parent.items.filter((item) => !same(item, key)) }
      const index = parent.kind === 'array' ? indexOf(key, parent.items.length) : undefined
      return parent.kind === 'array' && index !== undefined ? { kind: 'array', items: parent.items.toSpliced(index, 1) } : undefined
    })
  }

  /** The whole with the parent of what `path` names replaced by what `edit` makes of it. Undefined for the empty path. */
  #change(term: Term, path: Path, depth: number, edit: (parent: Term, key: Term) => Term | undefined): Term | undefined {
    const key = path[depth]
    if (key === undefined) return undefined
    this.#budget.spend(1 + width(term))
    if (depth === path.length - 1) return edit(term, key)
    const child = this.#child(term, key)
    const changed = child === undefined ? undefined : this.#change(child, path, depth + 1, edit)
    if (child === undefined || changed === undefined) return undefined
    if (term.kind === 'object')
      return { kind: 'object', entries: term.entries.map(([name, value]) => [name, same(name, key) ? changed : value]) }
    if (term.kind === 'array') return { kind: 'array', items: term.items.with(indexOf(key, term.items.length) ?? 0, changed) }
    return term.kind === 'set' ? { kind: 'set', items: term.items.map((item) => (item === child ? changed : item)) } : undefined
  }

  /** Spends a unit for each term inside. */
  #weigh(term: Term): void {
    this.#budget.spend(1)
    if (term.kind === 'array' || term.kind === 'set') for (const item of term.items) this.#weigh(item)
    if (term.kind === 'object') {
      for (const [key, value] of term.entries) {
        this.#weigh(key)
        this.#weigh(value)
      }
    }
  }
}

function width(term: Term): number {
  if (term.kind === 'object') return term.entries.length
  return term.kind === 'array' || term.kind === 'set' ? term.items.length : 0
}

function same(a: Term, b: Term): boolean {
  return a.kind === b.kind && (a.kind === 'string' && b.kind === 'string' ? a.value === b.value : compareTerms(a, b) === 0)
}

function member(term: Term, name: string): Term | undefined {
  return term.kind === 'object' ? term.entries.find(([key]) => key.kind === 'string' && key.value === name)?.[1] : undefined
}

/** `/a/b` with `~1` for a slash and `~0` for a tilde, or a list of keys. All slashes that it begins with count as one. */
function readPath(term: Term | undefined): Path | undefined {
  if (term?.kind === 'array') return term.items
  if (term?.kind !== 'string') return undefined
  if (term.value === '') return []
  const segments = term.value.replace(/^\/+/, '').split('/')
  return segments.map((segment) => ({ kind: 'string', value: segment.replaceAll('~1', '/').replaceAll('~0', '~') }))
}

/** `-` is the place after the last. */
function indexOf(key: Term, length: number): number | undefined {
  if (key.kind === 'string' && key.value === '-') return length
  if (key.kind === 'string' && key.value !== '0' && key.value.startsWith('0')) return undefined
  const index = key.kind === 'string' ? int64Text(key.value) : int64(key)
  return index === undefined || index < 0n ? undefined : Number(index)
}
