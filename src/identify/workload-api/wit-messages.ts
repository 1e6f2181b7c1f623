import { readTextEntry, writeMap } from './map-field.ts'
import type { Codec } from './map-field.ts'
import { WireReader, WireWriter } from '../../protobuf.ts'

/** The messages of the WIT-SVID profile (Workload API §7.1), as they are on the wire. */

export interface WitSvidRequest {
  /** Empty: every identity of the workload. */
  readonly spiffeId: string
}

export interface WitSvidMessage {
  readonly spiffeId: string
  readonly witSvid: string
  /** The private key as the text of a JWK. */
  readonly witSvidKey: string
  readonly hint: string
}

export interface WitSvidResponse {
  readonly svids: readonly WitSvidMessage[]
}

export interface WitBundlesResponse {
  /** By SPIFFE ID of the trust domain; the text of a JWKS. */
  readonly bundles: ReadonlyMap<string, string>
}

export const witSvidRequest: Codec<WitSvidRequest> = {
  encode: ({ spiffeId }) => new WireWriter().string(1, spiffeId).finish(),
  decode(bytes) {
    let spiffeId = ''
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) spiffeId = reader.string()
      else reader.skip()
    }
    return { spiffeId }
  },
}

export const witSvidResponse: Codec<WitSvidResponse> = {
  encode({ svids }) {
    const writer = new WireWriter()
    for (const { spiffeId, witSvid, witSvidKey, hint } of svids) {
      writer.present(1, new WireWriter().string(1, spiffeId).string(2, witSvid).string(3, witSvidKey).string(4, hint).finish())
    }
    return writer.finish()
  },
  decode(bytes) {
    const svids: WitSvidMessage[] = []
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) svids.push(decodeSvid(reader.message()))
      else reader.skip()
    }
    return { svids }
  },
}

export const witBundlesResponse: Codec<WitBundlesResponse> = {
  encode({ bundles }) {
    const writer = new WireWriter()
    writeMap(writer, 1, bundles)
    return writer.finish()
  },
  decode(bytes) {
    const bundles = new Map<string, string>()
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) readTextEntry(reader.message(), bundles)
      else reader.skip()
    }
    return { bundles }
  },
}

function decodeSvid(reader: WireReader): WitSvidMessage {
  const svid = { spiffeId: '', witSvid: '', witSvidKey: '', hint: '' }
  while (reader.next()) {
    if (reader.field === 1) svid.spiffeId = reader.string()
    else if (reader.field === 2) svid.witSvid = reader.string()
    else if (reader.field === 3) svid.witSvidKey = reader.string()
    else if (reader.field === 4) svid.hint = reader.string()
    else reader.skip()
  }
  return svid
}
