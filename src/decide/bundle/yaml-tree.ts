/** `data.yaml`: the part of YAML that every reader reads alike, as JSON. */

import { isMap, isScalar, isSeq, parseDocument, type ParsedNode, type Scalar } from 'yaml'
import { BundleFault } from './fault.ts'
import { quoted, readTree, utf8, type JsonTree } from './json-tree.ts'

const mostBytes = 256 * 1024
const deepest = 256

/**
 * Reads one YAML document; what is JSON is read as JSON. No anchors, aliases, tags, merge keys or second documents, no key twice, and no
 * unquoted text that YAML 1.1 and 1.2 read differently (`yes`, `012`, `1_000`, `12:30`). Numbers become what OPA makes of them:
 * `1.50` is 1.5. Throws BundleFault.
 */
export function readYaml(bytes: Uint8Array, name: string): JsonTree {
  if (bytes.length > mostBytes) throw new BundleFault(`${name} is larger than 256 KiB: write it as data.json`)
  try {
    return readTree(bytes, name)
  } catch {
    // not JSON, so it has to be YAML that is not
  }
  try {
    return parsed(utf8(bytes))
  } catch (error) {
    throw new BundleFault(`${name}: ${error instanceof Error ? error.message : 'unreadable'}`, { cause: error })
  }
}

function parsed(text: string): JsonTree {
  // keys are compared below: the library compares each with each
  const document = parseDocument(text, { version: '1.2', uniqueKeys: false, strict: true, merge: false, prettyErrors: false })
  const [fault] = [...document.errors, ...document.warnings]
  if (fault !== undefined) throw new Error(fault.message)
  if (document.directives.yaml.explicit === true) throw new Error('a version of YAML: leave it out')
  return document.contents === null ? 'null' : tree(document.contents, 0)
}

function tree(node: ParsedNode, depth: number): JsonTree {
  if (depth > deepest) throw new Error(`more than ${deepest} levels`)
  if (isScalar(node)) return scalar(node)
  if (!isMap(node) && !isSeq(node)) throw new Error('an alias: write out what it stands for')
  checkBare(node)
  if (isSeq(node)) return node.items.map((item) => tree(item, depth + 1))
  const object = new Map<string, JsonTree>()
  for (const { key, value } of node.items) {
    const name: unknown = isScalar(key) ? JSON.parse(scalar(key)) : null
    if (typeof name !== 'string') throw new Error('a key that is not a text: quote it')
    if (object.has(name)) throw new Error(`the key ${JSON.stringify(name).slice(0, 100)} is there twice`)
    object.set(name, value === null ? 'null' : tree(value, depth + 1))
  }
  return object
}

function checkBare(node: { readonly anchor?: string | undefined; readonly tag?: string | undefined }): void {
  if (node.anchor !== undefined) throw new Error('an anchor: write out what it stands for')
  if (node.tag !== undefined) throw new Error('a tag: write the value without it')
}

/** The canonical text of a scalar. Only what is not quoted can be anything but text. */
function scalar(node: Scalar.Parsed): string {
  checkBare(node)
  const { source, type } = node
  if (type !== 'PLAIN') return word(source)
  if (source === '' || source === '~' || source === 'null') return 'null'
  if (source === 'true' || source === 'false') return source
  if (/^-?(?:0|[1-9]\d*)$/.test(source)) return integer(source)
  if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(source)) return float(source)
  if (readTwoWays.test(source))
    throw new Error(`${JSON.stringify(source.slice(0, 100))} is read differently by different readers: quote it`)
  return word(source)
}

/** Words and numbers of YAML 1.1 or 1.2 that the other does not have, or that JSON spells otherwise; and the merge key. */
const readTwoWays =
  /^(?:y|n|yes|no|on|off|true|false|null|<<|=|[-+]?\.(?:inf|nan)|[-+]?0[xob]\w*|[-+]?[\d_]+(?::[0-5]?\d)+(?:\.[\d_]*)?|[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[-+]?\d*)?)$/i

function word(value: string): string {
  if (!value.isWellFormed()) throw new Error('a lone surrogate')
  return quoted(value)
}

/** Beyond 64 bits OPA makes it a double, which is no longer what was written. */
function integer(source: string): string {
  const value = source.length > 20 ? 2n ** 64n : BigInt(source)
  if (source === '-0' || value < -(2n ** 63n) || value >= 2n ** 64n)
    throw new Error(`the number ${source.slice(0, 100)}: write it in data.json`)
  return source
}

/** As Go writes a double, which is as JavaScript does but for -0. */
function float(source: string): string {
  const value = Number(source)
  if (!Number.isFinite(value) || Object.is(value, -0)) throw new Error(`the number ${source.slice(0, 100)}: write it in data.json`)
  return String(value)
}
