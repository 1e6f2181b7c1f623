import { readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import type { KeyMemory } from './key-source.ts'
import { member, parseStrictJson } from '../strict-json.ts'

/**
 * A file in which the newest document of a trust domain outlives the process (Federation §4.2), with the name of the trust domain that it
 * belongs to (§7.3) and when it was read. It is replaced as a whole, and only its owner may read or write it.
 */
export function keyMemory(file: string, trustDomain: string): KeyMemory {
  return {
    place: file,
    recall() {
      const text = readWhenThere(file)
      if (text === null) return null
      const kept = parseStrictJson(text)
      const [owner, readAt, document] = ['trust_domain', 'read_at', 'document'].map((name) => member(kept, name))
      if (owner !== trustDomain) throw new Error('kept for another trust domain')
      if (typeof readAt !== 'number' || !Number.isSafeInteger(readAt) || typeof document !== 'string') throw new Error('not what was kept')
      return { text: document, readAt }
    },
    async keep(text, readAt) {
      const next = `${file}.next`
      await writeFile(next, JSON.stringify({ trust_domain: trustDomain, read_at: readAt, document: text }), { mode: 0o600 })
      await rename(next, file)
    },
  }
}

function readWhenThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
