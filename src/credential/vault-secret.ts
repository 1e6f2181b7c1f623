/** What the token of a task is used for: reading the one secret that is lent. */
import { Secret } from '../secret.ts'
import type { Issued } from './credential.ts'
import { failed } from './ask-issuer.ts'
import { objectOf, type VaultApi } from './vault-api.ts'
import type { VaultSecret } from './vault-config.ts'
import { certificateEnd, certificateExcess } from './vault-judge.ts'

/** A secret as it was read. */
export type Read = Pick<Issued, 'secret' | 'user' | 'parts' | 'excess' | 'revocation'> & {
  /** Its lease; null: it has none. */
  readonly lease: string | null
  /** Epoch ms at which it ends by itself; infinite when that is not told. */
  readonly expires: number
}

/** How it is to be read. */
export interface Reading {
  readonly token: Secret
  /** Whole seconds it should live. */
  readonly ttl: number
  /** Epoch ms, surplus counted in: what nothing takes back must end by then. */
  readonly end: number
  readonly clock: () => number
}

/** Reads it with the token of the task. Rejects with `credential.unavailable`. */
export function readSecret(api: VaultApi, from: VaultSecret, reading: Reading, signal: AbortSignal): Promise<Read> {
  if ('database' in from) return readDatabase(api, from.database, reading, signal)
  if ('kv' in from) return readKv(api, from.kv, reading, signal)
  if ('pki' in from) return readCertificate(api, from.pki, reading, signal)
  const read: Read = { secret: reading.token, excess: null, revocation: 'issuer', lease: null, expires: Number.POSITIVE_INFINITY }
  return Promise.resolve(read)
}

type Kind<Name extends string> = Extract<VaultSecret, Record<Name, unknown>>[Name & keyof Extract<VaultSecret, Record<Name, unknown>>]

async function readDatabase(
  api: VaultApi,
  { mount, role, template }: Kind<'database'>,
  { token, clock }: Reading,
  signal: AbortSignal,
): Promise<Read> {
  const what = 'dynamic secret'
  const json = await api.need({ method: 'GET', path: `${mount}/creds/${role}`, token, what }, signal)
  const { username: user, password } = objectOf(json['data'])
  const { lease_id: lease, lease_duration: life } = json
  if (typeof user !== 'string' || user === '' || typeof password !== 'string' || password === '') throw odd(what)
  const text =
    template === undefined ? password : template.replace(/\{(user|password)\}/g, (_all, name) => (name === 'user' ? user : password))
  const leased = typeof lease === 'string' && lease !== '' && typeof life === 'number' && life > 0
  return {
    secret: new Secret(text),
    user,
    ...(template === undefined ? {} : { parts: { password: new Secret(password) } }),
    lease: typeof lease === 'string' && lease !== '' ? lease : null,
    expires: leased ? clock() + life * 1000 : Number.POSITIVE_INFINITY,
    revocation: 'issuer',
    excess: leased ? null : 'it has no lease, so that nothing takes it back',
  }
}

async function readKv(
  api: VaultApi,
  { mount, path, field, version }: Kind<'kv'>,
  { token, end }: Reading,
  signal: AbortSignal,
): Promise<Read> {
  const what = 'secret of kv'
  const below = version === 2 ? `${mount}/data/${path}` : `${mount}/${path}`
  const { data } = await api.need({ method: 'GET', path: below, token, what }, signal)
  const fields = version === 2 ? objectOf(objectOf(data)['data']) : objectOf(data)
  const text = fields[field]
  if (typeof text !== 'string' || text === '') throw failed(`${what}: it has no such field, or no text in it`, 200, '', true)
  return { secret: new Secret(text), lease: null, expires: end, revocation: 'discard', excess: null }
}

async function readCertificate(api: VaultApi, asked: Kind<'pki'>, reading: Reading, signal: AbortSignal): Promise<Read> {
  const what = 'certificate'
  const { mount, role, common_name, alt_names, uri_sans } = asked
  const body = { common_name, alt_names: alt_names.join(','), uri_sans: uri_sans.join(','), ttl: `${reading.ttl}s`, format: 'pem' }
  const json = await api.need({ method: 'POST', path: `${mount}/issue/${role}`, token: reading.token, body, what }, signal)
  const { certificate, private_key: key, ca_chain: chain, issuing_ca: issuer } = objectOf(json['data'])
  if (typeof certificate !== 'string' || typeof key !== 'string') throw odd(what)
  const lease = typeof json['lease_id'] === 'string' && json['lease_id'] !== '' ? json['lease_id'] : null
  const above = Array.isArray(chain) ? chain : [issuer]
  const end = lease === null ? reading.end : null
  const names = { commonName: common_name, altNames: alt_names, uris: uri_sans, end }
  try {
    return {
      secret: new Secret(key),
      parts: { certificate: new Secret([certificate, ...above.filter((one) => typeof one === 'string')].map(withEnd).join('')) },
      lease,
      expires: certificateEnd(certificate),
      revocation: lease === null ? 'expiry' : 'issuer',
      excess: certificateExcess(names, certificate, key),
    }
  } catch {
    throw odd(what)
  }
}

function withEnd(pem: string): string {
  return `${pem.trim()}\n`
}

/** Something came, and who knows what: it is taken back with the token that got it. */
function odd(what: string): Error {
  return failed(`${what}: the answer is not the one that was asked for`, 200, '', false)
}
