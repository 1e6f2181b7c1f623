/** What people read of the policy in force: its rules, and why a call was decided so. */
import { resolve } from 'node:path'
import type { BuiltPolicy } from './author/candidate.ts'
import { readAtDesk, type Told } from './author/desk.ts'
import { readLedgerLine } from './author/ledger-inputs.ts'
import { AuthorFault } from './author/opa.ts'
import type { Loaded } from './config/load.ts'
import { policyData } from './config/policy-data.ts'
import { keepOf } from './policy.ts'
import { backwards } from './record/backwards.ts'
import type { LedgerWatch } from './record/tail.ts'

const year = 365 * 24 * 3_600_000

/**
 * Where the policy that a configuration has in force can be read: the bundle that was kept last, else what lies at its path, else the default.
 * Rejects with AuthorFault when a server's bundle was never kept, or cannot be read.
 */
export async function policyWord(loaded: Loaded): Promise<string | BuiltPolicy> {
  const { bundle } = loaded.config.decide
  if (bundle === undefined) return 'default'
  try {
    const keep = keepOf(bundle, loaded)
    const content = (await keep.recall()) === null ? null : await keep.bundle()
    if (content?.form === 'packed') return { name: 'the policy in force', bytes: content.bytes }
  } catch (error) {
    throw new AuthorFault(`${error instanceof Error ? error.message : String(error)}: name the policy with --policy`, { cause: error })
  }
  if (bundle.path !== undefined) return resolve(loaded.folder, bundle.path)
  throw new AuthorFault(`no bundle of ${bundle.url} was kept yet: name the policy with --policy`)
}

export interface PolicyDeskOptions {
  /** In force. */
  readonly loaded: () => Loaded
  /** Revision in force; empty while there is none. */
  readonly revision: () => string
  readonly ledger: { readonly dir: string; readonly watch: Pick<LedgerWatch, 'position'> }
}

/** Of what stands in the record of a call. */
export type Explained =
  | { readonly is: 'explained'; readonly told: Told }
  | { readonly is: 'unjudged'; readonly code: string }
  | { readonly is: 'masked' | 'unknown' }

export interface PolicyDesk {
  /** The rules of the policy in force, by what they say of themselves. Rejects with an Error for the operator. */
  rules(): Promise<Told>
  /** The same as `countersign policy explain`. Rejects with an Error for the operator. */
  explain(call: string): Promise<Explained>
}

/** One thread at a time: whoever looks at the page again and again takes no more of the machine. */
export function makePolicyDesk({ loaded, revision, ledger }: PolicyDeskOptions): PolicyDesk {
  let kept: { readonly revision: string; readonly told: Promise<Told> } | null = null
  let last: Promise<unknown> = Promise.resolve()
  const asked = async (explain: Parameters<typeof readAtDesk>[0]['explain']): Promise<Told> => {
    const now = loaded()
    const { settings } = now.config.decide
    const data = settings === undefined ? undefined : policyData(settings, Date.now() - year)
    return readAtDesk({ policy: await policyWord(now), settings: data, explain })
  }
  const inTurn = (explain: Parameters<typeof asked>[0]): Promise<Told> => {
    const turn = last.then(() => asked(explain))
    last = turn.catch(() => undefined)
    return turn
  }
  return {
    rules: () => {
      if (kept?.revision !== revision()) {
        const told = inTurn(null)
        const mine = (kept = { revision: revision(), told })
        told.catch(() => (kept = kept === mine ? null : kept))
      }
      return kept.told
    },
    explain: async (call) => {
      for await (const { bytes } of backwards(ledger.dir, { watch: ledger.watch })) {
        if (!bytes.includes(call)) continue
        const line = readLedgerLine(bytes.toString())
        if (line.type === 'unjudged' && line.id === call) return { is: 'unjudged', code: line.code }
        if (line.type !== 'judged' || line.recorded.id !== call) continue
        const { input } = line.recorded
        if (input === null) return { is: 'masked' }
        return { is: 'explained', told: await inTurn({ input, entrypoint: 'countersign/decision', recorded: { ...line.recorded } }) }
      }
      return { is: 'unknown' }
    },
  }
}
