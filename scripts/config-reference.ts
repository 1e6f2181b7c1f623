import { findingCodes } from '../src/config/findings.ts'

type Schema = Readonly<Record<string, unknown>>

/** The configuration reference as Markdown, made from the JSON Schema: one table a section, plug-in kinds one table each. */
export function configReference(schema: object): string {
  const top = schema as Schema
  const parts = [
    '# Configuration reference',
    'Made from the schema by `npm run schema`; a test keeps it fresh. Durations are text such as `30s`, sizes such as `10MiB`; `${NAME}` in a plain value is taken from the environment; secrets are only ever `{ file: … }` or `{ env: … }`. Settings that begin with `unsafe` weaken protection and are printed at start. Relative paths start at the folder of the configuration. `include: [agents.yaml, routes/]` at the top takes more files, or folders of them, into it: [teams.md](teams.md).',
  ]
  for (const [name, section] of Object.entries(properties(top))) {
    if (Object.keys(properties(section)).length === 0) continue
    parts.push(`## ${name}`, ...tables(name, section))
  }
  parts.push('## What `countersign check` says', table(['code', 'meaning'], Object.entries(findingCodes)))
  return `${parts.join('\n\n')}\n`
}

/** A table of a section's settings, then one of each list or map of records under it. */
function tables(path: string, schema: Schema): string[] {
  const rows: string[][] = []
  const below: string[] = []
  const walk = (at: string, one: Schema, required: boolean): void => {
    const variants = alternatives(one)
    const kinds = variants.filter((variant) => kindOf(variant) !== null)
    if (kinds.length > 0) {
      for (const variant of kinds)
        below.push(`### ${at}: \`type: ${kindOf(variant)}\``, text(variant['description']), ...tables(at, variant))
      return
    }
    const record = variants.find((variant) => Object.keys(properties(variant)).length > 0)
    if (record !== undefined && variants.length === 1) {
      const needed = new Set(list(record['required']))
      for (const [name, inner] of Object.entries(properties(record))) walk(`${at}.${name}`, inner, required && needed.has(name))
      return
    }
    const items = asSchema(one['items']) ?? asSchema(one['additionalProperties'])
    if (items !== null && (Object.keys(properties(items)).length > 0 || alternatives(items).some((variant) => kindOf(variant) !== null))) {
      rows.push([`\`${at}\``, one['type'] === 'array' ? 'list' : 'map', shown(one, required), text(one['description'])])
      walk(`${at}${one['type'] === 'array' ? '[]' : '.*'}`, items, true)
      return
    }
    rows.push([`\`${at}\``, typeOf(one), shown(one, required), text(one['description'])])
  }
  const needed = new Set(list(schema['required']))
  for (const [name, inner] of Object.entries(properties(schema))) if (name !== 'type') walk(`${path}.${name}`, inner, needed.has(name))
  return [...(rows.length > 0 ? [table(['setting', 'value', 'default', 'meaning'], rows)] : []), ...below]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map((row) => line(row))].join('\n')
}

function shown(schema: Schema, required: boolean): string {
  if (schema['default'] !== undefined) return `\`${JSON.stringify(schema['default'])}\``
  return required ? '**required**' : ''
}

function typeOf(schema: Schema): string {
  const variants = alternatives(schema)
  if (variants.length > 1) return variants.map((variant) => typeOf(variant)).join(' or ')
  if (schema['const'] !== undefined) return `\`${JSON.stringify(schema['const'])}\``
  if (Array.isArray(schema['enum'])) return schema['enum'].map((value) => `\`${String(value)}\``).join(', ')
  if (schema['type'] === 'array') return `list of ${typeOf(asSchema(schema['items']) ?? {})}`
  const names = Object.keys(properties(schema))
  if (names.length > 0) return `{ ${names.join(', ')} }`
  if (schema['type'] === 'object') return `map of ${typeOf(asSchema(schema['additionalProperties']) ?? {})}`
  return text(schema['type']) || 'any'
}

function kindOf(schema: Schema): string | null {
  const kind = asSchema(properties(schema)['type'])?.['const']
  return typeof kind === 'string' ? kind : null
}

function alternatives(schema: Schema): Schema[] {
  const inner = schema['anyOf'] ?? schema['oneOf']
  return Array.isArray(inner) ? inner.flatMap((one: Schema) => alternatives(one)) : [schema]
}

function properties(schema: Schema): Readonly<Record<string, Schema>> {
  return (asSchema(schema['properties']) ?? {}) as Readonly<Record<string, Schema>>
}

function asSchema(value: unknown): Schema | null {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Schema) : null
}

function list(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
