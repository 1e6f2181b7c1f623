import { request as send, type IncomingHttpHeaders } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeKeyPair, publicText } from '../../src/cli/key-pair.ts'
import { countersign } from '../support/command-line.ts'
import { PeopleRig } from '../support/people-rig.ts'
import { ask, routeTo, Running, type Answered, type RunningOptions } from '../support/running.ts'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const routes: RunningOptions['routes'] = { api: routeTo('http://127.0.0.1:9', 'api') }

interface Page {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly cookie: string
}

/** A browser that finds every name below `localhost` on loopback, as browsers do. */
function visit(
  url: string | URL,
  form: Readonly<Record<string, string>> | null = null,
  more: Readonly<Record<string, string>> = {},
): Promise<Page> {
  const { host, port, origin, pathname, search } = new URL(url)
  const body = form === null ? undefined : new URLSearchParams(form).toString()
  const headers = {
    host,
    'user-agent': 'TestBrowser/1',
    'sec-fetch-site': form === null ? 'none' : 'same-origin',
    'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document',
    ...(body === undefined ? {} : { origin, 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) }),
    ...more,
  }
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: `${pathname}${search}`, method: form === null ? 'GET' : 'POST', headers, agent: false }
    const sent = send(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      const cookie = (response.headers['set-cookie']?.[0] ?? '').split(';')[0] ?? ''
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text, cookie }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const codeIn = (url: string): string => new URL(url).searchParams.get('code') ?? ''
const csrfIn = ({ text }: Page): string => /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? ''

describe('a link into the page, where no issuer is configured', () => {
  let now = Date.now()
  let running: Running
  beforeAll(async () => {
    running = await Running.start({ routes, clock: () => now })
  })
  afterAll(() => running[Symbol.asyncDispose]())
  const key = (): string => readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()
  const made = (by: string | null = 'ada'): Promise<Answered> =>
    ask(running.port('admin'), '/v1/page', {
      method: 'POST',
      headers: { authorization: `Bearer ${key()}` },
      body: JSON.stringify(by === null ? {} : { by }),
    })
  const link = async (by = 'ada'): Promise<string> => String((await made(by)).json['url'])
  const enter = async (url: string): Promise<Page> => visit(new URL('/sign-in/local', url), { code: codeIn(url) })

  test('is made by the command, lets one browser in under the name that was given, and stands in the ledger so', async () => {
    const words = ['page', '--addr', `127.0.0.1:${running.port('admin')}`, '--key', join(running.folder, 'admin.key'), '--as', 'ada']
    const ran = await countersign(words)
    expect([ran.code, ran.stderr]).toEqual([0, 'signs you in as ada, once, within 120 s\n'])
    const url = ran.stdout.trim()
    const gate = await visit(url)
    expect([gate.status, gate.cookie]).toEqual([200, ''])
    expect(gate.text).toContain('Sign in as ada')
    const entered = await enter(url)
    expect([entered.status, entered.headers.location]).toEqual([303, '/'])
    expect(String(entered.headers['set-cookie'])).toMatch(/^countersign=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=3600$/)
    const home = await visit(new URL('/kills', url), null, { cookie: entered.cookie })
    expect(home.status).toBe(200)
    expect(home.text).toContain('Sign out ada')
    const form = { csrf: csrfIn(home), scope: 'tool', name: 'api.gone', typed: 'api.gone', reason: 'odd' }
    expect((await visit(new URL('/kills', url), form, { cookie: entered.cookie })).status).toBe(303)
    const events = running.entries().filter(({ by }) => by === 'person:ada')
    expect(events.map(({ event, detail }) => [event, (detail as Answered['json'])['method']])).toEqual(
      expect.arrayContaining([
        ['person.signed-in', 'local-key'],
        ['kill.engaged', 'local-key'],
      ]),
    )
  })

  test('is good once, for two minutes, and not after it was looked at by something else', async () => {
    const url = await link()
    expect((await visit(url)).status).toBe(200)
    expect((await visit(url)).status).toBe(200)
    expect((await enter(url)).status).toBe(303)
    for (const page of [await enter(url), await visit(url)]) {
      expect([page.status, page.cookie]).toEqual([403, ''])
      expect(page.text).toContain('this link was used, or is over')
    }
    const late = await link()
    now += 120_000
    expect((await enter(late)).status).toBe(403)
  })

  test('leads to a name that nobody is told who has proven nothing, and a session is good under no other', async () => {
    const url = await link()
    const { hostname, port } = new URL(url)
    expect(hostname).toMatch(/^countersign-[0-9a-f]{16}\.localhost$/)
    for (const path of ['/', '/tasks', '/sign-in', '/sign-in/local', '/v1/status'])
      expect((await visit(`http://127.0.0.1:${port}${path}`)).text).not.toContain(hostname)
    const { cookie } = await enter(url)
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `evil.example:${port}`, `${hostname}.evil.example:${port}`]) {
      const forged = await visit(
        new URL('/kills', url),
        { csrf: 'x', scope: 'everything', typed: 'everything', reason: 'x' },
        { host, cookie },
      )
      expect([host, forged.status]).toEqual([host, 403])
    }
  })

  test('takes a name in one word, and is not made for somebody without one', async () => {
    expect((await made(null)).status).toBe(400)
    expect((await made('ada lovelace')).status).toBe(400)
    expect((await made('ada\u202egro')).status).toBe(400)
  })

  test('the local key itself and a name do the same, by way of a link; wrong keys are bounded, and links are not', async () => {
    const home = `http://127.0.0.1:${running.port('admin')}`
    const across = await visit(`${home}/sign-in/local`, { code: key(), by: 'bob' })
    const url = /content="0; url=([^"]+)"/.exec(across.text)?.[1] ?? ''
    expect(new URL(url).hostname).toMatch(/\.localhost$/)
    expect((await enter(url)).status).toBe(303)
    const statuses: number[] = []
    for (let attempt = 0; attempt < 7; attempt++)
      statuses.push((await visit(`${home}/sign-in/local`, { code: `${key().slice(1)}x`, by: 'eve' })).status)
    expect(statuses).toEqual([403, 403, 403, 403, 403, 429, 429])
    const right = await visit(`${home}/sign-in/local`, { code: key(), by: 'ada' })
    expect([right.status, right.headers['retry-after']]).toEqual([429, '12'])
    expect((await enter(await link())).status).toBe(303)
    now += 12_000
    expect((await visit(`${home}/sign-in/local`, { code: key(), by: 'ada' })).status).toBe(200)
  })

  test('is no form of another page', async () => {
    const url = await link()
    for (const origin of ['http://evil.example', `http://127.0.0.1:${new URL(url).port}`, 'null'])
      expect((await visit(new URL('/sign-in/local', url), { code: codeIn(url) }, { origin })).status).toBe(403)
    expect((await enter(url)).status).toBe(303)
  })

  test('is not made by a session, which would outlive itself', async () => {
    const url = await link()
    const { cookie } = await enter(url)
    const csrf = csrfIn(await visit(new URL('/', url), null, { cookie }))
    const { origin } = new URL(url)
    const answer = await visit(new URL('/v1/page', url), { by: 'ada' }, { cookie, origin, 'countersign-csrf': csrf })
    expect(answer.status).toBe(409)
  })
})

describe('a link into the page, beside an issuer', () => {
  test('lets the holder of a key pair in as the person of the entry, with the roles that it has, until they are taken away', async () => {
    await using rig = await PeopleRig.start()
    const file = join(rig.running.folder, 'bob.key')
    const approvers = [{ name: 'bob', key: publicText(makeKeyPair(file, 'ed25519')), roles: ['operator'] }]
    await rig.reload({ admin: { approvers } })
    const ran = await countersign(['page', '--addr', `127.0.0.1:${rig.port}`, '--key-pair', file, '--as', 'alice', '-o', 'json'])
    const { url, as } = JSON.parse(ran.stdout) as { readonly url: string; readonly as: string }
    expect([new URL(url).origin, as]).toEqual([rig.origin, 'bob'])
    const { cookie } = await visit(`${rig.origin}/sign-in/local`, { code: codeIn(url) })
    const home = await visit(`${rig.origin}/kills`, null, { cookie })
    expect(home.text).toContain('Sign out bob')
    const lift = { csrf: csrfIn(home), reason: 'x' }
    expect((await visit(`${rig.origin}/kills/k_${'0'.repeat(26)}`, lift, { cookie })).status).toBe(403)
    await rig.reload({ admin: { approvers: [] } })
    expect((await visit(`${rig.origin}/kills`, null, { cookie })).status).toBe(403)
  })

  test('is not made for whom the issuer proves, and where the local key answers no approvals it does not on the page', async () => {
    await using rig = await PeopleRig.start()
    const now = Math.floor(Date.now() / 1000)
    const token = await rig.issuer.mint({
      iss: rig.issuer.issuer,
      aud: 'countersign-people',
      sub: 'u-alice',
      iat: now,
      exp: now + 60,
      groups: ['approvers'],
    })
    expect((await ask(rig.port, '/v1/page', { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: '{}' })).status).toBe(
      409,
    )
    const row = await rig.asked()
    const url = String((await rig.admin('/v1/page', { by: 'ada' })).json['url'])
    const { cookie } = await visit(`${rig.origin}/sign-in/local`, { code: codeIn(url) })
    const shown = await visit(`${rig.origin}/approvals/${row.id}`, null, { cookie })
    expect(shown.text).toContain('The local key names nobody')
    expect(shown.text).not.toContain('value="approve"')
    const csrf = csrfIn(await visit(`${rig.origin}/kills`, null, { cookie }))
    const answer = await visit(`${rig.origin}/approvals/${row.id}`, { csrf, verb: 'approve', reason: 'looked' }, { cookie })
    expect(answer.status).toBe(403)
    expect(await rig.running.sidecar.foundation.approvals.read(row.id)).toMatchObject({ state: 'pending' })
  })

  test('there is none without a page, or with nothing that a browser could find', async () => {
    await using quiet = await Running.start({ routes, settings: { approve: { channels: [] } } })
    const authorization = `Bearer ${readFileSync(join(quiet.folder, 'admin.key'), 'utf8').trim()}`
    const answer = await ask(quiet.port('admin'), '/v1/page', { method: 'POST', headers: { authorization }, body: '{"by":"ada"}' })
    expect([answer.status, answer.json['title']]).toEqual([409, expect.stringContaining('there is no page')])
    expect((await visit(`http://127.0.0.1:${quiet.port('admin')}/sign-in/local`)).status).toBe(403)
  })
})
