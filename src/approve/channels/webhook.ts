/** The channel `webhook`: each notice is a signed POST, as a CloudEvent or in the shape that Slack's incoming webhooks take. */
import { z } from 'zod'
import { channelName, defineChannel, SecretPlace, type ApprovalNotice, type Channel, type ChannelServices } from '../channel.ts'
import { risk, slackChat, slackMessage } from './slack.ts'

const WebhookConfig = z
  .strictObject({
    type: z.literal('webhook'),
    name: channelName.optional().describe('What it is called; default: webhook.'),
    url: z.string().max(2048).refine(isSafeUrl, 'must be an https URL, or http on loopback, without user or fragment'),
    secret: SecretPlace.optional().describe(
      'Signs every POST (HMAC-SHA256, headers `webhook-id`, `webhook-timestamp`, `webhook-signature`).',
    ),
    shape: z.enum(['json', 'slack']).default('json').describe('json: a CloudEvent. slack: blocks of an incoming webhook.'),
    in_chat: z
      .array(risk)
      .max(4)
      .default([])
      .describe('Risks of tools whose approvals may be answered in the chat itself. Empty: none, the message links to the page.'),
    signing_secret: SecretPlace.optional().describe('What the chat signs its requests to us with (`X-Slack-Signature`, v0).'),
    people: z
      .record(z.string().regex(/^[A-Z0-9]{2,32}$/, 'must be a member id such as U012AB3CD'), chatPerson())
      .default({})
      .describe('Who the members of the chat are: nobody else answers there.'),
  })
  .refine(({ in_chat: risks, shape }) => risks.length === 0 || shape === 'slack', 'in_chat needs shape: slack')
  .refine(
    ({ in_chat: risks, signing_secret: secret, people }) => risks.length === 0 || (secret !== undefined && Object.keys(people).length > 0),
    'in_chat needs signing_secret and people',
  )
  .describe('A POST for each notice.')

type WebhookConfig = z.infer<typeof WebhookConfig>

export const webhook = defineChannel({ type: 'webhook', config: WebhookConfig, open })

/** Longest wait for an answer. */
const answerTime = 10_000

function open(name: string, config: WebhookConfig, services: ChannelServices): Channel {
  const { url, shape, secret, in_chat: risks, people, signing_secret: signing } = config
  const sign = secret === undefined ? null : services.signer(services.secret(secret))
  return {
    type: 'webhook',
    name,
    chat: risks.length === 0 || signing === undefined ? null : slackChat({ ...services, risks, people, secret: services.secret(signing) }),
    deliver: async (notice, signal) => {
      const body = JSON.stringify(shape === 'slack' ? slackMessage(notice, risks) : eventOf(notice, services.source))
      const type = shape === 'slack' ? 'application/json' : 'application/cloudevents+json; charset=utf-8'
      const within = AbortSignal.any([signal, AbortSignal.timeout(answerTime)])
      const headers = { 'content-type': type, ...sign?.(notice.id, body) }
      const answer = await services.fetch(url, { method: 'POST', headers, body, redirect: 'error', signal: within })
      await answer.body?.cancel()
      if (!answer.ok) throw new Error(`it answered ${answer.status}`)
    },
  }
}

/** A CloudEvent with what is needed to decide whether to look. The body of the call, its target and what the agent wrote stay on the page. */
function eventOf({ id, kind, row, link, owner, at }: ApprovalNotice, source: string): unknown {
  const { shown } = row
  const data = {
    approval: row.id,
    matter: row.matter,
    state: row.state,
    title: shown.title,
    agent: shown.agent,
    caller: row.caller,
    human: shown.human,
    worker: row.worker ?? row.caller,
    task: row.task,
    tool: row.tool,
    route: row.route,
    risk: shown.risk,
    effect: shown.effect,
    egress: shown.egress,
    reasons: shown.reasons.map(({ rule, message }) => ({ rule, message })),
    approvers: row.approvers,
    quorum: row.quorum,
    answers: row.answers.map(({ by, verdict, breakGlass }) => ({ by, verdict, break_glass: breakGlass })),
    expires: new Date(row.expires).toISOString(),
    owners: shown.owners,
    for: owner,
    link,
  }
  const head = { specversion: '1.0', type: `countersign.approval.${kind}`, datacontenttype: 'application/json' }
  return { ...head, id, source, time: new Date(at).toISOString(), subject: row.id, data }
}

function chatPerson() {
  return z.strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/, 'must be a short name of letters, digits, ".", "_", "@", "+" and "-"')
      .describe('What the ledger calls this person: `person:<name>`.'),
    groups: z
      .array(z.string().regex(/^[^\p{C}\p{Z},:]{1,128}$/u, 'must be a name without spaces, commas or colons'))
      .default([])
      .describe('Groups that policy may name as approvers.'),
  })
}

function isSafeUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '' || url.hash !== '') return false
  const loopback = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(url.hostname)
  return url.protocol === 'https:' || (url.protocol === 'http:' && loopback)
}
