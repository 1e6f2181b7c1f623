import { InvalidSvid, verifyX509Svid } from '../../src/identify/x509/svid.ts'
import type { Invalidity } from '../../src/identify/x509/svid.ts'
import { now } from './x509.ts'
import type { Made } from './x509.ts'

/** `null` when the certificates are taken, else what is wrong with them; an error of any other kind is thrown on. */
export function verdict(chain: readonly Made[], authorities: readonly Made[], at = now): Invalidity | null {
  return whyOf(() => verifyX509Svid(ders(chain), ders(authorities), at))
}

export function whyOf(act: () => unknown): Invalidity | null {
  return invalid(act)?.why ?? null
}

export function invalid(act: () => unknown): InvalidSvid | null {
  try {
    act()
    return null
  } catch (error) {
    if (error instanceof InvalidSvid) return error
    throw error
  }
}

export function ders(certificates: readonly Made[]): Uint8Array[] {
  return certificates.map(({ der }) => der)
}
