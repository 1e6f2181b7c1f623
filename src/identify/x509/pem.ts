/** PEM of certificates (RFC 7468 §5.1), in the order given. Takes DER. */
export function certificatesPem(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => `-----BEGIN CERTIFICATE-----\n${lines(der)}\n-----END CERTIFICATE-----\n`).join('')
}

function lines(der: Uint8Array): string {
  return (
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')
}
