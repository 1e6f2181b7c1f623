import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A published vector, and what its table says that a verifier finds. */
export interface PublishedVector {
  readonly name: string
  readonly dir: string
  readonly keyFile: string
  readonly keptFile: string | null
  readonly from: number | null
  /** Null: intact. */
  readonly fault: string | null
  readonly exit: number
  readonly record: number | null
}

const folder = join(import.meta.dirname, '../../docs/vectors')

/** The ledgers of docs/vectors/README.md. */
export function publishedLedgers(): PublishedVector[] {
  const page = readFileSync(join(folder, 'README.md'), 'utf8')
  const table = page.slice(page.indexOf('<!-- ledgers -->'), page.indexOf('<!-- /ledgers -->'))
  return table
    .split('\n')
    .filter((row) => /^\| [a-z]/.test(row) && !row.startsWith('| folder'))
    .map((row) => {
      const [name = '', more = '', verdict = '', exit = '', record = ''] = row
        .split('|')
        .slice(1)
        .map((cell) => cell.trim())
      const dir = join(folder, 'ledger', name)
      const kept = join(dir, 'kept.txt')
      return {
        name,
        dir,
        keyFile: join(dir, 'ledger.pub'),
        keptFile: more.includes('--checkpoint') && existsSync(kept) ? kept : null,
        from: Number(/--from (\d+)/.exec(more)?.[1] ?? 0) || null,
        fault: verdict === 'intact' ? null : verdict.replaceAll('`', ''),
        exit: Number(exit),
        record: record === '' ? null : Number(record),
      }
    })
}
