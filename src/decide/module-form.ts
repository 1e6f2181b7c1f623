/** What may stand in a compiled policy: functions over numbers and the memory that it is lent. Nothing that takes memory nobody counts. */

import { BundleFault } from './bundle/fault.ts'

/** Numbers of sections (WebAssembly Core 3.0 §5.5.2). */
const sections = { types: 1, table: 4, memory: 5, tag: 13 } as const

const functionType = 0x60
const numberTypes: ReadonlySet<number> = new Set([0x7f, 0x7e, 0x7d, 0x7c])
const functions = 0x70

/** Most entries of the table of functions. */
const mostEntries = 65_536

/**
 * Throws BundleFault for a module with a memory of its own, with types other than functions over numbers (objects of the
 * collector would fill our heap, and a full heap ends the process), with tags, or with a large table. Takes bytes that the runtime
 * found valid.
 */
export function checkForm(wasm: Uint8Array): void {
  let at = 8
  while (at < wasm.length) {
    const id = wasm[at]
    const size = unsigned(wasm, at + 1)
    if (id === sections.memory) throw new BundleFault('policy.wasm has a memory of its own')
    if (id === sections.tag) throw new BundleFault('policy.wasm has exceptions of its own')
    if (id === sections.types) checkTypes(wasm, size.next)
    if (id === sections.table) checkTable(wasm, size.next)
    at = size.next + size.value
  }
}

function checkTypes(wasm: Uint8Array, start: number): void {
  const count = unsigned(wasm, start)
  let at = count.next
  for (let type = 0; type < count.value; type++) {
    let sound = wasm[at++] === functionType
    for (let list = 0; list < 2 && sound; list++) {
      const length = unsigned(wasm, at)
      at = length.next + length.value
      sound = wasm.subarray(length.next, at).every((kind) => numberTypes.has(kind))
    }
    if (!sound) throw new BundleFault('policy.wasm has types that no policy needs')
  }
}

/** One table of functions that says how large it may become. */
function checkTable(wasm: Uint8Array, start: number): void {
  const count = unsigned(wasm, start)
  const bounded = wasm[count.next] === functions && wasm[count.next + 1] === 1
  const most = unsigned(wasm, unsigned(wasm, count.next + 2).next).value
  if (count.value !== 1 || !bounded || most > mostEntries) throw new BundleFault('policy.wasm has a table that no policy needs')
}

/** An unsigned LEB128 integer and the place after it. */
function unsigned(wasm: Uint8Array, start: number): { readonly value: number; readonly next: number } {
  let value = 0
  let at = start
  for (let shift = 0; ; shift += 7) {
    const byte = wasm[at++] ?? 0
    value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return { value, next: at }
  }
}
