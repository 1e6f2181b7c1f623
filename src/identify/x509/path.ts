/** Finds a path from a leaf to an authority and validates it (RFC 5280 §6.1, X509-SVID §5.1). */
import type { Certificate } from './certificate.ts'
import { constraintsFault } from './constraints.ts'
import { signerFault, validityFault } from './rules.ts'
import type { Fault } from './rules.ts'
import { isSignedBy } from './signatures.ts'

/** What a path may be built from. */
export interface Material {
  /** What was presented besides the leaf, in any order; what does not help is not looked at. */
  readonly between: readonly Certificate[]
  /** Fit ones alone (`signerFault`). */
  readonly authorities: readonly Certificate[]
  /** Epoch ms. */
  readonly now: number
}

/** Leaf first, authority last. */
export type Path = readonly Certificate[]

/** Issuers tried in one search, and signatures looked at: more than an honest chain needs, and a bound for certificates that all seem to sign each other. */
const mostSteps = 64

/**
 * Gives a valid path, or why there is none: the first thing wrong with a certificate that would have fit. Whoever can shake hands presents
 * what he likes, so what no authority signed, itself or by way of others, is left aside before it can cost work.
 */
export function findPath(leaf: Certificate, material: Material): Path | Fault {
  const signed: Signed = new Map()
  const search: Search = { ...material, between: vouchedFor(material, signed), steps: 0, fault: null, signed }
  const path = climb([leaf], search) ?? search.fault
  if (path !== null) return path
  return [...signed.values()].includes(false) ? unsigned : { why: 'chain', detail: 'no authority of its trust domain signed it' }
}

const unsigned: Fault = { why: 'chain', detail: 'the signature does not verify with the key of its issuer' }

/** Signatures that were looked at, by the thumbprints of both sides. */
type Signed = Map<string, boolean>

/** The state of one search, written by `climb` alone. */
interface Search extends Material {
  steps: number
  fault: Fault | null
  readonly signed: Signed
}

/** Downwards from the authorities, so that only keys of genuine certificates verify anything. In the order of `between`. */
function vouchedFor({ between, authorities }: Material, signed: Signed): readonly Certificate[] {
  const vouched = new Set<Certificate>()
  let above: readonly Certificate[] = authorities
  while (above.length > 0) {
    const signers = above
    above = between.filter(
      (each) =>
        !vouched.has(each) &&
        signers.some((signer) => mayHaveIssued(signer, each) && signed.size < mostSteps && isSigned(each, signer, signed)),
    )
    for (const each of above) vouched.add(each)
  }
  return between.filter((each) => vouched.has(each))
}

/** Goes on from the last certificate of `path`: to an authority if one signed it, else by way of the presented ones. */
function climb(path: Path, search: Search): Path | null {
  for (const authority of search.authorities) {
    if (follows(authority, path, search)) return [...path, authority]
  }
  for (const next of search.between) {
    if (path.some(({ thumbprint }) => thumbprint === next.thumbprint) || !follows(next, path, search)) continue
    const whole = climb([...path, next], search)
    if (whole !== null) return whole
  }
  return null
}

/** True when `signer` issued the last certificate of `path` and may stand above all of it. */
function follows(signer: Certificate, path: Path, search: Search): boolean {
  const child = path.at(-1)
  if (child === undefined || !mayHaveIssued(signer, child)) return false
  if (++search.steps > mostSteps) {
    search.fault = { why: 'chain', detail: 'it has too many possible issuers' }
    return false
  }
  const fault =
    signerFault(signer) ??
    validityFault(signer, search.now) ??
    pathLengthFault(signer, path) ??
    namesFault(signer, path) ??
    (isSigned(child, signer, search.signed) ? null : unsigned)
  if (fault === null) return true
  search.fault ??= fault
  return false
}

/** RFC 5280 §6.1.3(a)(4); key ids only tell apart issuers of one name, such as before and after a rotation (§4.2.1.1). */
function mayHaveIssued(signer: Certificate, child: Certificate): boolean {
  if (signer.subject !== child.issuer) return false
  const { authorityKeyId } = child.extensions
  const { subjectKeyId } = signer.extensions
  return authorityKeyId === null || subjectKeyId === null || authorityKeyId === subjectKeyId
}

/** §4.2.1.9: how many certificates may stand between this CA and the leaf; those issued to oneself do not count. */
function pathLengthFault(signer: Certificate, path: Path): Fault | null {
  const { pathLength } = signer.extensions
  const between = path.slice(1).filter((each) => !isSelfIssued(each)).length
  return pathLength === null || between <= pathLength
    ? null
    : { why: 'constraints', detail: 'more CAs follow than the pathLenConstraint of one allows' }
}

/** §6.1.3(b), (c): every certificate below, but CAs issued to themselves. */
function namesFault(signer: Certificate, path: Path): Fault | null {
  for (const [at, each] of path.entries()) {
    const fault = at > 0 && isSelfIssued(each) ? null : constraintsFault(signer, each)
    if (fault !== null) return fault
  }
  return null
}

function isSelfIssued({ issuer, subject }: Certificate): boolean {
  return issuer === subject
}

function isSigned(child: Certificate, signer: Certificate, signed: Signed): boolean {
  const pair = `${child.thumbprint} ${signer.thumbprint}`
  const known = signed.get(pair) ?? (signer.publicKey !== null && isSignedBy(signer.publicKey, child))
  signed.set(pair, known)
  return known
}
