/** The notifier `webhook`: each notice is a POST of one CloudEvent, signed when there is a secret. */

import { createHmac } from 'node:crypto'
import { z } from 'zod'
import { textOf } from '../credential/provider.ts'
import { SecretRef } from '../credential/secret-ref.ts'
import { isKeyUrl } from '../identify/keys/key-document.ts'
import { Secret } from '../secret.ts'
import { defineNotifier, type Notifier, type NotifierServices } from './notifier.ts'

const WebhookConfig = z
  .strictObject({
    type: z.literal('webhook'),
    url: z.string().max(2048).refine(isKeyUrl, 'must be an https URL, or http on loopback, without user or fragment'),
    secret: SecretRef.optional().describe(
      'Signs every POST (HMAC-SHA256, headers `webhook-id`, `webhook-timestamp`, `webhook-signature`).',
    ),
  })
  .describe('A POST of one CloudEvent for each notice.')

type WebhookConfig = z.infer<typeof WebhookConfig>

export const webhook = defineNotifier({ type: 'webhook', config: WebhookConfig, open })

/** Longest wait for an answer. */
const answerTime = 10_000

function open({ url, secret }: WebhookConfig, { clock, secret: read, fetch }: NotifierServices): Notifier {
  const sign = secret === undefined ? null : signer(read(secret), clock)
  return {
    type: 'webhook',
    deliver: async (event, signal) => {
      const body = JSON.stringify(event)
      const headers = {
        'content-type': 'application/cloudevents+json; charset=utf-8',
        ...sign?.(event.id, body),
      }
      const within = AbortSignal.any([signal, AbortSignal.timeout(answerTime)])
      const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal: within })
      await answer.body?.cancel()
      if (!answer.ok) throw new Error(`it answered ${answer.status}`)
    },
  }
}

/**
 * Standard Webhooks: the id, the time in seconds and the body, divided by dots, under HMAC-SHA256. Takes a text as it is, or what `whsec_`
 * says in base64, as that specification hands keys out; gives what makes the headers of one POST. Throws for an empty secret.
 */
export function signer(secret: Secret, clock: () => number): (id: string, body: string) => Readonly<Record<string, string>> {
  const text = textOf(secret)
  if (text === '' || text === 'whsec_') throw new Error('the secret is empty')
  const key = new Secret(text)
  return (id, body) => {
    const at = String(Math.floor(clock() / 1000))
    const mac = createHmac('sha256', bytesOf(key)).update(`${id}.${at}.${body}`).digest('base64')
    return { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': `v1,${mac}` }
  }
}

function bytesOf(key: Secret): Buffer {
  const text = key.reveal()
  return text.startsWith('whsec_') ? Buffer.from(text.slice('whsec_'.length), 'base64') : Buffer.from(text)
}
