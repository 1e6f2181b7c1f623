import { createRequire } from 'node:module'
import type { Operation } from '../../src/inject/plan.ts'

interface Library {
  applyPatch(document: unknown, patch: readonly Operation[], validate: boolean, mutate: boolean): { readonly newDocument: unknown }
}

/** fast-json-patch, which is not ours; null where it is not installed. */
export const jsonPatch: Library | null = found()

/** Applies a JSON Patch by that library, each step validated; what is given stays as it is. */
export function patched(document: unknown, operations: readonly Operation[]): unknown {
  if (jsonPatch === null) throw new Error('fast-json-patch is not installed')
  return jsonPatch.applyPatch(document, structuredClone(operations), true, false).newDocument
}

function found(): Library | null {
  try {
    return createRequire(import.meta.url)('fast-json-patch')
  } catch {
    return null
  }
}
