import { noBytes, readBytesEntry, writeMap } from './map-field.ts'
import type { Codec } from './map-field.ts'
import { WireReader, WireWriter } from '../../protobuf.ts'

/** The messages of the X.509-SVID profile (Workload API §5.1), as they are on the wire. */

export interface X509SvidMessage {
  readonly spiffeId: string
  /** Concatenated DER, leaf first. */
  readonly x509Svid: Uint8Array
  /** PKCS#8 DER. */
  readonly x509SvidKey: Uint8Array
  /** Concatenated DER. */
  readonly bundle: Uint8Array
  readonly hint: string
}

export interface X509SvidResponse {
  readonly svids: readonly X509SvidMessage[]
  readonly crl: readonly Uint8Array[]
  /** By SPIFFE ID of the trust domain; concatenated DER. */
  readonly federatedBundles: ReadonlyMap<string, Uint8Array>
}

export interface X509BundlesResponse {
  readonly crl: readonly Uint8Array[]
  readonly bundles: ReadonlyMap<string, Uint8Array>
}

export const x509SvidResponse: Codec<X509SvidResponse> = {
  encode({ svids, crl, federatedBundles }) {
    const writer = new WireWriter()
    for (const svid of svids) writer.present(1, encodeSvid(svid))
    for (const list of crl) writer.present(2, list)
    writeMap(writer, 3, federatedBundles)
    return writer.finish()
  },
  decode(bytes) {
    const svids: X509SvidMessage[] = []
    const crl: Uint8Array[] = []
    const federatedBundles = new Map<string, Uint8Array>()
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) svids.push(decodeSvid(reader.message()))
      else if (reader.field === 2) crl.push(reader.bytes())
      else if (reader.field === 3) readBytesEntry(reader.message(), federatedBundles)
      else reader.skip()
    }
    return { svids, crl, federatedBundles }
  },
}

export const x509BundlesResponse: Codec<X509BundlesResponse> = {
  encode({ crl, bundles }) {
    const writer = new WireWriter()
    for (const list of crl) writer.present(1, list)
    writeMap(writer, 2, bundles)
    return writer.finish()
  },
  decode(bytes) {
    const crl: Uint8Array[] = []
    const bundles = new Map<string, Uint8Array>()
    for (const reader = new WireReader(bytes); reader.next();) {
      if (reader.field === 1) crl.push(reader.bytes())
      else if (reader.field === 2) readBytesEntry(reader.message(), bundles)
      else reader.skip()
    }
    return { crl, bundles }
  },
}

function encodeSvid({ spiffeId, x509Svid, x509SvidKey, bundle, hint }: X509SvidMessage): Buffer {
  return new WireWriter().string(1, spiffeId).bytes(2, x509Svid).bytes(3, x509SvidKey).bytes(4, bundle).string(5, hint).finish()
}

function decodeSvid(reader: WireReader): X509SvidMessage {
  const svid = { spiffeId: '', x509Svid: noBytes, x509SvidKey: noBytes, bundle: noBytes, hint: '' }
  while (reader.next()) {
    if (reader.field === 1) svid.spiffeId = reader.string()
    else if (reader.field === 2) svid.x509Svid = reader.bytes()
    else if (reader.field === 3) svid.x509SvidKey = reader.bytes()
    else if (reader.field === 4) svid.bundle = reader.bytes()
    else if (reader.field === 5) svid.hint = reader.string()
    else reader.skip()
  }
  return svid
}
