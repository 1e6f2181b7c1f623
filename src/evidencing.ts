/** Evidence of a running sidecar: written down first, then gathered under a checkpoint of its own. */
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { EvidenceOptions } from './admin/evidence.ts'
import type { Loaded } from './config/load.ts'
import { exportSet } from './evidence/export-set.ts'
import { gather } from './evidence/gather.ts'
import { extentOf } from './evidence/regions.ts'
import { shippedRules } from './evidence/rules.ts'
import type { Foundation } from './foundation.ts'
import type { Wiring } from './wire.ts'

/** Lines of one task that a running sidecar holds in memory at most, bytes. */
const mostOnline = 64 * 1024 * 1024

/** How the admin port makes a set. That it does stands in the ledger before anybody has it, and in the set itself. */
export function evidenceOf({ foundation, wiring }: { readonly foundation: Foundation; readonly wiring: Wiring }): EvidenceOptions {
  return {
    make: async (task, by, method) => {
      const { recorder, state, clock } = foundation
      const { folder, config } = wiring.loaded
      const dir = resolve(folder, config.record.ledger.path)
      // whoever asks for what is not there writes no line
      if (state.task(task) === null) await gather(extentOf(dir), task, mostOnline)
      await recorder.event({ kind: 'evidence.exported', task, by, detail: { method } })
      await recorder.checkpoint()
      return exportSet({
        dir,
        task,
        by,
        now: clock(),
        signer: { verifierKey: recorder.publicKey(), sign: (bytes) => recorder.sign(bytes) },
        rulesOf: shippedRules(bundlesOf(wiring.loaded)),
        most: mostOnline,
      })
    },
  }
}

/** Files that may hold a bundle that decided: the one that is configured, and those that are kept. */
function bundlesOf({ folder, config }: Loaded): readonly string[] {
  const { path, persist } = config.decide.bundle ?? {}
  const kept = resolve(folder, persist ?? join(dirname(config.task.state.path), 'policy'))
  const files = existsSync(kept) ? readdirSync(kept).filter((name) => name.endsWith('.tar.gz')) : []
  return [...(path === undefined ? [] : [resolve(folder, path)]), ...files.map((name) => join(kept, name))]
}
