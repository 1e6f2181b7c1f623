import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { alternativeNames, basicConstraints, bothPurposes, keyUsage, name, signCertificate } from '../../src/demo/certificate.ts'
import { pem } from './x509.ts'

export interface TestCertificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export interface Minting {
  readonly names?: readonly string[]
  readonly uris?: readonly string[]
  /** Epoch ms; an hour from now by default. */
  readonly until?: number
  readonly ca?: boolean
  /** Who signs it; itself by default. */
  readonly issuer?: Minted
}

export interface Minted extends TestCertificate {
  readonly der: Buffer
  readonly subject: Uint8Array
}

/** A self-signed certificate for these DNS names, good for an hour: as much X.509 as a TLS server needs, made at test time. */
export function certificateFor(...names: readonly string[]): TestCertificate {
  // CA: true, so that the certificate can vouch for itself
  return mintCertificate({ names, ca: true })
}

/** A certificate with a P-256 key of its own. Without an issuer and `ca` nobody vouches for it, which is enough to be presented. */
export function mintCertificate({ names = [], uris = [], until = Date.now() + 3_600_000, ca = false, issuer }: Minting): Minted {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' })
  const subject = name('Countersign test', names[0] ?? randomBytes(4).toString('hex'))
  // one that vouches for itself signs data too
  const usage = ca ? [basicConstraints(true), keyUsage(0, 5)] : [basicConstraints(false), keyUsage(0), bothPurposes()]
  const named = names.length + uris.length === 0 ? [] : [alternativeNames({ uris, dns: names }, false)]
  const der = signCertificate(
    {
      serial: randomBytes(8),
      issuer: issuer?.subject ?? subject,
      subject,
      notBefore: Math.min(Date.now(), until) - 60_000,
      notAfter: until,
      publicKey,
      extensions: [...named, ...usage],
    },
    createPrivateKey(issuer?.key ?? key),
  )
  return { cert: pem(der), key, der, subject }
}
