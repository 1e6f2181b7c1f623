import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/**
 * Holds a ledger folder for one writer: two would fork the chain. Gives what lets go of it; throws when another holds it.
 * The lock is SQLite's on an empty database file: the kernel lets go of it when the process dies, however it dies.
 */
export function lockFolder(dir: string): () => void {
  const database = new DatabaseSync(join(dir, 'lock'))
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    const locked = error instanceof Error && error.message.includes('locked')
    throw new Error(locked ? `another process writes the ledger in ${dir}` : `the ledger in ${dir} cannot be locked`, { cause: error })
  }
  return () => database.close()
}
