/** Puts a configuration together from several files, each with its owners, and knows of each setting which file says it. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import type { Finding } from './findings.ts'
import { readYaml, type Env, type Place, type YamlText } from './yaml-text.ts'

/** One file of a configuration. */
export interface ConfigPart extends YamlText {
  /** As it is named from the folder of the configuration; null for the file itself. */
  readonly file: string | null
  readonly text: string
}

/** An entry of a joined list: which part it came from, and its place there. */
interface Entry {
  readonly part: ConfigPart
  readonly index: number
}

export interface Composed {
  readonly value: unknown
  readonly place: Place
  readonly findings: readonly Finding[]
  /** The part and the place in it of a path of the whole. */
  readonly at: (path: readonly PropertyKey[]) => { readonly part: ConfigPart; readonly path: readonly PropertyKey[] }
}

/** Reads what `include` names: files, and folders of `.yaml` and `.yml` files in the order of their names. `folder`: of the configuration. */
export function readIncludes(
  names: readonly string[],
  folder: string,
  env: Env,
  place: Place,
): { parts: ConfigPart[]; findings: Finding[] } {
  const parts: ConfigPart[] = []
  const findings: Finding[] = []
  for (const [index, name] of names.entries()) {
    try {
      for (const file of filesOf(name, folder)) {
        const path = isAbsolute(file) ? file : join(folder, file)
        const text = readFileSync(path, 'utf8')
        const part = { ...readYaml(text, env, path), file, text }
        findings.push(...part.findings, ...unfit(part))
        parts.push(part)
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      findings.push(place('CS1001', 'error', ['include', index], `cannot read ${name}: ${why}`))
    }
  }
  return { parts, findings }
}

function filesOf(name: string, folder: string): readonly string[] {
  const path = isAbsolute(name) ? name : join(folder, name)
  if (!statSync(path).isDirectory()) return [name]
  // a mounted ConfigMap keeps what it swaps under names that begin with dots
  return readdirSync(path)
    .filter((one) => /^[^.].*\.ya?ml$/.test(one))
    .sort()
    .map((one) => join(name, one))
}

/** An included file is a part of the configuration: a map, without what only the file itself says. */
function unfit({ value, place, valid }: ConfigPart): Finding[] {
  if (!valid || value === null) return []
  if (!isMap(value)) return [place('CS1201', 'error', [], 'an included file holds settings by name, as the configuration does')]
  return ['version', 'include']
    .filter((key) => key in value)
    .map((key) => place('CS1402', 'error', [key], `${key} stands in the configuration itself, not in what it includes`))
}

/** Joins the parts: maps by their keys, lists one behind the other. What two of them say is a finding that names both places. */
export function compose(parts: readonly ConfigPart[]): Composed {
  const entries = new WeakMap<readonly unknown[], readonly Entry[]>()
  const findings: Finding[] = []
  const joined = (path: readonly PropertyKey[], said: readonly ConfigPart[]): unknown => {
    const values = said.map((part) => valueAt(part.value, path))
    if (values.every((value) => Array.isArray(value))) {
      const list = values.flat()
      const origins = said.flatMap((part, at) => (values[at] as readonly unknown[]).map((_, index) => ({ part, index })))
      entries.set(list, origins)
      return list
    }
    if (values.every(isMap) && said.length > 1) {
      const keys = new Set(values.flatMap((value) => Object.keys(value)))
      const members = [...keys].map(
        (key) =>
          [
            key,
            joined(
              [...path, key],
              said.filter((_, at) => key in Object(values[at])),
            ),
          ] as const,
      )
      return Object.fromEntries(members)
    }
    const [first, ...others] = said
    for (const other of others) findings.push(twice(path, first, other))
    return values[0]
  }
  const whole = parts.filter(({ value }) => isMap(value))
  const value = whole.length === 0 ? (parts[0]?.value ?? null) : joined([], whole)
  const at = (path: readonly PropertyKey[]) => locate(path, value, parts, entries)
  const place: Place = (code, severity, path, message) => {
    const found = at(path)
    const finding = found.part.place(code, severity, found.path, message)
    // the setting keeps the name that it has in the whole
    return { ...finding, path: path.map(String).join('.') }
  }
  return { value, place, findings, at }
}

function twice(path: readonly PropertyKey[], first: ConfigPart | undefined, other: ConfigPart): Finding {
  const name = path.map(String).join('.')
  const { line } = first?.place('CS1402', 'error', path, '') ?? { line: 1 }
  return other.place(
    'CS1402',
    'error',
    path,
    `${name} is set in ${first?.file ?? 'the configuration'} too, on line ${line}: say it in one file`,
  )
}

/** Follows a path into the part that says it; of a setting that none says, into one that says its nearest parent. */
function locate(
  path: readonly PropertyKey[],
  whole: unknown,
  parts: readonly ConfigPart[],
  entries: WeakMap<readonly unknown[], readonly Entry[]>,
): { readonly part: ConfigPart; readonly path: readonly PropertyKey[] } {
  let candidates = parts
  let value = whole
  const local: PropertyKey[] = []
  for (const [at, key] of path.entries()) {
    if (Array.isArray(value) && typeof key === 'number') {
      const entry = entries.get(value)?.[key]
      if (entry !== undefined) return { part: entry.part, path: [...local, entry.index, ...path.slice(at + 1)] }
    }
    const saying = candidates.filter((part) => valueAt(part.value, [...local, key]) !== undefined)
    if (saying.length > 0) candidates = saying
    value = isMap(value) ? value[String(key)] : undefined
    local.push(key)
  }
  const [part] = candidates
  if (part === undefined) throw new Error('a configuration has at least one part')
  return { part, path: local }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value
  for (const key of path) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, key)) return undefined
    at = (at as Record<PropertyKey, unknown>)[key]
  }
  return at
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
