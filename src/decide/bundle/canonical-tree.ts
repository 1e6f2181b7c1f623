/** The canonical text of JSON as OPA hashes it: no white space, keys in the order of their UTF-8 bytes, numbers as they were written. */

import { isObject, quoted, type JsonTree } from './json-tree.ts'

/** OPA bundle signing, "structured files": two documents have the same text exactly when they say the same in the same digits. */
export function canonicalText(tree: JsonTree): string {
  const pieces: string[] = []
  write(tree, pieces)
  return pieces.join('')
}

function write(tree: JsonTree, pieces: string[]): void {
  if (typeof tree === 'string') {
    pieces.push(tree)
  } else if (isObject(tree)) {
    let before = '{'
    for (const [key, value] of [...tree].toSorted(([one], [other]) => byBytes(one, other))) {
      pieces.push(before, quoted(key), ':')
      write(value, pieces)
      before = ','
    }
    pieces.push(tree.size === 0 ? '{}' : '}')
  } else {
    for (const [index, item] of tree.entries()) {
      pieces.push(index === 0 ? '[' : ',')
      write(item, pieces)
    }
    pieces.push(tree.length === 0 ? '[]' : ']')
  }
}

/** The order of UTF-8 bytes, which is the order of code points. JavaScript's own puts U+10000 and above before U+E000. */
export function byBytes(one: string, other: string): number {
  const length = Math.min(one.length, other.length)
  for (let at = 0; at < length; at++) {
    const [left, right] = [one.charCodeAt(at), other.charCodeAt(at)]
    if (left !== right) return rank(left) - rank(right)
  }
  return one.length - other.length
}

/** Of a UTF-16 unit among units: the halves of pairs come last. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
