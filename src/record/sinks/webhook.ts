/** The sink `webhook`: lines as CloudEvents 1.0 over HTTP, one by one or in batches, signed when there is a secret. */

import { z } from 'zod'
import type { RecordSink, SinkLine, SinkServices, Taken } from '../sink.ts'
import { defineSink, SecretPlace } from '../sink.ts'
import { cloudEvent } from './cloud-event.ts'
import { faultOf, openRemote, remoteSettings, sendOrHalve } from './remote.ts'

const WebhookConfig = z
  .strictObject({
    type: z.literal('webhook'),
    ...remoteSettings,
    mode: z
      .enum(['structured', 'batch'])
      .default('batch')
      .describe('batch: an array of events in each POST (`application/cloudevents-batch+json`). structured: one event.'),
    secret: SecretPlace.optional().describe(
      'Signs every POST (HMAC-SHA256, headers `webhook-id`, `webhook-timestamp`, `webhook-signature`).',
    ),
  })
  .describe('CloudEvents to an HTTP endpoint.')

type WebhookConfig = z.infer<typeof WebhookConfig>

export const webhook = defineSink({ type: 'webhook', config: WebhookConfig, open })

function open(config: WebhookConfig, services: SinkServices): RecordSink {
  const { mode, every, skip_refused: skip, secret } = config
  const { parse, source, clock } = services
  if (secret !== undefined) services.signer(services.secret(secret))
  const remote = openRemote(config, services)
  const batch = mode === 'batch'
  const type = batch ? 'application/cloudevents-batch+json; charset=utf-8' : 'application/cloudevents+json; charset=utf-8'
  const send = async (lines: readonly SinkLine[], signal: AbortSignal): Promise<Taken> => {
    const events = lines.map(({ line }) => cloudEvent(line, parse, source))
    const body = batch ? `[${events.join(',')}]` : (events[0] ?? '')
    // the same when it is sent again
    const id = `ledger-${lines[0]?.seq}-${lines.at(-1)?.seq}`
    const signed = secret === undefined ? {} : services.signer(services.secret(secret))(id, body)
    const answer = await remote.send(body, { 'content-type': type, ...signed }, signal)
    const fault = faultOf(answer, clock)
    if (fault !== null) throw fault
    return { lines: lines.length }
  }
  return {
    type: 'webhook',
    batch: batch ? { lines: 128, characters: 256 * 1024, linger: every } : { lines: 1, characters: 1, linger: 0 },
    write: (lines, signal) => sendOrHalve(lines, skip, (some) => send(some, signal)),
    close: () => remote.close(),
  }
}
