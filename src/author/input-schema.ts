/** What the schemas of the policy inputs say of a place: its type and its words. */

import { readFileSync } from 'node:fs'
import type { Entrypoint } from '../decide/engine.ts'
import { isRecord, textsAt, type JsonRecord } from './json-path.ts'

const folder = new URL('../../rego/schemas/', import.meta.url)
const loaded = new Map<string, JsonRecord>()

/** The schema of one place; null when the input is closed to it or the schema says nothing of it. */
export function schemaAt(entrypoint: Entrypoint, place: string): JsonRecord | null {
  let schema: unknown = load(entrypoint === 'countersign/task' ? 'task.json' : 'input.json')
  for (const name of place.split('.')) {
    const properties = isRecord(schema) ? schema['properties'] : undefined
    if (!isRecord(properties) || !Object.hasOwn(properties, name)) return null
    schema = properties[name]
  }
  return isRecord(schema) ? schema : null
}

/** Its closed list of words; empty when it has none. */
export function wordsAt(entrypoint: Entrypoint, place: string): readonly string[] {
  return textsAt(schemaAt(entrypoint, place), 'enum')
}

function load(name: string): JsonRecord {
  let schema = loaded.get(name)
  if (schema === undefined) {
    const parsed: unknown = JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
    loaded.set(name, (schema = isRecord(parsed) ? parsed : {}))
  }
  return schema
}
