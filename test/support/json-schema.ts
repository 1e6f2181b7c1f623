/** The part of JSON Schema that rego/schemas use: enough to hold a document against a closed schema. */

export interface JsonSchema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly JsonSchema[]
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | JsonSchema
}

/** Places where the document is not what the schema says; empty when it is. */
export function faultsOf(schema: JsonSchema, value: unknown, place = ''): string[] {
  if (schema.anyOf !== undefined) return schema.anyOf.some((one) => faultsOf(one, value).length === 0) ? [] : [`${place}: none of anyOf`]
  if (schema.const !== undefined && schema.const !== value) return [`${place}: not ${JSON.stringify(schema.const)}`]
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${place}: ${JSON.stringify(value)} is not in the list`]
  if (schema.type !== undefined && !isType(schema.type, value)) return [`${place}: not ${schema.type}`]
  if (Array.isArray(value)) return value.flatMap((item, index) => faultsOf(schema.items ?? {}, item, `${place}/${index}`))
  if (typeof value === 'object' && value !== null) return membersOf(schema, value, place)
  return []
}

function membersOf(schema: JsonSchema, value: object, place: string): string[] {
  const missing = (schema.required ?? []).filter((key) => !Object.hasOwn(value, key)).map((key) => `${place}/${key}: missing`)
  const wrong = Object.entries(value).flatMap(([key, inner]) => {
    const member = schema.properties?.[key] ?? schema.additionalProperties ?? true
    if (member === false) return [`${place}/${key}: unknown`]
    return member === true ? [] : faultsOf(member, inner, `${place}/${key}`)
  })
  return [...missing, ...wrong]
}

function isType(type: string, value: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null
    case 'array':
      return Array.isArray(value)
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    default:
      return typeof value === type
  }
}
