/** Who stands behind a task: none of them answers for it. */
import type { TaskRow } from '../state/state.ts'

export interface Chain {
  /** `agent:…` or `user:…`: who began it. */
  readonly root: string
  /** From the root to the task at hand. */
  readonly parties: readonly string[]
}

export type ChainOf = (row: TaskRow) => Chain

/**
 * Makes the look up the tree: each task names whom it acts for, who opened it, who acted through its caller, and which workload it is bound
 * to. `ancestors`: the tasks that a task came from, its parent first.
 */
export function makeChainOf(ancestors: (id: string) => readonly TaskRow[]): ChainOf {
  return (row) => {
    const parties: string[] = []
    for (const at of [row, ...ancestors(row.id)]) {
      parties.unshift(`agent:${at.caller}`)
      for (const { party } of at.chain ?? []) parties.unshift(linked(party))
      if (at.openedBy !== undefined && at.openedBy !== at.caller) parties.unshift(at.openedBy)
      if (at.onBehalfOf !== null) parties.unshift(`user:${at.onBehalfOf.subject}`)
    }
    return { root: row.onBehalfOf === null ? row.root : `user:${row.onBehalfOf.subject}`, parties: [...new Set(parties)] }
  }
}

/** A party of a link, as a chain names it. */
export function linked(party: string): string {
  return party.startsWith('spiffe:') ? `agent:${party}` : party
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
