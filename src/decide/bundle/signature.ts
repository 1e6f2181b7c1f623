/** Signatures of bundles by the letter of OPA: one JWT that lists every file with its hash. */

import { createHash } from 'node:crypto'
import { BundleFault } from './fault.ts'
import { members, readTree } from './json-tree.ts'
import { isSigned, type Verification, type VerificationKey } from './key.ts'

export interface Signature {
  /** The key that verified it. */
  readonly keyId: string
  /** The claim `iat`, epoch ms. */
  readonly issued: number | null
}

/** A signature that holds, and the hashes it was made over. */
export interface VerifiedSignature extends Signature {
  readonly files: ReadonlyMap<string, FileHash>
}

export interface FileHash {
  readonly hash: string
  /** A name that OPA writes: `SHA-256`. */
  readonly algorithm: string
}

/** OPA's names of the hashes that are accepted, and Node's. MD5, SHA-1, SHA-224 and SHA-512-224 are too weak. */
const hashes: Readonly<Record<string, string>> = {
  'SHA-256': 'sha256',
  'SHA-384': 'sha384',
  'SHA-512': 'sha512',
  'SHA-512-256': 'sha512-256',
}

const mostBytes = 1024 * 1024

/**
 * Takes `.signatures.json` (undefined when the bundle has none), gives what its one JWT says once its signature and scope hold.
 * The key is the configured one, else `kid` of the header, else the claim `keyid`; the algorithm is the key's. Throws BundleFault.
 */
export function readSignature(bytes: Uint8Array | undefined, trust: Verification): VerifiedSignature {
  if (bytes === undefined) throw new BundleFault('the bundle is not signed: it has no .signatures.json')
  if (bytes.length > mostBytes) throw new BundleFault('.signatures.json is larger than 1 MiB')
  const { signatures, plugin = '' } = members(readTree(bytes, '.signatures.json'), '.signatures.json', ['signatures', 'plugin'])
  if (plugin !== '' && plugin !== '_default') throw new BundleFault('.signatures.json was made by a plugin that is not known here')
  if (!Array.isArray(signatures) || signatures.length !== 1) throw new BundleFault('.signatures.json does not hold exactly one JWT')
  const token = readToken(signatures[0])
  const key = keyOf(token, trust)
  if (token.header['alg'] !== key.algorithm) throw new BundleFault(`the signature is not ${key.algorithm}, which its key is for`)
  if (!isSigned(key, token.signed, token.signature)) throw new BundleFault('the signature of the bundle does not verify')
  const { scope = '', files = [] } = token.claims
  if (scope !== (trust.scope ?? key.scope ?? '')) throw new BundleFault('the scope of the signature is not the one that is asked for')
  return { keyId: key.id, issued: issuedOf(token.claims), files: readFileHashes(files) }
}

/** Throws BundleFault unless the files are exactly those that were signed. Takes their contents, of structured files the canonical text. */
export function checkFiles(signature: VerifiedSignature, contents: ReadonlyMap<string, Uint8Array>): void {
  for (const [path, content] of contents) {
    const signed = signature.files.get(path)
    if (signed === undefined) throw new BundleFault(`${path} is not among the files that were signed`)
    const hash = createHash(hashes[signed.algorithm] ?? '')
      .update(content)
      .digest('hex')
    if (hash !== signed.hash) throw new BundleFault(`${path} is not what was signed`)
  }
  const missing = [...signature.files.keys()].find((path) => !contents.has(path))
  if (missing !== undefined) throw new BundleFault(`${JSON.stringify(missing)} was signed and is not in the bundle`)
}

interface Token {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
  /** Both encoded parts as they came. */
  readonly signed: Uint8Array
  readonly signature: Uint8Array
}

const claimNames = ['files', 'scope', 'keyid', 'iat', 'iss'] as const

/** The compact form (RFC 7515 §7.1). Extensions of the header and times in the claims ask for what is not done here, so they are refused. */
function readToken(token: unknown): Token {
  if (typeof token !== 'string') throw new BundleFault('.signatures.json does not hold exactly one JWT')
  const parts = token.split('.')
  const [header = '', claims = '', signature = ''] = parts
  if (parts.length !== 3) throw new BundleFault('the signature is not a JWT of three parts')
  const read = {
    header: members(readTree(decode(header), 'the header of the signature'), 'the header of the signature', ['alg', 'kid']),
    claims: members(readTree(decode(claims), 'the payload of the signature'), 'the payload of the signature', claimNames),
    signed: Buffer.from(`${header}.${claims}`, 'latin1'),
    signature: decode(signature),
  }
  if (read.header['crit'] !== undefined) throw new BundleFault('the signature uses extensions that are not known here')
  if (read.claims['exp'] !== undefined || read.claims['nbf'] !== undefined) {
    throw new BundleFault('the signature says exp or nbf, which OPA does not keep: leave them out and set a maximum age')
  }
  return read
}

/** RFC 7515 §2: base64url without padding or white space, in its one spelling. */
function decode(part: string): Uint8Array {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.toString('base64url') !== part) throw new BundleFault('a part of the signature is not base64url')
  return bytes
}

function keyOf({ header, claims }: Token, trust: Verification): VerificationKey {
  const { kid = '' } = header
  const { keyid = '' } = claims
  if (typeof kid !== 'string' || typeof keyid !== 'string') throw new BundleFault('the key id of the signature is not a text')
  const id = [trust.keyId ?? '', kid, keyid].find((name) => name !== '')
  if (id === undefined) throw new BundleFault('the signature names no key: sign with a key id, or configure which key it is')
  const [key, ...more] = trust.keys.filter((one) => one.id === id)
  if (key === undefined || more.length > 0)
    throw new BundleFault(`the signature is by the key ${JSON.stringify(id.slice(0, 100))}, which is not configured`)
  return key
}

function issuedOf({ iat }: Token['claims']): number | null {
  if (iat === undefined) return null
  if (typeof iat !== 'number' || !Number.isSafeInteger(iat * 1000) || !Number.isSafeInteger(iat) || iat < 0) {
    throw new BundleFault('iat of the signature is not a whole number of seconds')
  }
  return iat * 1000
}

function readFileHashes(list: unknown): ReadonlyMap<string, FileHash> {
  if (!Array.isArray(list)) throw new BundleFault('files of the signature is not a list')
  const files = new Map<string, FileHash>()
  for (const entry of list) {
    const { name, hash, algorithm } = Object(entry) as Readonly<Record<string, unknown>>
    if (typeof name !== 'string' || typeof hash !== 'string') throw new BundleFault('a file of the signature has no name or no hash')
    if (typeof algorithm !== 'string' || !Object.hasOwn(hashes, algorithm)) {
      throw new BundleFault(`${JSON.stringify(name)} was signed with a hash that is not ${Object.keys(hashes).join(', ')}`)
    }
    if (files.has(name)) throw new BundleFault(`${JSON.stringify(name)} was signed twice`)
    files.set(name, { hash: hash.toLowerCase(), algorithm })
  }
  return files
}
