/** DSSE v1 envelopes with one Ed25519 signature, around canonical JSON. */
import { isRecord } from '../author/json-path.ts'
import { fromBase64, type VerifierKey } from '../record/note.ts'
import { canonicalText, readCanonical } from './canonical.ts'

export const payloadType = 'application/vnd.countersign.evidence+json'

/** The ledger's own key, as far as evidence needs it. */
export interface EvidenceSigner {
  /** `name+hash+base64`. */
  readonly verifierKey: string
  /** Raw Ed25519 over these bytes. */
  readonly sign: (bytes: Uint8Array) => Uint8Array
}

export interface Envelope {
  readonly payload: Buffer
  /** Lower-case hex. */
  readonly keyId: string
  readonly signature: Buffer
}

/** The bytes that are signed: DSSE's pre-authentication encoding. */
export function preAuthentication(type: string, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `), body])
}

/** Seals a value: gives the envelope's text, canonical JSON too. */
export function seal(value: unknown, keyId: string, signer: EvidenceSigner): string {
  const body = Buffer.from(canonicalText(value))
  const sig = Buffer.from(signer.sign(preAuthentication(payloadType, body))).toString('base64')
  return canonicalText({ payload: body.toString('base64'), payloadType, signatures: [{ keyid: keyId, sig }] })
}

/** Takes an envelope apart, its signature unverified; null when it is none of ours, in exactly this form. */
export function readEnvelope(bytes: Uint8Array): Envelope | null {
  const envelope = readCanonical(bytes)
  if (!isRecord(envelope) || Object.keys(envelope).length !== 3 || envelope['payloadType'] !== payloadType) return null
  const { payload, signatures } = envelope
  if (!Array.isArray(signatures) || signatures.length !== 1) return null
  const [one] = signatures as readonly unknown[]
  if (!isRecord(one) || Object.keys(one).length !== 2) return null
  const { keyid, sig } = one
  const [body, signature] = [base64(payload), base64(sig)]
  if (body === null || signature?.length !== 64 || typeof keyid !== 'string' || !/^[0-9a-f]{8}$/.test(keyid)) return null
  return { payload: body, keyId: keyid, signature }
}

/** Whether this key made the signature. */
export function isSignedBy({ payload, keyId, signature }: Envelope, key: VerifierKey): boolean {
  return keyId === key.id && key.verifies(preAuthentication(payloadType, payload), signature)
}

/** Bytes of standard base64 with padding; null for anything else. */
export function base64(text: unknown): Buffer | null {
  return typeof text === 'string' ? fromBase64(text) : null
}
