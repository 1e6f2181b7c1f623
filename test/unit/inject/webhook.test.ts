import { request } from 'node:https'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, afterEach, expect, test } from 'vitest'
import { developmentIssuer } from '../../../src/demo/issuer.ts'
import { serveWorkloadApi } from '../../../src/demo/workload-api.ts'
import { certificatesPem } from '../../../src/identify/x509/pem.ts'
import type { InjectSettings } from '../../../src/inject/settings.ts'
import { openWebhook, type Webhook } from '../../../src/inject/webhook.ts'
import { ofWorkloadApi } from '../../../src/inject/workload-identity.ts'
import { certificateFor, type TestCertificate } from '../../support/certificate.ts'
import { review, settings } from '../../support/reviews.ts'

const name = 'countersign-injector.countersign.svc'
const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
const opened: { close(): unknown }[] = []
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close()
})
const folder = mkdtempSync(join(tmpdir(), 'countersign-webhook-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What a webhook is served with; `change` replaces it. */
class Changing {
  #current: { readonly cert: string; readonly key: string; readonly expires: number } | null
  readonly #listeners = new Set<() => void>()

  constructor(pair: TestCertificate | null, expires = Number.MAX_SAFE_INTEGER) {
    this.#current = pair === null ? null : { ...pair, expires }
  }

  current() {
    return this.#current
  }

  onChange(listener: () => void) {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  change(pair: TestCertificate): void {
    this.#current = { ...pair, expires: Number.MAX_SAFE_INTEGER }
    for (const listener of this.#listeners) listener()
  }
}

async function webhook(identity: Parameters<typeof openWebhook>[0]['identity'], on: () => InjectSettings = settings): Promise<Webhook> {
  const running = await openWebhook({ host: '127.0.0.1', port: 0, identity, settings: on, log, clock: Date.now })
  opened.push(running)
  return running
}

interface Answer {
  readonly status: number
  readonly body: string
  /** SHA-256 of the certificate that was shown. */
  readonly shown: string
}

interface Question {
  readonly ca: string
  readonly path: string
  readonly method?: string
  readonly body?: string
  readonly type?: string
}

/** One request as an API server makes it: the name of the Service is verified. */
function ask({ port }: Webhook, { ca, path, method = 'POST', body, type = 'application/json' }: Question): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': type }
    const asked = request({ host: '127.0.0.1', port, path, method, headers, ca, servername: name, agent: false }, (answer) => {
      const shown = (answer.socket as TLSSocket).getPeerCertificate().fingerprint256
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: text, shown }))
    })
    asked.on('error', reject).end(body)
  })
}

test('a review is answered over TLS, under the name of the Service', async () => {
  const pair = certificateFor(name)
  const running = await webhook(new Changing(pair))
  const { status, body } = await ask(running, { ca: pair.cert, path: '/inject?timeout=5s', body: JSON.stringify(review('created')) })
  expect(status).toBe(200)
  expect(JSON.parse(body).response).toMatchObject({ allowed: true, patchType: 'JSONPatch' })
  const other = certificateFor('other.acme.example')
  await expect(ask(running, { ca: other.cert, path: '/readyz', method: 'GET' })).rejects.toThrow()
})

test('what is posted to /require needs no label', async () => {
  const pair = certificateFor(name)
  const running = await webhook(new Changing(pair))
  const body = JSON.stringify(review('created', (pod) => delete pod.metadata.labels))
  const answers = await Promise.all(['/inject', '/require'].map((path) => ask(running, { ca: pair.cert, path, body })))
  expect(answers.map((answer) => JSON.parse(answer.body).response.patchType)).toEqual([undefined, 'JSONPatch'])
})

test('a new certificate is shown from the next handshake on', async () => {
  const [first, second] = [certificateFor(name), certificateFor(name)]
  const identity = new Changing(first)
  const running = await webhook(identity)
  const before = await ask(running, { ca: first.cert, path: '/readyz', method: 'GET' })
  identity.change(second)
  const after = await ask(running, { ca: second.cert, path: '/readyz', method: 'GET' })
  expect([before.status, after.status]).toEqual([200, 200])
  expect(after.shown).not.toBe(before.shown)
})

test('without a certificate nobody is answered, and with an expired one it is not ready', async () => {
  const pair = certificateFor(name)
  const none = await webhook(new Changing(null))
  await expect(ask(none, { ca: pair.cert, path: '/inject', body: '{}' })).rejects.toThrow()
  const expired = await webhook(new Changing(pair, Date.now() - 1))
  const [ready, live] = await Promise.all(['/readyz', '/livez'].map((path) => ask(expired, { ca: pair.cert, path, method: 'GET' })))
  expect([ready?.status, ready?.body, live?.status]).toEqual([503, 'the certificate has expired\n', 200])
})

test('what is no review gets an error, which to an API server is a no', async () => {
  const pair = certificateFor(name)
  const running = await webhook(new Changing(pair))
  const of = async (question: Partial<Question>): Promise<number> =>
    (await ask(running, { ca: pair.cert, path: '/inject', body: '{}', ...question })).status
  expect(await of({})).toBe(400)
  expect(await of({ body: '{' })).toBe(400)
  expect(await of({ type: 'text/plain' })).toBe(415)
  expect(await of({ method: 'GET' })).toBe(405)
  expect(await of({ path: '/' })).toBe(404)
  expect(await of({ body: `"${'x'.repeat(4 * 1024 * 1024)}"` })).toBe(413)
})

test('a fault of ours is a no too', async () => {
  const pair = certificateFor(name)
  const running = await webhook(new Changing(pair), () => {
    throw new Error('broken')
  })
  const { status, body } = await ask(running, { ca: pair.cert, path: '/inject', body: JSON.stringify(review('created')) })
  expect([status, body.includes('allowed')]).toEqual([500, false])
})

test('an SVID of the Workload API serves it, and the next one as soon as it comes', async () => {
  const issuer = await developmentIssuer('acme.example')
  const api = await serveWorkloadApi({
    issuer,
    socket: join(folder, 'workload-api.sock'),
    ids: ['spiffe://acme.example/countersign-injector'],
    seconds: 300,
    dns: [name],
  })
  const own = ofWorkloadApi({ SPIFFE_ENDPOINT_SOCKET: api.address }, 'spiffe://acme.example/countersign-injector', log)
  opened.push(api, own)
  const { identity } = own
  if (identity.current() === null) await new Promise<void>((resolve) => void identity.onChange(resolve))
  const running = await webhook(identity)
  const ca = certificatesPem(issuer.authorities)
  const before = await ask(running, { ca, path: '/readyz', method: 'GET' })
  const renewed = new Promise<void>((resolve) => void identity.onChange(resolve))
  api.rotate()
  await renewed
  const after = await ask(running, { ca, path: '/readyz', method: 'GET' })
  expect([before.status, after.status]).toEqual([200, 200])
  expect(after.shown).not.toBe(before.shown)
})
