/** A copy of the state at one moment, as one file without a log beside it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'

/** Bytes of a database that is open and not within a transaction. It is made in a folder of its own beside the file, which goes again. */
export function copyOf(db: DatabaseSync): Uint8Array {
  const file = db.location()
  const folder = mkdtempSync(join(file === null ? tmpdir() : dirname(file), '.backup-'))
  try {
    const path = join(folder, 'state.db')
    db.prepare('VACUUM INTO ?').run(path)
    return readFileSync(path)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
