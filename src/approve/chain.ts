/** Who stands behind a task: none of them answers for it. */
import type { TaskRow } from '../state/state.ts'

export interface Chain {
  /** `agent:…` or `user:…`: who began it. */
  readonly root: string
  /** From the root to the task at hand. */
  readonly parties: readonly string[]
}

export type ChainOf = (row: TaskRow) => Chain

/** Deeper than any hand-off may go; a row that names itself as its parent ends here. */
const deepest = 64

/** Makes the look up the tree: each task names whom it acts for, who opened it, who acted through its caller, and which workload it is bound to. */
export function makeChainOf(task: (id: string) => TaskRow | null): ChainOf {
  return (row) => {
    const parties: string[] = []
    let at: TaskRow | null = row
    for (let depth = 0; at !== null && depth < deepest; depth++) {
      parties.unshift(`agent:${at.caller}`)
      for (const { party } of at.chain ?? []) parties.unshift(party.startsWith('spiffe:') ? `agent:${party}` : party)
      if (at.openedBy !== undefined && at.openedBy !== at.caller) parties.unshift(at.openedBy)
      if (at.onBehalfOf !== null) parties.unshift(`user:${at.onBehalfOf.subject}`)
      at = at.parent === null ? null : task(at.parent)
    }
    return { root: row.onBehalfOf === null ? row.root : `user:${row.onBehalfOf.subject}`, parties: [...new Set(parties)] }
  }
}

/** Whether one of the names is a party. Names are compared without their kinds, however many, and as they look: too many are excluded rather than too few. */
export function isParty(parties: readonly string[], names: readonly string[]): boolean {
  const known = new Set(parties.map(bare))
  return names.some((name) => known.has(bare(name)))
}

function bare(name: string): string {
  const plain = name.normalize('NFKC').trim().toLowerCase()
  return plain.replace(/^(?:(?:person|user|agent):\s*)+/, '')
}
