/** Every path through a graph. There may be more of them than anybody can count, so they are counted. */

import { printTerm, writeTerm, type Term } from '../term.ts'
import { itemsOf } from './argument.ts'
import { Budget, BuiltinLimit, bounds, type Builtin } from './builtin.ts'

export const graphBuiltins: Readonly<Record<string, Builtin>> = {
  'graph.reachable_paths': (_, graph, starts) => {
    const first = itemsOf(starts)
    return graph?.kind !== 'object' || first === undefined ? undefined : new Paths(graph.entries).from(first)
  },
}

class Paths {
  readonly #edges: ReadonlyMap<string, readonly Term[]>
  readonly #budget = new Budget('graph.reachable_paths', bounds.walked)
  readonly #found = new Set<string>()

  constructor(entries: readonly (readonly [Term, Term])[]) {
    this.#edges = new Map(entries.map(([node, next]) => [printTerm(node), itemsOf(next) ?? []]))
  }

  from(starts: readonly Term[]): string {
    for (const start of starts) {
      const next = this.#edges.get(printTerm(start))
      if (next?.length === 0) this.#add([start])
      for (const node of next ?? []) this.#walk(node, [start], new Set([printTerm(start)]))
    }
    return this.#found.size === 0 ? 'set()' : `{${[...this.#found].join(',')}}`
  }

  /** `path` and `passed` are given back as they came. */
  #walk(node: Term, path: Term[], passed: Set<string>): void {
    this.#budget.spend(1)
    if (path.length > bounds.path) throw new BuiltinLimit(`graph.reachable_paths follows ${bounds.path} edges at most`)
    const name = printTerm(node)
    const next = this.#edges.get(name)
    // A node that the graph does not know ends the path before it.
    if (next === undefined) return this.#add(path)
    path.push(node)
    if (next.length === 0) this.#add(path)
    const fresh = !passed.has(name)
    passed.add(name)
    for (const neighbour of next) {
      if (passed.has(printTerm(neighbour))) this.#add(path)
      else this.#walk(neighbour, path, passed)
    }
    if (fresh) passed.delete(name)
    path.pop()
  }

  #add(path: readonly Term[]): void {
    this.#budget.spend(path.length)
    this.#found.add(writeTerm({ kind: 'array', items: path }))
  }
}
