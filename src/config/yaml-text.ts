/** YAML text with variables put in, that knows the place of each of its settings. */
import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit, type Document } from 'yaml'
import type { Finding, FindingCode } from './findings.ts'

export type Env = Readonly<Record<string, string | undefined>>

/** Makes a finding at the place of a setting; a missing setting is placed at its nearest parent. */
export type Place = (code: FindingCode, severity: Finding['severity'], path: readonly PropertyKey[], message: string) => Finding

export interface YamlText {
  /** Null when it is not valid YAML. */
  readonly value: unknown
  readonly place: Place
  /** What is wrong with its form, or with the variables that it names. */
  readonly findings: readonly Finding[]
  readonly valid: boolean
}

/** Reads YAML 1.2 and puts environment variables in. `file`: named in findings that are not about the main file. */
export function readYaml(text: string, env: Env, file?: string): YamlText {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2' })
  const place = placer(document, lines, file)
  const broken = document.errors.map((error): Finding => {
    const { line, col } = lines.linePos(error.pos[0])
    return { ...named(file), code: 'CS1101', severity: 'error', line, column: col, path: '', message: sayOnce(error.message) }
  })
  if (broken.length > 0) return { value: null, place, findings: broken, valid: false }
  const found: Finding[] = []
  substitute(document, env, (code, path, message) => found.push(place(code, 'error', path, message)))
  try {
    return { value: document.toJS(), place, findings: found, valid: true }
  } catch (error) {
    // an alias without its anchor, or aliases of aliases that would fill all memory: the parser tells only now
    found.push(place('CS1101', 'error', [], error instanceof Error ? sayOnce(error.message) : 'it cannot be read'))
    return { value: null, place, findings: found, valid: false }
  }
}

/** The parser's first line without the place that the finding states already. */
function sayOnce(message: string): string {
  return (message.split('\n')[0] ?? message).replace(/ at line \d+, column \d+:$/, '')
}

function named(file: string | undefined): { readonly file?: string } {
  return file === undefined ? {} : { file }
}

function placer(document: Document, lines: LineCounter, file: string | undefined): Place {
  return (code, severity, path, message) => {
    const { line, col } = lines.linePos(offsetOf(document, path))
    return { ...named(file), code, severity, line, column: col, path: path.map(String).join('.'), message }
  }
}

/** Offset of the key that `path` ends in, or of the closest parent that is there. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const key = path[length - 1]
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === key)
      if (pair && isScalar(pair.key) && pair.key.range) return pair.key.range[0]
      continue
    }
    const node = document.getIn(path.slice(0, length), true)
    if (node && typeof node === 'object' && 'range' in node && Array.isArray(node.range)) return Number(node.range[0])
  }
  return 0
}

/** Puts environment variables into plain string values: `${NAME}`; `$${` stands for a literal `${`. */
function substitute(document: Document, env: Env, report: (code: FindingCode, path: PropertyKey[], message: string) => void): void {
  visit(document, {
    Scalar(key, node, ancestors) {
      if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('${')) return
      node.value = node.value.replaceAll(/\$?\$\{([^}]*)\}/g, (whole, name: string) => {
        if (whole.startsWith('$$')) return whole.slice(1)
        const value = env[name]
        if (value !== undefined) return value
        report('CS1110', pathOf(node, ancestors), `environment variable ${name} is not set`)
        return ''
      })
    },
  })
}

/** Keys and indexes that lead from the top to a node. */
function pathOf(node: unknown, ancestors: readonly unknown[]): PropertyKey[] {
  return ancestors.flatMap((ancestor, index): PropertyKey[] => {
    if (isPair(ancestor) && isScalar(ancestor.key)) return [String(ancestor.key.value)]
    return isSeq(ancestor) ? [ancestor.items.indexOf(ancestors[index + 1] ?? node)] : []
  })
}
