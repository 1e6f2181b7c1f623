/** Who calls whom in a rehearsal: an agent that nobody else can be, one API, and the configuration that lets the one call the other. */

import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig, type Loaded } from '../config/load.ts'

/** Of RFC 6761: nobody has this name. */
const domain = 'rehearsal.invalid'
const agent = `spiffe://${domain}/agent`
const audience = `spiffe://${domain}/countersign`
const seconds = 60

export interface Company {
  readonly loaded: Loaded
  /** A JWT-SVID of the agent, another each time. */
  readonly svid: () => string
}

/**
 * Makes the configuration of a rehearsal in `folder`, which nobody else can read. Its trust domain has one key, made here, that is
 * written nowhere and gone with the process. `upstream`: base URL. Throws ConfigFault for settings that do not fit the schema.
 */
export function foundCompany(folder: string, upstream: string): Company {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: 'rehearsal', use: 'jwt-svid' }]
  writeFileSync(join(folder, 'bundle.json'), JSON.stringify({ keys }), { mode: 0o600 })
  let made = 0
  return {
    loaded: parseConfig(JSON.stringify(settings(upstream)), join(folder, 'rehearsal.json'), {}),
    svid: () => tokenOf(privateKey, { sub: agent, aud: audience, jti: String(++made) }),
  }
}

/** Compact form of a JWS (RFC 7515 §7.1), ES256. */
function tokenOf(key: KeyObject, claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const signed = `${part({ alg: 'ES256', typ: 'JWT', kid: 'rehearsal' })}.${part({ ...claims, iat: now, exp: now + seconds })}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

function settings(upstream: string): object {
  const owners = { business: 'nobody@rehearsal.invalid', security: 'nobody@rehearsal.invalid', incident: 'nobody@rehearsal.invalid' }
  const tool = { risk: 'low', egress: 'internal', resource: 'item:{id}' }
  return {
    version: 1,
    listen: { agent: [{ at: '127.0.0.1:0' }], health: { at: '127.0.0.1:0' }, limits: { connections: 32 } },
    identify: { audience, sources: [{ type: 'jwt-svid', trust_domain: domain, keys: { file: 'bundle.json' } }] },
    task: { state: { path: 'state.db' }, agents: [{ id: agent, purpose: 'rehearse', owners, autonomy: 'bounded', intent }] },
    credential: { providers: { api: { type: 'jwt', audience: 'https://rehearsal.invalid', ttl: '60s' } } },
    forward: {
      routes: {
        api: {
          at: '/api',
          to: upstream,
          reach: 'private',
          credential: 'api',
          tools: [
            { ...tool, name: 'items.read', match: 'GET /items/{id}', effect: 'read', data: ['internal'] },
            { ...tool, name: 'items.write', match: 'POST /items/{id}', effect: 'write', accepts: ['internal'], args: 'json' },
          ],
        },
      },
    },
    record: { ledger: { path: 'ledger', quota: '64MiB' } },
  }
}

const intent = {
  tools: ['items.read', 'items.write'],
  resources: ['item:*'],
  data: ['public', 'internal'],
  egress: ['internal'],
  budget: { calls: 1_000_000 },
  ttl: '1h',
}
