import { expect, test } from 'vitest'
import { anyTool, routeTo, Running } from '../support/running.ts'

const metric = async (running: Running): Promise<string[]> => {
  const text = await (await fetch(`http://127.0.0.1:${running.port('health')}/metrics`)).text()
  return text.split('\n').filter((line) => line.startsWith('countersign_standing_secrets{'))
}

test('the metric names every secret that stands and whether agents’ calls carry it, and forgets one that a reload took away', async () => {
  const routes = { mail: routeTo('https://mail.partner.example', 'mail', { credential: 'mail', tools: [anyTool('mail.any')] }) }
  const fixed = { type: 'static', value: { env: 'MAIL' }, unsafe_standing: true }
  const client = { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'CLIENT' } }
  const pay = { type: 'oauth', issuer: 'https://login.acme.example', client }
  const env = { MAIL: 'a-mail-key-that-stands', CLIENT: 'a-client-secret-that-stands' }
  await using running = await Running.start({ routes, providers: { mail: fixed, pay }, env })
  expect(await metric(running)).toEqual([
    'countersign_standing_secrets{place="credential.providers.mail.value",use="lent"} 1',
    'countersign_standing_secrets{place="credential.providers.pay.client.secret",use="own"} 1',
  ])
  await running.reload({ routes, providers: { mail: { type: 'jwt', audience: 'https://mail.partner.example' } }, env })
  expect(await metric(running)).toEqual([])
})
