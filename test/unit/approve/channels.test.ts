import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { ApprovalNotice, Channel } from '../../../src/approve/channel.ts'
import { ChannelConfig, openChannel } from '../../../src/approve/registry.ts'
import { readJson } from '../../../src/match/json.ts'
import { signer } from '../../../src/notify/webhook.ts'
import { Secret } from '../../../src/secret.ts'
import type { ApprovalRow } from '../../../src/state/approvals.ts'
import { shown } from '../../support/asked.ts'

const row: ApprovalRow = {
  id: 'a_01JD0000000000000000000000',
  state: 'pending',
  matter: 'call',
  task: 't_1',
  caller: shown.caller,
  call: 'c_1',
  digest: 'sha256:1',
  tool: shown.tool,
  route: shown.route,
  shown,
  approvers: ['group:payments'],
  quorum: 2,
  single: false,
  excluded: [],
  revision: 'r1',
  opened: 179e10,
  expires: 17900006e5,
  objective: null,
  used: 0,
  answers: [],
  granted: null,
  closed: null,
}
const link = `https://countersign.acme.example/approvals/${row.id}`
const asked: ApprovalNotice = { id: `${row.id}.asked.0`, kind: 'asked', row, link, owner: null, at: 1_790_000_000_000 }
const never = new AbortController().signal
const signing = 'the-signing-secret-of-a-chat'

function rig(settings: object, answer: () => Response = () => new Response(null, { status: 200 })) {
  const posted: { readonly url: string; readonly init: RequestInit }[] = []
  const clock = { now: 1_790_000_000_000 }
  const channel: Channel = openChannel(ChannelConfig.parse({ type: 'webhook', url: 'https://hooks.acme.example/x', ...settings }), {
    clock: () => clock.now,
    secret: (place) => new Secret('env' in place && place.env === 'SIGNING' ? signing : 'hook-secret'),
    signer: (secret) => signer(secret, () => clock.now),
    fetch: async (url, init) => {
      posted.push({ url, init })
      return answer()
    },
    parseJson: (text) => readJson(Buffer.from(text)).value,
    source: 'https://countersign.acme.example',
  })
  const body = (): string => (typeof posted[0]?.init.body === 'string' ? posted[0].init.body : '')
  return { channel, posted, clock, body, deliver: (notice: ApprovalNotice) => channel.deliver?.(notice, never) }
}

describe('a webhook as json', () => {
  it('posts a CloudEvent, signed, with a link that holds the id alone and nothing of the body, target or purpose', async () => {
    const { posted, body, deliver } = rig({ secret: { env: 'HOOK' } })
    await deliver(asked)
    expect(posted).toMatchObject([{ url: 'https://hooks.acme.example/x', init: { method: 'POST', redirect: 'error' } }])
    expect(JSON.parse(body())).toMatchObject({
      specversion: '1.0',
      id: asked.id,
      type: 'countersign.approval.asked',
      subject: row.id,
      data: {
        matter: 'call',
        approval: row.id,
        tool: row.tool,
        quorum: 2,
        link,
        for: null,
      },
    })
    for (const kept of [shown.purpose, shown.target, 'amount', 'crm.order.read']) expect(body()).not.toContain(`"${kept}`)
    const mac = createHmac('sha256', 'hook-secret').update(`${asked.id}.1790000000.${body()}`).digest('base64')
    expect(posted[0]?.init.headers).toMatchObject({ 'webhook-id': asked.id, 'webhook-signature': `v1,${mac}` })
  })

  it('rejects, so that it is tried again, when the receiver does not take it', async () => {
    const { deliver } = rig({}, () => new Response(null, { status: 503 }))
    await expect(deliver(asked)).rejects.toThrow('it answered 503')
  })
})

describe('a webhook in the shape of Slack', () => {
  const texts = (value: unknown): readonly { type: string; text: string }[] => {
    if (value === null || typeof value !== 'object') return []
    if (Array.isArray(value)) return value.flatMap((one) => texts(one))
    const own = 'type' in value && (value.type === 'plain_text' || value.type === 'mrkdwn') ? [value as { type: string; text: string }] : []
    return [...own, ...Object.values(value).flatMap((one) => texts(one))]
  }

  it('has text that Slack reads as markup nowhere but in a sentence of ours', async () => {
    const evil = '<!channel> <https://evil.example|Approve> *now* \u202e\u001b[0m'
    const { body, deliver } = rig({ shape: 'slack' })
    const wicked = {
      ...shown,
      title: evil,
      agent: evil,
      purpose: evil,
      target: evil,
      reasons: [{ rule: 'r', severity: 'high', controls: [], message: evil }],
    }
    await deliver({ ...asked, owner: evil, row: { ...row, shown: wicked } })
    const message = JSON.parse(body())
    expect(message.text).toBe('A person is asked')
    expect(texts(message).every(({ type }) => type === 'plain_text')).toBe(true)
    expect(body()).not.toMatch(/\\u202e|\\u001b|\u202e/)
  })

  it('links back, and has no buttons that answer, unless the risk may be answered there and somebody still can', async () => {
    const chat = { shape: 'slack', in_chat: ['low'], signing_secret: { env: 'SIGNING' }, people: { U012AB3CD: { name: 'alice' } } }
    const low = { ...row, shown: { ...shown, risk: 'low' } }
    for (const [settings, notice, there] of [
      [{ shape: 'slack' }, { ...asked, row: low }, false],
      [chat, asked, false],
      [chat, { ...asked, row: low }, true],
      [chat, { ...asked, row: { ...low, state: 'approved' as const }, kind: 'answered' as const }, false],
    ] as const) {
      const { body, deliver } = rig(settings)
      await deliver(notice)
      expect(body()).toContain(link)
      expect(body().includes('countersign.approve')).toBe(there)
    }
  })

  it.each([
    ['in_chat without a signing secret', { shape: 'slack', in_chat: ['low'], people: { U1: { name: 'a' } } }],
    ['in_chat without people', { shape: 'slack', in_chat: ['low'], signing_secret: { env: 'SIGNING' } }],
    ['in_chat as json', { in_chat: ['low'], signing_secret: { env: 'SIGNING' }, people: { U1: { name: 'a' } } }],
    ['a literal secret', { secret: 'x' }],
    ['plain http elsewhere', { url: 'http://hooks.acme.example/x' }],
  ])('%s is no configuration', (_, settings) => {
    expect(() => rig(settings)).toThrow()
  })
})

describe('an answer in a chat', () => {
  const settings = {
    shape: 'slack',
    in_chat: ['low'],
    signing_secret: { env: 'SIGNING' },
    people: { U012AB3CD: { name: 'alice', groups: ['payments'] } },
  }
  const payload = (change: object = {}): string =>
    new URLSearchParams({
      payload: JSON.stringify({
        type: 'block_actions',
        user: { id: 'U012AB3CD', name: 'whatever' },
        actions: [{ action_id: 'countersign.approve', value: row.id }],
        state: { values: { reason: { reason: { type: 'plain_text_input', value: 'looks fine' } } } },
        ...change,
      }),
    }).toString()
  const signed = (body: string, at = 1_790_000_000, key = signing) => ({
    'x-slack-request-timestamp': String(at),
    'x-slack-signature': `v0=${createHmac('sha256', key).update(`v0:${at}:${body}`).digest('hex')}`,
  })

  it('is read once, when its signature holds and its time is now', () => {
    const { channel } = rig(settings)
    const body = payload()
    const answer = channel.chat?.read(signed(body), body)
    expect(answer).toEqual({
      ok: true,
      approval: row.id,
      verdict: 'approve',
      reason: 'looks fine',
      person: { name: 'alice', groups: ['payments'] },
    })
    expect(channel.chat?.read(signed(body), body)).toEqual({ ok: false, why: 'the request was used before' })
  })

  it.each([
    ['another key', signed(payload(), 1_790_000_000, 'x'), payload(), 'the signature does not verify'],
    ['another body', signed(payload()), payload({ actions: [] }), 'the signature does not verify'],
    ['no signature', {}, payload(), 'the time of the request is not now'],
    ['two timestamps', { ...signed(payload()), 'x-slack-request-timestamp': ['1', '2'] }, payload(), 'the time of the request is not now'],
    ['six minutes ago', signed(payload(), 1_789_999_640), payload(), 'the time of the request is not now'],
    ['in six minutes', signed(payload(), 1_790_000_360), payload(), 'the time of the request is not now'],
  ])('signed with %s counts for nothing', (_, headers, body, why) => {
    expect(rig(settings).channel.chat?.read(headers, body)).toEqual({ ok: false, why })
  })

  it.each([
    ['a member nobody named', payload({ user: { id: 'U999' } }), 'the member is not known here'],
    ['a member called like a property', payload({ user: { id: 'constructor' } }), 'the member is not known here'],
    ['no reason', payload({ state: {} }), 'an answer needs a reason'],
    ['another action', payload({ actions: [{ action_id: 'constructor', value: row.id }] }), 'the payload is no answer'],
    ['a view submission', payload({ type: 'view_submission' }), 'the payload is no answer'],
    ['no payload', 'x=1', 'the payload is malformed'],
    ['a member twice', 'payload={"type":"x","type":"block_actions"}', 'the payload is malformed'],
  ])('of %s counts for nothing although it is signed', (_, body, why) => {
    expect(rig(settings).channel.chat?.read(signed(body), body)).toEqual({ ok: false, why })
  })
})
