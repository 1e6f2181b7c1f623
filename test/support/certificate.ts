import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { alternativeNames, basicConstraints, name, signCertificate } from '../../src/demo/certificate.ts'
import { pem } from './x509.ts'

export interface TestCertificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

/** A self-signed certificate for these DNS names, good for an hour: as much X.509 as a TLS server needs, made at test time. */
export function certificateFor(...names: readonly string[]): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = name('Countersign test', names[0])
  // CA: true, so that the certificate can vouch for itself
  const extensions = [alternativeNames({ uris: [], dns: names }, false), basicConstraints(true)]
  const validity = { notBefore: Date.now() - 60_000, notAfter: Date.now() + 3_600_000 }
  const cert = signCertificate({ serial: randomBytes(8), issuer: subject, subject, ...validity, publicKey, extensions }, privateKey)
  return { cert: pem(cert), key: privateKey.export({ format: 'pem', type: 'pkcs8' }) }
}
