import type { LineFault } from './fault-line.ts'

/** What one cell of the matrix came to. */
export interface Cell {
  readonly dependency: string
  readonly fault: LineFault
  /** What the fault is there, where it is not what its name says; with `none`: why there is none. */
  readonly meaning: string
  /** Answers during the fault, as `status code`; empty: the cell makes no sense. */
  readonly said: readonly string[]
  /** Longest wait for an answer, ms. */
  readonly slowest: number
  /** From the end of the fault until all is well, ms; null: it never was unwell, or there is nothing to heal. */
  readonly healed: number | null
}

/** Deadline of every recovery, ms. */
export const recovery = 5000

/** The matrix as text: a line for each cell. */
export function tableOf(cells: readonly Cell[]): string {
  const head = ['dependency', 'fault', 'answers', 'slowest', 'well again after', 'where it means something else']
  const rows = cells.map(({ dependency, fault, meaning, said, slowest, healed }) => [
    dependency,
    fault,
    said.length === 0 ? 'no such cell' : [...new Set(said)].toSorted((a, b) => (a < b ? -1 : 1)).join(', '),
    said.length === 0 ? '' : `${Math.round(slowest)} ms`,
    healed === null ? '' : `${Math.round(healed)} ms`,
    meaning,
  ])
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => (row[at] ?? '').length)))
  return [head, ...rows]
    .map((row) =>
      row
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
