import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import type { NoticeEvent } from '../../../src/notify/notifier.ts'
import { NotifierConfig, openNotifier } from '../../../src/notify/registry.ts'
import { Secret } from '../../../src/secret.ts'
import { configText } from '../../support/running.ts'

const event: NoticeEvent = {
  specversion: '1.0',
  id: 'e_1',
  source: 'https://countersign.acme.example',
  type: 'countersign.notification',
  time: '2026-01-01T00:00:00.000Z',
  subject: 't_1',
  datacontenttype: 'application/json',
  data: { message: 'look' },
}

function rig(secret: string | null, answer: () => Response = () => new Response(null, { status: 204 })) {
  const posted: { readonly url: string; readonly init: RequestInit }[] = []
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    posted.push({ url, init })
    return answer()
  }
  const url = 'https://hooks.acme.example/x'
  const config = { type: 'webhook', url, ...(secret !== null && { secret: { env: 'HOOK' } }) } as const
  const open = () => openNotifier('oncall', config, { clock: () => 1_790_000_000_999, secret: () => new Secret(secret ?? ''), fetch })
  return { posted, open }
}

const never = new AbortController().signal

describe('a webhook', () => {
  it('posts the event as CloudEvents has it, follows no redirect, and signs nothing without a secret', async () => {
    const { posted, open } = rig(null)
    await open().deliver(event, never)
    expect(posted).toMatchObject([
      { url: 'https://hooks.acme.example/x', init: { method: 'POST', redirect: 'error', body: JSON.stringify(event) } },
    ])
    expect(posted[0]?.init.headers).toEqual({ 'content-type': 'application/cloudevents+json; charset=utf-8' })
  })

  it.each([
    ['a text', 'plain-text', Buffer.from('plain-text')],
    ['a text from a file', 'plain-text\n', Buffer.from('plain-text')],
    ['a key as Standard Webhooks writes it', `whsec_${Buffer.from('raw key').toString('base64')}`, Buffer.from('raw key')],
  ])('signs id, time and body with %s', async (_, secret, key) => {
    const { posted, open } = rig(secret)
    await open().deliver(event, never)
    const mac = createHmac('sha256', key)
      .update(`e_1.1790000000.${JSON.stringify(event)}`)
      .digest('base64')
    expect(posted[0]?.init.headers).toMatchObject({
      'webhook-id': 'e_1',
      'webhook-timestamp': '1790000000',
      'webhook-signature': `v1,${mac}`,
    })
  })

  it('did not take what it answers with an error, and the text holds nothing of the answer', async () => {
    const { open } = rig(null, () => new Response('secret', { status: 500 }))
    await expect(open().deliver(event, never)).rejects.toThrow(/^it answered 500$/)
  })

  it('cannot be opened with an empty secret', () => {
    expect(() => rig('\n').open()).toThrow('notifier "oncall": the secret is empty')
    expect(() => rig('whsec_').open()).toThrow('the secret is empty')
  })
})

describe('its settings', () => {
  it.each(['http://hooks.acme.example/', 'https://user@hooks.acme.example/', 'ftp://127.0.0.1/', 'hooks'])(
    'refuse the address %s',
    (url) => {
      expect(NotifierConfig.safeParse({ type: 'webhook', url }).success).toBe(false)
    },
  )

  it.each(['https://hooks.acme.example/a?b', 'http://127.0.0.1:9000/'])('take the address %s', (url) => {
    expect(NotifierConfig.safeParse({ type: 'webhook', url }).success).toBe(true)
  })

  it.each(['ledger', 'On-Call', 'a b', ''])('refuse a notifier called "%s"', (name) => {
    const notifiers = { [name]: { type: 'webhook', url: 'https://hooks.acme.example/' } }
    const route = { at: '/api', to: 'http://127.0.0.1:1', reach: 'private', tools: [] }
    const text = configText({ routes: { api: route }, settings: { decide: { notifiers } } })
    expect(() => parseConfig(text, 'c.yaml', {})).toThrow(/decide\.notifiers/)
  })

  it('refuse a secret that stands there', () => {
    expect(NotifierConfig.safeParse({ type: 'webhook', url: 'https://hooks.acme.example/', secret: 'abc' }).success).toBe(false)
  })
})
