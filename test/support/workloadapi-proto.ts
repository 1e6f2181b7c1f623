import protobuf from 'protobufjs'
import type { Type } from 'protobufjs'

/** The messages of the Workload API in the words of their wire format, for an independent codec to hold ours against. */
const text = `
syntax = "proto3";
message X509SVIDResponse { repeated X509SVID svids = 1; repeated bytes crl = 2; map<string, bytes> federated_bundles = 3; }
message X509SVID { string spiffe_id = 1; bytes x509_svid = 2; bytes x509_svid_key = 3; bytes bundle = 4; string hint = 5; }
message X509BundlesResponse { repeated bytes crl = 1; map<string, bytes> bundles = 2; }
message JWTSVIDRequest { repeated string audience = 1; string spiffe_id = 2; }
message JWTSVIDResponse { repeated JWTSVID svids = 1; }
message JWTSVID { string spiffe_id = 1; string svid = 2; string hint = 3; }
message JWTBundlesResponse { map<string, bytes> bundles = 1; }
message ValidateJWTSVIDRequest { string audience = 1; string svid = 2; }
message ValidateJWTSVIDResponse { string spiffe_id = 1; Struct claims = 2; }
message WITSVIDRequest { string spiffe_id = 1; }
message WITSVIDResponse { repeated WITSVID svids = 1; }
message WITSVID { string spiffe_id = 1; string wit_svid = 2; string wit_svid_key = 3; string hint = 4; }
message WITBundlesResponse { map<string, string> bundles = 1; }
message Struct { map<string, Value> fields = 1; }
message Value {
  oneof kind { Null null_value = 1; double number_value = 2; string string_value = 3; bool bool_value = 4; Struct struct_value = 5; ListValue list_value = 6; }
}
enum Null { NULL_VALUE = 0; }
message ListValue { repeated Value values = 1; }
`

const { root } = protobuf.parse(text, { keepCase: true })

/** The message of that name; its `encode` and `decode` are protobufjs's own. */
export function oracle(name: string): Type {
  return root.lookupType(name)
}

/** Bytes of a message, made by protobufjs. */
export function oracleBytes(name: string, value: object): Buffer {
  const type = oracle(name)
  return Buffer.from(type.encode(type.fromObject(value)).finish())
}

/** A message as plain members (bytes as base64), read by protobufjs. */
export function oracleRead(name: string, bytes: Uint8Array): Record<string, unknown> {
  const type = oracle(name)
  return type.toObject(type.decode(bytes), { defaults: true, arrays: true, objects: true, bytes: String })
}

/** JSON as the members of a `google.protobuf.Value`. */
export function oracleValue(value: unknown): object {
  if (value === null) return { null_value: 0 }
  if (typeof value === 'number') return { number_value: value }
  if (typeof value === 'string') return { string_value: value }
  if (typeof value === 'boolean') return { bool_value: value }
  if (Array.isArray(value)) return { list_value: { values: value.map(oracleValue) } }
  return { struct_value: oracleStruct(value as object) }
}

export function oracleStruct(object: object): object {
  return { fields: Object.fromEntries(Object.entries(object).map(([name, value]) => [name, oracleValue(value)])) }
}
