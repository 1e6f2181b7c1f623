/** What a failure of undici or of the socket below it means for the call. */
import { Refusal, type Code } from '../refusal.ts'

/**
 * Takes what undici gave `onResponseError` before an answer began; a refusal passes. The error itself is not kept:
 * a parser error carries bytes of the answer, and those may hold anything.
 */
export function refusalOf(error: Error, dialled: string | null): Refusal {
  if (error instanceof Refusal) return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  const means = meaning(error, code)
  // before a connection stood nothing was sent: another try repeats no effect
  if (dialled === null && means === 'forward.unreachable')
    return new Refusal(means, { retry: 'later', detail: `${code} before a connection stood` })
  return new Refusal(means, { detail: `${code} ${dialled ?? 'before a connection stood'}` })
}

/** What OpenSSL, or Node after it, holds against the certificate of an upstream. */
const unproven: ReadonlySet<string> = new Set([
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_TLS_CERT_ALTNAME_FORMAT',
  'HOSTNAME_MISMATCH',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'CERT_SIGNATURE_FAILURE',
  'CERT_NOT_YET_VALID',
  'CERT_HAS_EXPIRED',
  'CERT_CHAIN_TOO_LONG',
  'CERT_REVOKED',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
])

function meaning(error: Error, code: string): Code {
  switch (code) {
    case 'UND_ERR_HEADERS_OVERFLOW':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
    case 'UND_ERR_RES_EXCEEDED_MAX_SIZE':
    case 'ERR_ASSERTION': // what undici asserts of an answer, such as a status below 100
      return 'forward.response-refused'
    case 'UND_ERR_SOCKET':
      // undici's words for an answer nobody asked for and for an upgrade nobody asked for.
      return error.message === 'bad response' || error.message === 'bad upgrade' ? 'forward.response-refused' : 'forward.unreachable'
    case 'UND_ERR_INVALID_ARG':
    case 'UND_ERR_NOT_SUPPORTED':
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
      return 'internal'
    default:
      if (unproven.has(code)) return 'forward.untrusted'
      return error.name === 'HTTPParserError' ? 'forward.response-refused' : 'forward.unreachable'
  }
}

export function timedOut(detail: string): Refusal {
  return new Refusal('forward.timeout', { detail })
}
