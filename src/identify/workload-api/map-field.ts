import { WireReader, WireWriter } from '../../protobuf.ts'

/** Both directions of one message. */
export interface Codec<Message> {
  encode(message: Message): Buffer
  /** Throws `MalformedMessage`. Bytes in the result are views of the bytes handed in. */
  decode(bytes: Uint8Array): Message
}

/** A message without fields; those of later versions are passed over. */
export const emptyMessage: Codec<Readonly<Record<string, never>>> = {
  encode: () => Buffer.alloc(0),
  decode(bytes) {
    for (const reader = new WireReader(bytes); reader.next();) reader.skip()
    return {}
  },
}

export const noBytes: Uint8Array = Buffer.alloc(0)

/** One entry of a `map<string, bytes>` into `map`: an absent key or value is empty, and of two entries with one key the last counts. */
export function readBytesEntry(reader: WireReader, map: Map<string, Uint8Array>): void {
  let key = ''
  let value: Uint8Array = noBytes
  while (reader.next()) {
    if (reader.field === 1) key = reader.string()
    else if (reader.field === 2) value = reader.bytes()
    else reader.skip()
  }
  map.set(key, value)
}

/** One entry of a `map<string, string>` into `map`. */
export function readTextEntry(reader: WireReader, map: Map<string, string>): void {
  let key = ''
  let value = ''
  while (reader.next()) {
    if (reader.field === 1) key = reader.string()
    else if (reader.field === 2) value = reader.string()
    else reader.skip()
  }
  map.set(key, value)
}

/** The whole map as entries of the field. */
export function writeMap(writer: WireWriter, field: number, map: ReadonlyMap<string, Uint8Array | string>): void {
  for (const [key, value] of map) {
    const entry = new WireWriter().string(1, key)
    if (typeof value === 'string') entry.string(2, value)
    else entry.bytes(2, value)
    writer.present(field, entry.finish())
  }
}
