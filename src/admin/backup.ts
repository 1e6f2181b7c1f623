import { problem } from './answer.ts'
import { wordsOf, type Noun, type Words } from './noun.ts'

export interface BackupOptions {
  /** Writes down that it is taken, then gives the state as one file. Rejects with `record.failed`. */
  readonly take: (words: Words) => Promise<Uint8Array>
}

/** `/v1/backup`: POST gives the state as it is at one moment. The keys that seal and sign are not in it. */
export function backupNoun({ take }: BackupOptions): Noun {
  return async (call) => {
    if (call.method !== 'POST' || call.path.length > 0) return null
    const words = wordsOf(call, await call.body())
    if (words === null) return problem(400, 'say why and who you are: {"reason": …, "by": …}')
    const headers = { 'content-disposition': 'attachment; filename="state.db"' }
    return { status: 200, bytes: await take(words), type: 'application/vnd.sqlite3', headers }
  }
}
