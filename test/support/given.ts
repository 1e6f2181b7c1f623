/** A policy whose decision on every call is given by the test. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { filesOf, packBundle } from './policy-rig.ts'

const compiled = filesOf(readFileSync(new URL('given/given.tar.gz', import.meta.url)))

/** Decision v1 with these members in place of those of a plain allow. */
export function givenDecision(change: object = {}): object {
  return { v: 1, effect: 'allow', reasons: [], obligations: [], labels: {}, ...change }
}

/** A bundle that answers every call with this decision, and allows every task. */
export function givenBundle(decision: object): Uint8Array {
  return packBundle({ ...compiled, 'data.json': JSON.stringify({ given: { decision } }) })
}

/** Writes such a bundle into a folder; its path, for `decide.bundle`. */
export function writeGiven(folder: string, decision: object, name = 'given'): string {
  const path = join(folder, `${name}.tar.gz`)
  writeFileSync(path, givenBundle(decision))
  return path
}

let made = 0

/** One obligation with an id of its own. */
export function obligation(type: string, properties: object): { readonly id: string; readonly type: string; readonly properties: object } {
  return { id: `o${made++}`, type, properties }
}
