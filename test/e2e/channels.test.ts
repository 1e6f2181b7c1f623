import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { countersign } from '../support/command-line.ts'
import { askedOf } from '../support/asked.ts'
import { Browser, PeopleRig } from '../support/people-rig.ts'
import { publicClient } from '../support/sign-in-issuer.ts'
import { ask, routeTo, Running, TestUpstream, type Answered } from '../support/running.ts'

const routes = { api: routeTo('http://127.0.0.1:9', 'api') }

/** A receiver that keeps what it was sent. */
class Receiver implements AsyncDisposable {
  readonly bodies: string[] = []
  #heard = Promise.withResolvers<void>()
  #upstream: TestUpstream | null = null

  static async start(): Promise<Receiver> {
    const receiver = new Receiver()
    receiver.#upstream = await TestUpstream.start(({ body }, response) => {
      response.writeHead(204).end()
      receiver.bodies.push(body)
      receiver.#heard.resolve()
      receiver.#heard = Promise.withResolvers<void>()
    })
    return receiver
  }

  get url(): string {
    return `${this.#upstream?.url}/hook`
  }

  /** Resolves when something that satisfies the test has come. */
  async until(isIt: (body: string) => boolean): Promise<string> {
    for (;;) {
      const found = this.bodies.find((body) => isIt(body))
      if (found !== undefined) return found
      await this.#heard.promise
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#upstream?.[Symbol.asyncDispose]()
  }
}

describe('channels', () => {
  test('a webhook hears of what is asked and answered; one that is down stops nobody, and is heard of in log and metrics', async () => {
    await using receiver = await Receiver.start()
    await using running = await Running.start({
      routes,
      settings: {
        approve: {
          channels: [
            { type: 'page' },
            { type: 'webhook', name: 'hook', url: receiver.url },
            { type: 'webhook', name: 'down', url: 'http://127.0.0.1:9/x' },
          ],
        },
      },
    })
    const row = await askedOf(running)
    const event = JSON.parse(await receiver.until((body) => body.includes('approval.asked')))
    expect(event).toMatchObject({ subject: row.id, data: { title: row.shown.title, link: null } })
    await running.sidecar.foundation.approvals.answer(
      row.id,
      { name: 'person:x', method: 'oidc', groups: [] },
      { verdict: 'approve', reason: 'y' },
    )
    await receiver.until((body) => body.includes('approval.answered'))
    expect(running.logged.some((line) => line.includes('approve.down') && line.includes('it is tried again'))).toBe(true)
    expect((await ask(running.port('health'), '/metrics')).text).toContain(
      'countersign_notices_total{notifier="approve.hook",result="delivered"}',
    )
    await running.close()
    expect(running.logged.some((line) => line.includes('approve.down') && line.includes('not handed on'))).toBe(true)
  })

  test('a person answers in a chat where the risk allows it; a risk above, a forged and a replayed request change nothing', async () => {
    await using receiver = await Receiver.start()
    const slack = {
      type: 'webhook',
      name: 'slack',
      url: receiver.url,
      shape: 'slack',
      in_chat: ['low'],
      signing_secret: { env: 'SIGNING' },
      people: {
        U012AB3CD: {
          name: 'alice',
          groups: ['payments'],
        },
      },
    }
    await using running = await Running.start({
      routes,
      env: { SIGNING: 'chat-secret' },
      settings: { approve: { channels: [slack] }, admin: { public_url: 'https://countersign.acme.example' } },
    })
    const press = (approval: string, key = 'chat-secret', at = Math.floor(Date.now() / 1000)): Promise<Answered> => {
      const payload = {
        type: 'block_actions',
        user: { id: 'U012AB3CD' },
        actions: [
          {
            action_id: 'countersign.approve',
            value: approval,
          },
        ],
        state: { values: { reason: { reason: { value: 'fine' } } } },
      }
      const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString()
      const signature = `v0=${createHmac('sha256', key).update(`v0:${at}:${body}`).digest('hex')}`
      const headers = {
        'x-slack-request-timestamp': String(at),
        'x-slack-signature': signature,
        'content-type': 'application/x-www-form-urlencoded',
      }
      return ask(running.port('admin'), '/chat/slack', { method: 'POST', headers, body })
    }
    const low = await askedOf(running, { shown: { risk: 'low' }, approvers: ['group:payments'], quorum: 2 })
    const message = await receiver.until((body) => body.includes(low.id))
    expect(message).toContain(`https://countersign.acme.example/approvals/${low.id}`)
    const read = (id: string) => running.sidecar.foundation.approvals.read(id)
    expect((await press(low.id, 'guessed')).status).toBe(403)
    const at = Math.floor(Date.now() / 1000)
    expect((await press(low.id, 'chat-secret', at)).status).toBe(200)
    expect((await press(low.id, 'chat-secret', at)).status).toBe(403)
    expect(await read(low.id)).toMatchObject({ answers: [{ by: 'person:alice', method: 'chat', reason: 'fine' }] })
    const high = await askedOf(running)
    const refused = await press(high.id)
    expect([refused.status, refused.json['title']]).toEqual([403, 'a call of risk high is not answered in a chat: use the page'])
    expect(await read(high.id)).toMatchObject({ answers: [] })
    const own = await askedOf(running, { shown: { risk: 'low' }, onBehalfOf: 'alice' })
    expect((await press(own.id)).status).toBe(403)
    expect((await ask(running.port('admin'), '/chat/other', { method: 'POST', body: 'x' })).status).toBe(401)
  })

  test('the page is not there when no channel is the page', async () => {
    await using rig = await PeopleRig.start({ approve: { channels: [] } })
    expect((await rig.browser().visit('/')).status).toBe(403)
    expect((await rig.admin('/')).status).toBe(404)
  })
})

describe('from a call of an agent to its effect', () => {
  test('a person hears of it, signs in, approves it on the page, and the call that waited goes through, once', async () => {
    await using upstream = await TestUpstream.start()
    await using receiver = await Receiver.start()
    const refunds = { name: 'pay.refund', match: 'POST /refunds', effect: 'write', risk: 'high', egress: 'internal', args: 'json' }
    await using rig = await PeopleRig.start({
      routes: { pay: routeTo(upstream.url, 'pay', { tools: [refunds] }) },
      approve: { channels: [{ type: 'page' }, { type: 'webhook', url: receiver.url }] },
    })
    const { running } = rig
    const headers = { authorization: `Bearer ${await running.svid()}`, 'content-type': 'application/json', prefer: 'wait=20' }
    const call = ask(running.port(), '/pay/refunds', { method: 'POST', headers, body: '{"amount":180}' })
    const { data } = JSON.parse(await receiver.until((body) => body.includes('approval.asked')))
    expect(data.link).toBe(`${rig.origin}/approvals/${data.approval}`)
    const browser = await rig.signedIn('u-alice')
    const page = await browser.visit(data.link, 'https://chat.example')
    expect(page.text).toContain('&#34;amount&#34;:180')
    const path = new URL(data.link).pathname
    const form = { csrf: Browser.csrf(page), verb: 'approve', reason: 'order 1042 was returned' }
    expect((await browser.submit(path, form)).status).toBe(303)
    expect((await call).status).toBe(200)
    expect(upstream.seen.map(({ body }) => body)).toEqual(['{"amount":180}'])
    expect((await browser.submit(path, form)).status).toBe(409)
    expect(running.entries().find(({ kind }) => kind === 'decision')).toMatchObject({
      approval: data.approval,
      approved_by: ['person:u-alice'],
    })
  })
})

describe('what an agent wrote, on the page', () => {
  test('stays text', async () => {
    await using rig = await PeopleRig.start()
    const evil = '"><script>alert(1)</script><form action="https://evil.example">'
    const row = await rig.asked({
      shown: { title: evil, purpose: evil, target: evil, body: evil, human: evil, owners: { incident: evil } },
    })
    const browser = await rig.signedIn('u-alice')
    for (const path of ['/', `/approvals/${row.id}`]) {
      const { text } = await browser.visit(path)
      expect(text).not.toContain('<script')
      expect(text).not.toContain('action="https:')
      expect(text).toContain('&#60;script&#62;')
    }
  })

  test('whoever the call acts for may look, and may not answer', async () => {
    await using rig = await PeopleRig.start()
    const row = await rig.asked({ onBehalfOf: 'u-alice' })
    const browser = await rig.signedIn('u-alice')
    const csrf = Browser.csrf(await browser.visit('/'))
    const answer = await browser.submit(`/approvals/${row.id}`, { csrf, verb: 'approve', reason: 'mine' })
    expect([answer.status, answer.text.includes('whoever the call acts for does not answer it')]).toEqual([403, true])
  })
})

describe('a token of the issuer', () => {
  test('says who somebody is on the command line; a token for another audience, issuer or key says nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-token-'))
    await using rig = await PeopleRig.start({ oidc: { groups_claim: 'groups' } })
    const { issuer } = rig.issuer
    const mint = (claims: object, header: object): Promise<string> => rig.issuer.mint(claims, header)
    const hour = { iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 3600 }
    const good = { iss: issuer, aud: publicClient, sub: 'u-alice', groups: ['approvers'], ...hour }
    const get = async (claims: object, header: object = {}): Promise<Answered> =>
      ask(rig.port, '/v1/approvals', { headers: { authorization: `Bearer ${await mint(claims, header)}` } })
    expect((await get(good)).status).toBe(200)
    for (const [change, header, status] of [
      [{ aud: 'another' }, {}, 401],
      [{ iss: 'https://login.evil.example' }, {}, 401],
      [{ exp: hour.iat - 60 }, {}, 401],
      [{ sub: undefined }, {}, 401],
      [{ azp: 'another' }, {}, 401],
      [{ cnf: { jkt: 'x' } }, {}, 401],
      [{}, { typ: 'at+jwt' }, 401],
      [{}, { typ: 'logout+jwt' }, 401],
      [{ groups: ['interns'] }, {}, 403],
      [{ groups: 'approvers' }, {}, 403],
      [{ groups: ['person:u-alice', 'group:approvers'] }, {}, 403],
    ] as const)
      expect([change, header, (await get({ ...good, ...change }, header)).status]).toEqual([change, header, status])
    const file = join(folder, 'token')
    writeFileSync(file, await mint(good, {}))
    const row = await rig.asked()
    const args = ['approvals', 'decline', row.id, '--reason', 'no', '--addr', `127.0.0.1:${rig.port}`, '--token', file, '-o', 'json']
    const { stdout } = await countersign(args)
    expect(JSON.parse(stdout)).toMatchObject({ state: 'declined', answers: [{ by: 'person:u-alice', method: 'oidc' }] })
    rmSync(folder, { recursive: true })
  })

  test('an issuer that is gone is said to be gone, and the local key still opens the port', async () => {
    await using rig = await PeopleRig.start()
    await rig.issuer.close()
    const page = await rig.browser().visit('/sign-in')
    expect([page.status, page.text.includes('cannot be reached')]).toEqual([503, true])
    expect((await ask(rig.port, '/v1/approvals', { headers: { authorization: 'Bearer a.b.c' } })).status).toBe(503)
    expect((await rig.admin('/v1/approvals')).status).toBe(200)
  })
})
