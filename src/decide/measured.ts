/** What was measured of a policy stays known to the next process, as long as that is the same program on the same kind of machine. */

import { cpus } from 'node:os'

/** One text that outlives the process, of nobody else's writing. */
export interface Note {
  readonly read: () => string | null
  readonly write: (text: string) => void
}

/** Whether a policy kept a budget. */
export interface Measured {
  /** `tried`: digests of bundle and settings. `budgetMs`: what the longest evaluation must have been below. */
  known(tried: string, budgetMs: number): boolean
  /** `longest`: of what was measured now, ms. */
  keep(tried: string, longest: number): void
}

/** Remembers the policy that was measured last, by `release` of this program. */
export function measuredBefore(note: Note, release: string): Measured {
  const on = [release, process.version, process.arch, cpus()[0]?.model ?? 'unknown']
  return {
    known(tried, budgetMs) {
      const [before, longest, ...where] = read(note)
      return before === tried && typeof longest === 'number' && longest < budgetMs && JSON.stringify(where) === JSON.stringify(on)
    },
    keep: (tried, longest) => note.write(JSON.stringify([tried, longest, ...on])),
  }
}

/** Of a note that cannot be read nothing is known. */
function read(note: Note): readonly unknown[] {
  try {
    const kept: unknown = JSON.parse(note.read() ?? '[]')
    return Array.isArray(kept) ? kept : []
  } catch {
    return []
  }
}
