import { Counter, Gauge, type Registry } from 'prom-client'
import { scopes } from '../kill/name.ts'
import type { KillRow } from '../state/kills.ts'

/** Counts a kill that was engaged; `by` as the ledger has it: a person, a rule or a file. */
export type CountKill = (kill: { readonly scope: unknown; readonly by: string }) => void

/** Makes the metrics of kills. Labels are scopes and kinds of who stops, never a name. */
export function killMetrics(engaged: () => readonly Pick<KillRow, 'scope'>[], registers: Registry[]): CountKill {
  const total = new Counter({
    name: 'countersign_kills_total',
    help: 'Kills that were engaged, by scope and by whom: person, rule or file.',
    labelNames: ['scope', 'by'],
    registers,
  })
  void new Gauge({
    name: 'countersign_kills_engaged',
    help: 'Kills in force, by scope.',
    labelNames: ['scope'],
    registers,
    collect() {
      this.reset()
      for (const scope of scopes) this.set({ scope }, 0)
      for (const { scope } of engaged()) this.inc({ scope })
    },
  })
  return ({ scope, by }) => total.inc({ scope: scopes.find((one) => one === scope) ?? 'unknown', by: by.split(':', 1)[0] ?? '' })
}
