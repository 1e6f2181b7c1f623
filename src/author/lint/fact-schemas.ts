/** Which facts the schemas of the inputs know. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRecord, textAt, type JsonRecord } from '../json-path.ts'
import { recordsIn, type RegoSource } from './modules.ts'

export interface FactSchemas {
  /** Whether a rule of the package may need the fact: `tool.name`. */
  knows(fact: string, ofPackage: string): boolean
  knowsSetting(name: string): boolean
}

/** Takes the folder of schemas. A package whose annotation names its input's schema is held to that, any other to all of them. */
export function factSchemas(folder: string, sources: readonly RegoSource[]): FactSchemas {
  const schemas = new Map<string, JsonRecord>()
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
    const found: unknown = JSON.parse(readFileSync(join(folder, file), 'utf8'))
    if (isRecord(found)) schemas.set(file.replace('.json', ''), found)
  }
  const inputs = [...schemas.keys()].filter((name) => name !== 'settings')
  const named = new Map(sources.flatMap((source) => source.packageAnnotations.flatMap(schemaOf).map((name) => [source.package, name])))
  return {
    knows(fact, ofPackage) {
      const name = named.get(ofPackage)
      const among = name !== undefined && schemas.has(name) ? [name] : inputs
      return among.some((one) => reaches(schemas.get(one), fact.split('.')))
    },
    knowsSetting: (name) => reaches(schemas.get('settings'), name.split('.')),
  }
}

/** `input: schema.task` names task. */
function schemaOf(annotation: JsonRecord): string[] {
  const ofInput = recordsIn(annotation['schemas']).filter((one) => textAt(recordsIn(one['path'])[0], 'value') === 'input')
  return ofInput.map((one) => textAt(recordsIn(one['schema'])[1], 'value'))
}

function reaches(schema: unknown, names: readonly string[]): boolean {
  const [name, ...rest] = names
  if (name === undefined) return true
  if (!isRecord(schema)) return false
  const { properties, additionalProperties: others, items, anyOf } = schema
  if (Array.isArray(anyOf) && anyOf.some((one) => reaches(one, names))) return true
  if (items !== undefined && reaches(items, names)) return true
  if (isRecord(properties) && Object.hasOwn(properties, name)) return reaches(properties[name], rest)
  // a schema that says nothing of members does not close them out
  const open = schema['type'] === undefined && properties === undefined && anyOf === undefined && items === undefined
  return open || (isRecord(others) ? reaches(others, rest) : others === true)
}
