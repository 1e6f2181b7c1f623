/** The files of a set, or of sets that were merged: out of a folder, or out of an archive. */
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readTar } from '../decide/bundle/tar.ts'
import { EvidenceFault } from './fault.ts'
import { manifestPath } from './manifest.ts'
import { mergedPath } from './merged.ts'

/** Path → bytes. */
export type SetFiles = ReadonlyMap<string, Uint8Array>

const mostFiles = 10_000

/** Whether a path leads to a set, merged or not, rather than to a ledger. Throws EvidenceFault when nothing is there. */
export function isSet(path: string): boolean {
  try {
    if (!statSync(path).isDirectory()) return path.endsWith('.tar')
    return readdirSync(path).some((name) => name === manifestPath || name === mergedPath)
  } catch (error) {
    throw new EvidenceFault('input', `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Reads all of it. Throws EvidenceFault for what is no folder of plain files, and no archive of them. */
export function readSet(path: string): SetFiles {
  try {
    return statSync(path).isDirectory() ? folder(path) : readTar(readFileSync(path), mostFiles)
  } catch (error) {
    throw new EvidenceFault('input', `${path} is no evidence set: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function folder(path: string): SetFiles {
  const files = new Map<string, Uint8Array>()
  const visit = (at: string): void => {
    for (const name of readdirSync(join(path, at)).toSorted()) {
      const inner = at === '' ? name : `${at}/${name}`
      const found = lstatSync(join(path, inner))
      if (found.isDirectory()) visit(inner)
      else if (found.isFile()) files.set(inner, readFileSync(join(path, inner)))
      else throw new Error(`${inner} is neither a plain file nor a folder`)
      if (files.size > mostFiles) throw new Error(`more than ${mostFiles} files`)
    }
  }
  visit('')
  return files
}

/** What stands below a folder of the set, by the paths from there. */
export function filesUnder(files: SetFiles, prefix: string): SetFiles {
  const under = [...files].flatMap(([path, bytes]): [string, Uint8Array][] =>
    path.startsWith(prefix) ? [[path.slice(prefix.length), bytes]] : [],
  )
  return new Map(under)
}
