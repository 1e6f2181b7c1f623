import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit, type Document } from 'yaml'
import type { z } from 'zod'
import { agree } from './agree.ts'
import { ConfigFault, type Finding, type FindingCode } from './findings.ts'
import { configSchema, jsonSchema, type Config } from './schema.ts'
import { keysAt, nearest } from './suggest.ts'

export type Env = Readonly<Record<string, string | undefined>>

/** A configuration with where it came from and what `check` has to say about it (warnings and notes only). */
export interface Loaded {
  readonly config: Config
  readonly file: string
  /** Folder that relative paths in the file start from. */
  readonly folder: string
  readonly findings: readonly Finding[]
}

/** Reads and checks a configuration file. Throws `ConfigFault` with every problem at once. */
export function loadConfig(file: string, env: Env): Loaded {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ConfigFault(file, [
      { code: 'CS1001', severity: 'error', line: 1, column: 1, path: '', message: `cannot read the file: ${why}` },
    ])
  }
  return parseConfig(text, file, env)
}

/** Checks configuration text; `file` names it in findings and anchors relative paths. Throws `ConfigFault`. */
export function parseConfig(text: string, file: string, env: Env): Loaded {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2' })
  const place = placer(document, lines)
  const found: Finding[] = document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0])
    return { code: 'CS1101', severity: 'error', line, column: col, path: '', message: sayOnce(error.message) }
  })
  if (found.length > 0) throw new ConfigFault(file, found)
  substitute(document, env, (code, path, message) => found.push(place(code, 'error', path, message)))
  const parsed = configSchema.safeParse(document.toJS(), { reportInput: true })
  if (!parsed.success) found.push(...parsed.error.issues.flatMap((issue) => describe(issue, place)))
  else found.push(...agree(parsed.data, place))
  found.sort((a, b) => a.line - b.line || a.column - b.column)
  if (!parsed.success || found.some((finding) => finding.severity === 'error')) throw new ConfigFault(file, found)
  return { config: parsed.data, file, folder: dirname(file), findings: found }
}

/** The parser's first line without the place that the finding states already. */
function sayOnce(message: string): string {
  return (message.split('\n')[0] ?? message).replace(/ at line \d+, column \d+:$/, '')
}

/** Makes a finding at the place of a setting; a missing setting is placed at its nearest parent. */
export type Place = (code: FindingCode, severity: Finding['severity'], path: readonly PropertyKey[], message: string) => Finding

function placer(document: Document, lines: LineCounter): Place {
  return (code, severity, path, message) => {
    const { line, col } = lines.linePos(offsetOf(document, path))
    return { code, severity, line, column: col, path: path.map(String).join('.'), message }
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

function describe(issue: z.core.$ZodIssue, place: Place): Finding[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const close = nearest(key, keysAt(jsonSchema(), issue.path))
      return place('CS1204', 'error', [...issue.path, key], `unknown key "${key}"${close ? `, did you mean "${close}"?` : ''}`)
    })
  }
  const name = issue.path.map(String).join('.')
  if (issue.path.at(-1) === 'unsafe_standing') return [place('CS1310', 'error', issue.path, issue.message)]
  if (isSecretPlace(issue))
    return [place('CS1301', 'error', issue.path, `${name}: a secret never stands in the file: say { file: … } or { env: … }`)]
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const best = issue.errors.toSorted((a, b) => depth(b) - depth(a))[0] ?? []
    if (best.length > 0) return best.flatMap((inner) => describe({ ...inner, path: [...issue.path, ...inner.path] }, place))
  }
  const missing = issue.message.endsWith('received undefined') || (issue.code === 'invalid_value' && issue.input === undefined)
  if (missing) return [place('CS1202', 'error', issue.path, `missing: ${name}`)]
  return [place('CS1201', 'error', issue.path, `${name}: ${issue.message}`)]
}

/** A plain value where only a reference to a secret may stand. */
function isSecretPlace(issue: z.core.$ZodIssue): boolean {
  const last = issue.path.at(-1)
  return (
    (last === 'secret' || last === 'value' || last === 'bearer') &&
    (issue.code === 'invalid_union' || issue.code === 'invalid_type') &&
    !issue.message.endsWith('undefined')
  )
}

function depth(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length))
}
