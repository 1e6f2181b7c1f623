/** The shape of Slack: messages whose text nobody else's markup gets into, and signed answers from the chat. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { Secret } from '../../secret.ts'
import type { ApprovalNotice, Chat, ChatAnswer, ChatPerson } from '../channel.ts'

/** Risk of a tool. */
export const risk = z.enum(['low', 'medium', 'high', 'critical'])

const titles = {
  asked: 'A person is asked',
  answered: 'A person has answered',
  closed: 'Closed: nothing to answer any more',
  escalated: 'Nobody has answered',
  'break-glass': 'BREAK-GLASS: approved without those who are asked',
} as const satisfies Record<ApprovalNotice['kind'], string>

/**
 * Takes a notice, gives the payload of an incoming webhook. All of it is `plain_text`, which knows no links, mentions or channels.
 * Buttons are there only while it can be answered, and only for risks in `inChat`.
 */
export function slackMessage({ kind, row, link, owner }: ApprovalNotice, inChat: readonly string[]): unknown {
  const { shown } = row
  const facts = [
    `agent: ${shown.agent}`,
    ...(shown.opening === undefined ? called(row) : [`caller: ${shown.caller}`, `opened by: ${shown.opening.opener ?? 'it goes on'}`]),
    `egress: ${shown.egress}`,
    `approvals: ${row.answers.filter(({ verdict }) => verdict === 'approve').length} of ${row.quorum}`,
    `until: ${new Date(row.expires).toISOString()}`,
  ]
  const notes = [
    ...shown.reasons.map(({ message }) => message),
    ...(owner === null ? [] : [`for ${owner}`]),
    ...row.answers.map(({ by, verdict, breakGlass }) => `${by}: ${verdict}${breakGlass ? ' (break-glass)' : ''}`),
  ]
  const answerable = kind !== 'closed' && row.state === 'pending' && inChat.includes(shown.risk)
  return {
    // the one text that Slack reads as markup: ours alone
    text: titles[kind],
    blocks: [
      { type: 'header', text: plain(titles[kind], 150) },
      { type: 'section', text: plain(shown.title, 1000) },
      { type: 'section', fields: facts.map((fact) => plain(fact, 300)) },
      ...(notes.length === 0 ? [] : [{ type: 'section', text: plain(notes.join('\n'), 2000) }]),
      ...(answerable ? questions(row.id) : []),
      ...(link === null ? [] : [{ type: 'actions', block_id: 'open', elements: [{ type: 'button', text: plain('Open', 20), url: link }] }]),
    ],
  }
}

function questions(approval: string): unknown[] {
  const button = (verdict: 'approve' | 'decline', text: string, style: string): unknown => ({
    type: 'button',
    action_id: `countersign.${verdict}`,
    text: plain(text, 20),
    style,
    value: approval,
  })
  return [
    {
      type: 'input',
      block_id: 'reason',
      label: plain('Reason (it stands in the ledger)', 100),
      element: { type: 'plain_text_input', action_id: 'reason', max_length: 500 },
    },
    { type: 'actions', block_id: 'answer', elements: [button('approve', 'Approve', 'primary'), button('decline', 'Decline', 'danger')] },
  ]
}

function plain(text: string, most: number): unknown {
  // what cannot be seen, or turns text around, becomes a mark
  const seen = text.replaceAll(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu, '\u{FFFD}')
  const whole = Array.from(seen)
  return { type: 'plain_text', emoji: false, text: whole.length > most ? `${whole.slice(0, most - 1).join('')}…` : seen }
}

export interface SlackChatOptions {
  readonly risks: readonly string[]
  /** Member id → who that is. */
  readonly people: Readonly<Record<string, ChatPerson>>
  readonly secret: Secret
  /** Epoch ms. */
  readonly clock: () => number
  readonly parseJson: (text: string) => unknown
}

/** How old a signed request may be, ms (Slack, "Verifying requests": five minutes). */
const window = 300_000

/** Answers from a chat, verified by Slack's v0 signature: HMAC-SHA256 over `v0:<timestamp>:<body>`; each signature counts once. */
export function slackChat({ risks, people, secret, clock, parseJson }: SlackChatOptions): Chat {
  const key = secret.reveal().trim()
  if (key === '') throw new Error('the signing secret is empty')
  /** Signature → until when it is remembered, epoch ms. */
  const used = new Map<string, number>()
  return {
    risks,
    read: (headers, body) => {
      const now = clock()
      const at = one(headers['x-slack-request-timestamp'])
      const signature = one(headers['x-slack-signature'])
      if (!/^\d{1,12}$/.test(at) || Math.abs(now - Number(at) * 1000) > window) return no('the time of the request is not now')
      const wanted = `v0=${createHmac('sha256', key).update(`v0:${at}:${body}`).digest('hex')}`
      if (signature.length !== wanted.length || !timingSafeEqual(Buffer.from(signature), Buffer.from(wanted)))
        return no('the signature does not verify')
      for (const [known, until] of used) if (until < now) used.delete(known)
      if (used.has(signature)) return no('the request was used before')
      used.set(signature, now + 2 * window)
      return answerIn(body, people, parseJson)
    },
  }
}

function answerIn(body: string, people: SlackChatOptions['people'], parseJson: (text: string) => unknown): ChatAnswer {
  let payload: unknown
  try {
    payload = parseJson(new URLSearchParams(body).get('payload') ?? '')
  } catch {
    return no('the payload is malformed')
  }
  const actions = inside(payload, 'actions')
  const action: unknown = Array.isArray(actions) && actions.length === 1 ? actions[0] : null
  const verdict = { 'countersign.approve': 'approve', 'countersign.decline': 'decline' }[String(inside(action, 'action_id'))]
  const approval = inside(action, 'value')
  if (inside(payload, 'type') !== 'block_actions' || (verdict !== 'approve' && verdict !== 'decline') || typeof approval !== 'string')
    return no('the payload is no answer')
  const member = inside(payload, 'user', 'id')
  const person = typeof member === 'string' && Object.hasOwn(people, member) ? people[member] : undefined
  if (person === undefined) return no('the member is not known here')
  const reason = inside(payload, 'state', 'values', 'reason', 'reason', 'value')
  if (typeof reason !== 'string' || reason.trim() === '') return no('an answer needs a reason')
  return { ok: true, approval, verdict, reason: reason.slice(0, 500), person }
}

function inside(value: unknown, ...path: readonly string[]): unknown {
  let inner = value
  for (const name of path) {
    if (inner === null || typeof inner !== 'object' || !Object.hasOwn(inner, name)) return undefined
    inner = (inner as Readonly<Record<string, unknown>>)[name]
  }
  return inner
}

function one(header: string | readonly string[] | undefined): string {
  return typeof header === 'string' ? header : ''
}

function no(why: string): ChatAnswer {
  return { ok: false, why }
}

/** What is known of a call, and of no task. */
function called({ tool, route, shown }: ApprovalNotice['row']): readonly string[] {
  return [`tool: ${tool}`, `route: ${route}`, `risk: ${shown.risk}`, `effect: ${shown.effect}`]
}
