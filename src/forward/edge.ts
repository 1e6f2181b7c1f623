/** What the last two bytes of some bytes say, mostly: whether a run of a secret goes on there, or may begin. */
import type { Form } from './spelling.ts'

export interface Edge {
  /** By byte: 1 where a run may begin with it. */
  readonly begins: Uint8Array
  /** A bit for each two bytes that stand together in a form. */
  readonly pairs: Uint32Array
}

/** Made once for all forms of a lease. */
export function edgeOf(forms: readonly Form[]): Edge {
  const begins = new Uint8Array(256)
  const pairs = new Uint32Array((256 * 256) / 32)
  for (const { units, unitsOf, least } of forms) {
    const bytesOf: number[][] = units.map(() => [])
    unitsOf.forEach((places, byte) => places.forEach((unit) => bytesOf[unit]?.push(byte)))
    // of the last unit alone nothing follows
    for (let unit = 0; unit + 1 < units.length; unit++)
      for (const byte of bytesOf[unit] ?? []) {
        if (unit + least <= units.length) begins[byte] = 1
        for (const before of bytesOf[unit - 1] ?? []) {
          const word = wordOf(before, byte)
          pairs[word] = (pairs[word] ?? 0) | (1 << (before & 31))
        }
      }
  }
  return { begins, pairs }
}

/** Whether both stand together in a form. */
export function isPair({ pairs }: Edge, before: number, byte: number): boolean {
  return ((pairs[wordOf(before, byte)] ?? 0) & (1 << (before & 31))) !== 0
}

function wordOf(before: number, byte: number): number {
  return (byte << 3) | (before >> 5)
}
