/** The state file: one SQLite database that one process holds. */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** What each version adds to the one before. */
const steps: readonly string[] = [
  `
  CREATE TABLE tasks (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, caller TEXT NOT NULL, state TEXT NOT NULL, opened INTEGER NOT NULL, closed INTEGER, row TEXT NOT NULL);
  CREATE INDEX tasks_by_caller ON tasks (caller, opened);
  CREATE INDEX tasks_by_state ON tasks (state, opened);
  CREATE TABLE facts (task INTEGER PRIMARY KEY, facts TEXT NOT NULL);
  CREATE TABLE callers (id TEXT PRIMARY KEY, facts TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE leases (id TEXT PRIMARY KEY, task TEXT NOT NULL, state TEXT NOT NULL, expires INTEGER NOT NULL, row TEXT NOT NULL);
  CREATE INDEX leases_by_task ON leases (task);
  CREATE INDEX leases_by_state ON leases (state);
  CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  `,
  `
  CREATE TABLE rates (key TEXT PRIMARY KEY, counted TEXT NOT NULL) WITHOUT ROWID;
  `,
  `
  CREATE INDEX tasks_by_parent ON tasks (row ->> '$.parent') WHERE row ->> '$.parent' IS NOT NULL;
  CREATE TABLE registrations (id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE grants (id TEXT PRIMARY KEY, task TEXT NOT NULL, state TEXT NOT NULL, expires INTEGER NOT NULL, row TEXT NOT NULL);
  CREATE INDEX grants_by_task ON grants (task);
  CREATE INDEX grants_by_state ON grants (state);
  CREATE TABLE approvals (id TEXT PRIMARY KEY, task TEXT NOT NULL, state TEXT NOT NULL, expires INTEGER NOT NULL, row TEXT NOT NULL);
  CREATE INDEX approvals_by_task ON approvals (task);
  CREATE INDEX approvals_by_state ON approvals (state);
  CREATE INDEX approvals_by_digest ON approvals (row ->> '$.digest', task);
  CREATE TABLE kills (id TEXT PRIMARY KEY, lifted INTEGER, row TEXT NOT NULL) WITHOUT ROWID;
  `,
  `
  CREATE TABLE signals (scope TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (scope, key, name)) WITHOUT ROWID;
  `,
  // people are asked about tasks too, and one that is to be opened has no id yet
  `
  CREATE TABLE asked (id TEXT PRIMARY KEY, task TEXT, state TEXT NOT NULL, expires INTEGER NOT NULL, row TEXT NOT NULL);
  INSERT INTO asked SELECT id, task, state, expires, json_set(row, '$.matter', 'call') FROM approvals ORDER BY rowid;
  DROP TABLE approvals;
  ALTER TABLE asked RENAME TO approvals;
  CREATE INDEX approvals_by_task ON approvals (task);
  CREATE INDEX approvals_by_state ON approvals (state);
  CREATE INDEX approvals_by_digest ON approvals (row ->> '$.digest', task);
  CREATE TABLE counted (rule TEXT NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (rule, key)) WITHOUT ROWID;
  `,
]

export interface DatabaseOptions {
  /** A file, made with mode 0600 when it is not there, or `:memory:`. */
  readonly path: string
  /** Survive power loss and not only the end of the process: every transaction waits for the disk. */
  readonly synced: boolean
  /** How long to wait for a process that is letting go of the file, ms. */
  readonly wait: number
}

/** Opens the state file and takes it for this process. Throws with what to do when another holds it or it is not ours to read. */
export function openDatabase(options: DatabaseOptions): DatabaseSync {
  prepareFile(options.path)
  const db = new DatabaseSync(options.path, { timeout: options.wait })
  try {
    // exclusive before WAL: the lock is taken by the first transaction and kept, and no shared-memory file is needed
    db.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${options.synced ? 'FULL' : 'NORMAL'};
      PRAGMA secure_delete = ON;
      PRAGMA wal_autocheckpoint = 4000;
      PRAGMA trusted_schema = OFF;
    `)
    migrate(db, options.path)
    return db
  } catch (error) {
    db.close()
    if (isBusy(error)) throw new Error(`the state ${options.path} is held by another process: one process per state file`, { cause: error })
    throw error
  }
}

function prepareFile(path: string): void {
  if (path === ':memory:') return
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  closeSync(openSync(path, 'a', 0o600))
}

function migrate(db: DatabaseSync, path: string): void {
  db.exec('BEGIN EXCLUSIVE')
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0)
  if (version > steps.length) throw new Error(`the state ${path} was written by a newer version (${version} > ${steps.length})`)
  for (const step of steps.slice(version)) db.exec(step)
  db.exec(`PRAGMA user_version = ${steps.length}`)
  db.exec('COMMIT')
}

function isBusy(error: unknown): boolean {
  // SQLITE_BUSY 5, SQLITE_LOCKED 6
  return error instanceof Error && 'errcode' in error && (error.errcode === 5 || error.errcode === 6)
}
