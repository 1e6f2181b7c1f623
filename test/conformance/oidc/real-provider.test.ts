import { afterEach, expect, test } from 'vitest'
import { makeIdentify } from '../../../src/identify/identify.ts'
import { openSource, SourceConfig } from '../../../src/identify/registry.ts'
import { clientSecret, jwtApi, startAuthorizationServer } from '../../support/authorization-server.ts'
import { bearer, identifyServices, refusalOf } from '../../support/identity-rig.ts'
import type { Jwk } from '../../support/issuer.ts'
import { Opened } from '../../support/oidc-rig.ts'

/** The real oidc-provider as issuer, over its own discovery and keys: nothing here was made to fit. */
const opened = new Opened()
afterEach(() => opened.close())

async function accessToken(issuer: string, resource: string): Promise<string> {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`basic:${encodeURIComponent(clientSecret)}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'refunds:read', resource }),
  })
  return ((await response.json()) as { readonly access_token: string }).access_token
}

async function identifying(change: Jwk = {}) {
  const server = opened.keep(await startAuthorizationServer({ keys: { keys: [] } }))
  const config = {
    type: 'oidc',
    issuer: server.issuer,
    audience: jwtApi,
    typ: 'at+jwt',
    id: 'spiffe://acme.example/oauth/{client_id}',
    ...change,
  }
  const source = opened.keep(openSource(SourceConfig.parse(config), identifyServices()))
  return { server, identify: makeIdentify({ sources: [source], clock: Date.now }) }
}

test('[OIDC Discovery §4; RFC 9068 §4] an access token of a real issuer proves its client, through its own metadata and keys', async () => {
  const { server, identify } = await identifying({ claims: ['scope'] })
  const token = await accessToken(server.issuer, jwtApi)
  expect(await identify(bearer(token))).toMatchObject({
    id: 'spiffe://acme.example/oauth/basic',
    method: 'oidc',
    issuer: server.issuer,
    claims: { scope: 'refunds:read' },
  })
})

test('[RFC 8725 §3.9; RFC 8725 §3.11] a token of a real issuer for another audience, or of another type, is refused', async () => {
  const other = await identifying({ audience: 'countersign' })
  expect(await refusalOf(async () => other.identify(bearer(await accessToken(other.server.issuer, jwtApi))))).toMatchObject({
    reasons: ['the token is for another audience'],
  })
  const typed = await identifying({ typ: 'JWT' })
  expect(await refusalOf(async () => typed.identify(bearer(await accessToken(typed.server.issuer, jwtApi))))).toMatchObject({
    reasons: ['the token is not a well-formed JWT'],
  })
})
