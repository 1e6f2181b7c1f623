import type { DatabaseSync } from 'node:sqlite'

/** Makes the function that writes all of it or, when it throws, nothing. */
export function transactions(db: DatabaseSync): <T>(write: () => T) => T {
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  return (write) => {
    begin.run()
    try {
      const written = write()
      commit.run()
      return written
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK')
      throw error
    }
  }
}
