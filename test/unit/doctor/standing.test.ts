import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { standingSecrets } from '../../../src/config/standing.ts'
import { standingChecks } from '../../../src/doctor/standing.ts'
import { wrongs } from '../../support/doctor-rig.ts'
import { configText, freeAgent, routeTo, type Settings } from '../../support/running.ts'

const jwt = { type: 'jwt', audience: 'https://crm.acme.example' }
const fixed = { type: 'static', value: { env: 'MAIL_KEY' }, unsafe_standing: true }
const client = { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'CLIENT' } }
const oauth = { type: 'oauth', issuer: 'https://login.acme.example', client }

function configOf(providers: Readonly<Record<string, Settings>>, settings: Readonly<Record<string, Settings>> = {}) {
  const to = (name: string): Settings => routeTo(`https://${name}.acme.example`, name, { credential: 'crm' })
  const text = configText({ agents: [freeAgent()], routes: { crm: to('crm'), mail: to('mail') }, providers, settings })
  return parseConfig(text, 'countersign.yaml', {}).config
}

describe('standing secrets', () => {
  test('of a configuration without any are none, and doctor says so', () => {
    const [check, ...rest] = standingChecks(configOf({ crm: jwt }))
    expect(rest).toEqual([])
    expect(check).toMatchObject({ severity: 'ok', subject: 'standing secrets' })
  })

  test('that are lent are named with the routes that use them and what would replace them', () => {
    const config = configOf({ crm: fixed })
    expect(standingSecrets(config)).toEqual([
      {
        place: 'credential.providers.crm.value',
        what: expect.stringContaining('lent'),
        routes: ['crm', 'mail'],
        instead: expect.stringContaining('oauth, vault, jwt'),
        lent: true,
      },
    ])
    expect(wrongs(standingChecks(config))).toEqual(['warning CS2801 credential.providers.crm.value'])
    expect(standingChecks(config)[0]?.seen).toContain('used by crm, mail')
  })

  test('that no route uses are named all the same', () => {
    expect(standingChecks(configOf({ crm: jwt, mail: fixed }))[0]?.seen).toContain('which no route uses')
  })

  test('by which Countersign proves itself are notes: no call carries them', () => {
    expect(wrongs(standingChecks(configOf({ crm: oauth })))).toEqual(['note CS2802 credential.providers.crm.client.secret'])
  })

  test('are gone where a key takes their place', () => {
    const signed = { ...oauth, client: { id: 'countersign', authenticate: 'private_key_jwt' } }
    expect(standingSecrets(configOf({ crm: signed }))).toEqual([])
  })

  test('by which record sinks prove themselves are named', () => {
    const tls = { cert: { file: 'a.pem' }, key: { file: 'a.key' } }
    const sink = { url: 'https://siem.acme.example', token: { env: 'T' }, headers: { 'X-Key': { env: 'K' } }, tls }
    const sinks = [{ type: 'stdout' }, { type: 'opa', ...sink }, { type: 'webhook', url: sink.url, secret: { env: 'S' } }]
    expect(wrongs(standingChecks(configOf({ crm: jwt }, { record: { sinks } })))).toEqual([
      'note CS2802 record.sinks[1].token',
      'note CS2802 record.sinks[1].headers.X-Key',
      'note CS2802 record.sinks[1].tls.key',
      'note CS2802 record.sinks[2].secret',
    ])
  })

  test('of introspection and of notices are named too', () => {
    const introspected = { ...jwt, introspect: { secret: { env: 'CRM' } } }
    const webhook = { type: 'webhook', url: 'https://hooks.acme.example/x', secret: { env: 'HOOK' } }
    const config = configOf({ crm: introspected }, { approve: { channels: [webhook] } })
    const places = standingSecrets(config).map(({ place }) => place)
    expect(places).toEqual(['approve.channels[0].secret', 'credential.providers.crm.introspect.secret'])
  })
})
