import { Storage } from '@google-cloud/storage'
import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import { CloudStorage } from '../support/cloud-storage.ts'
import { GoogleCloud, ownAudience, pool, serviceAccount } from '../support/google-cloud.ts'
import { agentId, routeTo, Running, type Settings } from '../support/running.ts'

const tools: Settings[] = [
  { name: 'gcs.object.read', match: 'GET /storage/v1/b/{bucket}/o/{object}', effect: 'read', risk: 'low', egress: 'internal' },
  { name: 'gcs.object.list', match: 'GET /storage/v1/b/{bucket}/o', effect: 'read', risk: 'low', egress: 'internal' },
  { name: 'gcs.upload.begin', match: 'POST /upload/storage/v1/b/{bucket}/o', effect: 'write', risk: 'low', egress: 'internal' },
  { name: 'gcs.upload.send', match: 'PUT /upload/storage/v1/b/{bucket}/o', effect: 'write', risk: 'low', egress: 'internal' },
]

/** The library as an agent uses it: told of an endpoint of its own it sends no token, so the listener names the agent. */
function client(running: Running): Storage {
  return new Storage({ apiEndpoint: running.url('/gcs'), projectId: 'acme', retryOptions: { autoRetry: false } })
}

async function start(storage: CloudStorage, google: GoogleCloud): Promise<Running> {
  google.trusts = (token) => decodeJwt(token).aud === ownAudience
  const { url } = google.server
  const scope = ['https://www.googleapis.com/auth/devstorage.read_write']
  return Running.start({
    settings: { listen: { agent: [{ at: '127.0.0.1:0', ambient: agentId }] } },
    routes: { gcs: routeTo(storage.url, 'gcs', { credential: 'google', relax: { encoded_slash: true }, tools }) },
    providers: { google: { type: 'gcp', provider: pool, identity: 'signed', service_account: serviceAccount, scope, sts: url, iam: url } },
  })
}

test('the Google client library reads, lists and uploads with a token of an account that it never sees', async () => {
  const google = new GoogleCloud()
  await using issuer = await google.server.listen()
  await using storage = await new CloudStorage((token) => google.tokens.get(token)?.kind === 'account').listen()
  await using running = await start(storage, google)
  const bucket = client(running).bucket('acme-reports')
  const [text] = await bucket.file('monthly/2026-10.csv').download({ validation: false })
  expect(text.toString()).toBe('month,total\n2026-10,17\n')
  await bucket.file('monthly/2026-11.csv').save('month,total\n2026-11,18\n', { resumable: true, validation: false })
  // the session that the server named was asked for through the proxy, not at the server itself
  expect(storage.seen.map(({ method }) => method)).toEqual(['GET', 'POST', 'PUT'])
  expect(storage.objects.get('monthly/2026-11.csv')?.toString()).toContain('18')
  const [files] = await bucket.getFiles({ autoPaginate: false })
  expect(files.map(({ name }) => name)).toEqual(['monthly/2026-10.csv', 'monthly/2026-11.csv'])
  expect(issuer.seen.map(({ path }) => path)).toContain(`/v1/projects/-/serviceAccounts/${serviceAccount}:generateAccessToken`)
  for (const token of google.tokens.keys()) expect(JSON.stringify(running.entries())).not.toContain(token)
})

test('a call outside the catalogue is refused in words that the library shows', async () => {
  const google = new GoogleCloud()
  await using issuer = await google.server.listen()
  await using storage = await new CloudStorage(() => true).listen()
  await using running = await start(storage, google)
  const gone = client(running).bucket('acme-reports').file('monthly/2026-10.csv').delete()
  await expect(gone).rejects.toThrow(/this operation is not in the catalogue/)
  expect(storage.seen).toEqual([])
  expect(issuer.seen).toEqual([])
})
