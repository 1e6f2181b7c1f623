import { MalformedMessage, WireWriter, type WireReader } from '../../protobuf.ts'

/** `google.protobuf.Struct` as plain JSON: what `ValidateJWTSVID` tells of a token's claims. */

/** A JSON value. Objects have no prototype, so that a member called `__proto__` is a member like any other. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export type JsonObject = { readonly [name: string]: Json }

/** As deep as claims are read from a token elsewhere. */
const deepest = 64

/** Throws `MalformedMessage`; a number that JSON cannot say (infinite, or none) is refused too. */
export function readStruct(reader: WireReader): JsonObject {
  return readObject(reader, deepest)
}

export function encodeStruct(object: JsonObject): Buffer {
  const writer = new WireWriter()
  for (const [name, value] of Object.entries(object)) {
    writer.present(1, new WireWriter().string(1, name).present(2, encodeValue(value)).finish())
  }
  return writer.finish()
}

function readObject(reader: WireReader, depth: number): JsonObject {
  if (depth === 0) throw new MalformedMessage('a struct is nested too deep')
  const object = Object.create(null) as Record<string, Json>
  while (reader.next()) {
    if (reader.field === 1) readMember(reader.message(), object, depth)
    else reader.skip()
  }
  return object
}

function readMember(reader: WireReader, object: Record<string, Json>, depth: number): void {
  let name = ''
  let value: Json | undefined
  while (reader.next()) {
    if (reader.field === 1) name = reader.string()
    else if (reader.field === 2) value = readValue(once(value, reader.message()), depth)
    else reader.skip()
  }
  if (value === undefined) throw new MalformedMessage('a member of a struct has no value')
  object[name] = value
}

/** A oneof: the last kind that is set counts. */
function readValue(reader: WireReader, depth: number): Json {
  let value: Json | undefined
  while (reader.next()) {
    if (reader.field === 1) value = readNull(reader.enum())
    else if (reader.field === 2) value = readNumber(reader.double())
    else if (reader.field === 3) value = reader.string()
    else if (reader.field === 4) value = reader.bool()
    else if (reader.field === 5) value = readObject(once(value, reader.message()), depth - 1)
    else if (reader.field === 6) value = readList(once(value, reader.message()), depth - 1)
    else reader.skip()
  }
  if (value === undefined) throw new MalformedMessage('a value of a struct has no kind')
  return value
}

function readList(reader: WireReader, depth: number): readonly Json[] {
  if (depth === 0) throw new MalformedMessage('a struct is nested too deep')
  const list: Json[] = []
  while (reader.next()) {
    if (reader.field === 1) list.push(readValue(reader.message(), depth))
    else reader.skip()
  }
  return list
}

function readNull(number: number): null {
  if (number !== 0) throw new MalformedMessage('a null of a struct is not 0')
  return null
}

function readNumber(value: number): number {
  if (!Number.isFinite(value)) throw new MalformedMessage('a number of a struct is not finite')
  return value
}

/** A message that may stand once: readers disagree on whether a second one replaces or extends the first, so two are refused. */
export function once(before: unknown, message: WireReader): WireReader {
  if (before !== undefined) throw new MalformedMessage('a message that may stand once stands twice')
  return message
}

function encodeValue(value: Json): Buffer {
  const writer = new WireWriter()
  if (value === null) return writer.small(1, 0).finish()
  if (typeof value === 'number') return writer.double(2, value).finish()
  if (typeof value === 'string') return writer.present(3, Buffer.from(value)).finish()
  if (typeof value === 'boolean') return writer.small(4, value ? 1 : 0).finish()
  if (isList(value)) return writer.present(6, encodeList(value)).finish()
  return writer.present(5, encodeStruct(value)).finish()
}

function encodeList(list: readonly Json[]): Buffer {
  const writer = new WireWriter()
  for (const each of list) writer.present(1, encodeValue(each))
  return writer.finish()
}

function isList(value: readonly Json[] | JsonObject): value is readonly Json[] {
  return Array.isArray(value)
}
