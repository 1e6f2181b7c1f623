import { readBytesEntry, writeMap } from './map-field.ts'
import type { Codec } from './map-field.ts'
import { encodeStruct, once, readStruct } from './struct.ts'
import type { JsonObject } from './struct.ts'
import { WireReader, WireWriter } from '../../protobuf.ts'

/** The messages of the JWT-SVID profile (Workload API §6.1), as they are on the wire. */

export interface JwtSvidRequest {
  readonly audience: readonly string[]
  /** Empty: every identity of the workload. */
  readonly spiffeId: string
}

export interface JwtSvidMessage {
  readonly spiffeId: string
  readonly svid: string
  readonly hint: string
}

export interface JwtSvidResponse {
  readonly svids: readonly JwtSvidMessage[]
}

export interface JwtBundlesResponse {
  /** By SPIFFE ID of the trust domain; the bytes of a JWKS. */
  readonly bundles: ReadonlyMap<string, Uint8Array>
}

export interface ValidateJwtSvidRequest {
  readonly audience: string
  readonly svid: string
}

export interface ValidateJwtSvidResponse {
  readonly spiffeId: string
  /** Null when the field is not set. */
  readonly claims: JsonObject | null
}

export const jwtSvidRequest: Codec<JwtSvidRequest> = {
  encode({ audience, spiffeId }) {
    const writer = new WireWriter()
    for (const each of audience) writer.present(1, Buffer.from(each))
    return writer.string(2, spiffeId).finish()
  },
  decode(bytes) {
    const audience: string[] = []
    let spiffeId = ''
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) audience.push(reader.string())
      else if (reader.field === 2) spiffeId = reader.string()
      else reader.skip()
    }
    return { audience, spiffeId }
  },
}

export const jwtSvidResponse: Codec<JwtSvidResponse> = {
  encode({ svids }) {
    const writer = new WireWriter()
    for (const { spiffeId, svid, hint } of svids) {
      writer.present(1, new WireWriter().string(1, spiffeId).string(2, svid).string(3, hint).finish())
    }
    return writer.finish()
  },
  decode(bytes) {
    const svids: JwtSvidMessage[] = []
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) svids.push(decodeSvid(reader.message()))
      else reader.skip()
    }
    return { svids }
  },
}

export const jwtBundlesResponse: Codec<JwtBundlesResponse> = {
  encode({ bundles }) {
    const writer = new WireWriter()
    writeMap(writer, 1, bundles)
    return writer.finish()
  },
  decode(bytes) {
    const bundles = new Map<string, Uint8Array>()
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) readBytesEntry(reader.message(), bundles)
      else reader.skip()
    }
    return { bundles }
  },
}

export const validateJwtSvidRequest: Codec<ValidateJwtSvidRequest> = {
  encode: ({ audience, svid }) => new WireWriter().string(1, audience).string(2, svid).finish(),
  decode(bytes) {
    const request = { audience: '', svid: '' }
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) request.audience = reader.string()
      else if (reader.field === 2) request.svid = reader.string()
      else reader.skip()
    }
    return request
  },
}

export const validateJwtSvidResponse: Codec<ValidateJwtSvidResponse> = {
  encode({ spiffeId, claims }) {
    const writer = new WireWriter().string(1, spiffeId)
    if (claims !== null) writer.present(2, encodeStruct(claims))
    return writer.finish()
  },
  decode(bytes) {
    let spiffeId = ''
    let claims: JsonObject | undefined
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) spiffeId = reader.string()
      else if (reader.field === 2) claims = readStruct(once(claims, reader.message()))
      else reader.skip()
    }
    return { spiffeId, claims: claims ?? null }
  },
}

function decodeSvid(reader: WireReader): JwtSvidMessage {
  const svid = { spiffeId: '', svid: '', hint: '' }
  while (reader.next()) {
    if (reader.field === 1) svid.spiffeId = reader.string()
    else if (reader.field === 2) svid.svid = reader.string()
    else if (reader.field === 3) svid.hint = reader.string()
    else reader.skip()
  }
  return svid
}
