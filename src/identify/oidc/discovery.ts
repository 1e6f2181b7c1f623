import { isKeyUrl, isLoopback } from '../keys/key-document.ts'
import type { KeyDocument } from '../keys/key-document.ts'
import { KeyFault } from '../keys/key-report.ts'
import { fetchTime } from '../keys/request-text.ts'
import { member, parseStrictJson } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'
import type { Endpoint } from './endpoint.ts'

/**
 * The keys of an issuer, found by OpenID Connect Discovery: at every reading its metadata first, then the JWKS that it names, within 5 s
 * for both. The text is that of the JWKS; nothing of the metadata is kept, so an issuer may move its keys.
 */
export function discoveredKeys(issuer: string, endpoint: Endpoint): KeyDocument {
  const place = metadataUrl(issuer)
  return {
    place,
    readNow: () => null,
    async read(signal) {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(fetchTime)])
      const metadata = await get(endpoint, place, limited, true)
      const keys = keysUrl(metadata, issuer)
      // a token of ours goes where the issuer is, or where only its CA can vouch for the server
      return get(endpoint, keys, limited, endpoint.pinned || new URL(keys).origin === new URL(issuer).origin)
    },
  }
}

/** The keys of an issuer at a URL that the configuration names. */
export function keysAt(url: string, endpoint: Endpoint): KeyDocument {
  return { place: url, readNow: () => null, read: (signal) => get(endpoint, url, signal, true) }
}

/** OpenID Connect Discovery §4: a terminating slash is removed before the path is appended. */
function metadataUrl(issuer: string): string {
  return `${issuer.endsWith('/') ? issuer.slice(0, -1) : issuer}/.well-known/openid-configuration`
}

async function get(endpoint: Endpoint, url: string, signal: AbortSignal, authorize: boolean): Promise<string> {
  const { status, text } = await endpoint.request(url, {}, signal, authorize)
  if (status !== 200) throw new KeyFault('status', `${url} answered ${status}`)
  return text
}

/** OpenID Connect Discovery §4.3: the metadata is of this issuer and no other, compared exactly; §3: it names the keys. */
function keysUrl(text: string, issuer: string): string {
  const metadata = readMetadata(text)
  if (member(metadata, 'issuer') !== issuer) throw new KeyFault('malformed', 'the metadata is of another issuer')
  const url = member(metadata, 'jwks_uri')
  if (typeof url !== 'string' || !isKeyUrl(url)) throw new KeyFault('malformed', 'the metadata names no https URL for keys')
  // an issuer out there must not make us read what listens on this machine
  if (leadsHere(new URL(url).hostname) && !isLoopback(new URL(issuer).hostname))
    throw new KeyFault('malformed', 'the metadata puts the keys on this machine')
  return url
}

/** As URL spells hosts, which is in lower case and without the short forms of IPv4. What a name resolves to is not looked at. */
function leadsHere(host: string): boolean {
  const name = host.replace(/\.$/, '')
  return isLoopback(name) || name.endsWith('.localhost') || name === '0.0.0.0' || name === '[::]' || name.startsWith('[::ffff:7f')
}

function readMetadata(text: string): Members {
  try {
    return parseStrictJson(text)
  } catch (error) {
    throw new KeyFault('malformed', 'the metadata is not strict JSON', error)
  }
}
