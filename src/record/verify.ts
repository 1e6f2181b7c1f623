/** Verifies a ledger, trusting nothing but the public key: chain, tree, numbers, checkpoints, and an outcome for every decision. */

import { closeSync, openSync, read, statSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { readCheckpointLine } from './checkpoint-line.ts'
import { KeyRing } from './key-ring.ts'
import type { AuditOptions, VerifyReport } from './ledger-audit.ts'
import { LedgerAudit } from './ledger-audit.ts'
import { LineSplitter, linesNow } from './lines.ts'
import { listSegments } from './segment.ts'
import { readStored } from './stored-line.ts'

export interface VerifyOptions extends AuditOptions {
  /** Told now and then how many bytes of all were read. */
  readonly progress?: (read: number, all: number) => void
}

const readAt = promisify(read)
const chunkBytes = 1 << 20

/**
 * A ledger folder, or segment files in their order. `keys`: the verifier keys that are trusted, each text one or several a line, or null
 * to check chain and tree alone. Throws when a file cannot be read or a key is none.
 */
export async function verifyLedger(
  source: string | readonly string[],
  keys: string | readonly string[] | null,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const paths = pathsOf(source)
  const ring = keys === null ? null : new KeyRing(keys)
  if (ring !== null && !beginsTrusted(paths, ring)) ring.learn(handovers(paths))
  const audit = new LedgerAudit(ring, options)
  const all = paths.reduce((sum, path) => sum + statSync(path).size, 0)
  let done = 0
  for (const path of paths) {
    if (audit.failed) break
    await readFile(path, audit, path === paths.at(-1), (bytes) => options.progress?.((done += bytes), all))
  }
  audit.end()
  return audit.report(paths.length)
}

function pathsOf(source: string | readonly string[]): readonly string[] {
  const given = typeof source === 'string' ? [source] : source
  return given.flatMap((path) => (statSync(path).isDirectory() ? listSegments(path).map((row) => row.path) : [path]))
}

async function readFile(path: string, audit: LedgerAudit, last: boolean, took: (bytes: number) => void): Promise<void> {
  const fd = openSync(path, 'r')
  try {
    audit.begin(basename(path))
    const splitter = new LineSplitter(0)
    // a line without its end may be one that is being written just now: only one that stays so is torn
    const looks = last ? 5 : 1
    let position = 0
    for (let look = 0; look < looks && !audit.failed && (look === 0 || splitter.unfinished > 0); look++) {
      if (look > 0) await delay(50)
      for (;;) {
        const { bytesRead, buffer } = await readAt(fd, Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, position)
        if (bytesRead === 0 || audit.failed) break
        position += bytesRead
        for (const { bytes } of splitter.push(buffer.subarray(0, bytesRead))) {
          audit.line(bytes)
          if (audit.failed) return
        }
        took(bytesRead)
      }
    }
    audit.finish(splitter.unfinished)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    audit.unreadable(error.message)
  } finally {
    closeSync(fd)
  }
}

/** Is the first checkpoint signed with a key that is trusted? When it is not, a later one may hand over to a key that is. */
function beginsTrusted(paths: readonly string[], ring: KeyRing): boolean {
  for (const text of linesWith(paths, ['"kind":"checkpoint"'])) {
    const stored = readStored(text)
    const line = stored?.kind === 'checkpoint' ? readCheckpointLine(text, stored) : null
    if (line !== null) return 'fault' in line || ring.trusts(line.key)
  }
  return true
}

/** The lines that may be checkpoints that hand over. What of them is not so is no matter here: the reading comes to it. */
function handovers(paths: readonly string[]): string[] {
  const found: string[] = []
  for (const text of linesWith(paths, ['"kind":"checkpoint"', '"next":"'])) if (readStored(text)?.kind === 'checkpoint') found.push(text)
  return found
}

function* linesWith(paths: readonly string[], words: readonly string[]): Generator<string> {
  for (const path of paths) {
    const fd = openSync(path, 'r')
    try {
      // a byte search first: it passes over most lines
      for (const { bytes } of linesNow(fd, 0)) if (words.every((word) => bytes.includes(word))) yield bytes.toString()
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
    } finally {
      closeSync(fd)
    }
  }
}
