/** What sinks that send lines elsewhere have in common: their settings, one POST, and what its answer means. */

import { z } from 'zod'
import type { ClientTls, LeftOut, Post, SinkAnswer, SinkLine, SinkServices, Taken } from '../sink.ts'
import { SecretPlace, SinkFault, sinkSettings } from '../sink.ts'
import { durationBetween } from '../../units.ts'

const filePlace = z.strictObject({ file: z.string().min(1) })

const tlsSettings = z
  .strictObject({
    ca: filePlace.optional().describe('Authorities (PEM) that are trusted in place of those of the system.'),
    cert: filePlace.optional().describe('Certificate chain (PEM) that is shown to the receiver.'),
    key: SecretPlace.optional().describe('Private key (PEM) of `cert`.'),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), 'cert and key need each other')

/** Settings of every sink that sends. */
export const remoteSettings = {
  ...sinkSettings,
  url: z.string().max(2048).refine(isSafeUrl, 'must be an https URL, or http on loopback, without user or fragment'),
  token: SecretPlace.optional().describe('Sent as `Authorization: Bearer …`; read anew for each request.'),
  headers: z
    .record(z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'must be the name of a header'), SecretPlace)
    .default({})
    .describe('More headers, whose values are secrets; read anew for each request.'),
  tls: tlsSettings.optional().describe('Whom it trusts and what it shows; default: the authorities of the system, and nothing.'),
  timeout: durationBetween(100, 120_000).prefault('10s').describe('Longest wait for an answer.'),
  every: durationBetween(0, 600_000).prefault('1s').describe('How long lines may wait for others to be sent with.'),
  skip_refused: z
    .boolean()
    .default(false)
    .describe(
      'true: a line that the receiver turns down for good (400, 413, 422) is passed over, counted and logged. false: the sink waits there until it takes it.',
    ),
}

export interface RemoteConfig {
  readonly url: string
  readonly token?: SecretPlace | undefined
  readonly headers: Readonly<Record<string, SecretPlace>>
  readonly tls?: ClientTls | undefined
  readonly timeout: number
  readonly every: number
  readonly skip_refused: boolean
}

/** A receiver of one sink. */
export interface Remote {
  /** Sends one body; resolves with the answer whatever it says, rejects with a `SinkFault` when there is none. */
  send(body: string | Uint8Array, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<SinkAnswer>
  close(): Promise<void>
}

/** Opens the way to a receiver; throws when a file or secret it needs is not there. */
export function openRemote({ url, token, headers, tls, timeout }: RemoteConfig, { secret, client }: SinkServices): Remote {
  const secrets = (): Record<string, string> => {
    const sent = Object.entries(headers).map(([name, place]) => [name.toLowerCase(), oneLineOf(secret(place).reveal())])
    return { ...Object.fromEntries(sent), ...(token !== undefined && { authorization: `Bearer ${oneLineOf(secret(token).reveal())}` }) }
  }
  secrets()
  const way = client(tls ?? {})
  return {
    send: async (body, more, signal) => {
      const within = AbortSignal.any([signal, AbortSignal.timeout(timeout)])
      return posted(way.post, { url, headers: { ...secrets(), ...more }, body, signal: within })
    },
    close: () => way.close(),
  }
}

interface Posting {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
  readonly signal: AbortSignal
}

async function posted(post: Post, { url, headers, body, signal }: Posting): Promise<SinkAnswer> {
  try {
    return await post(url, headers, body, signal)
  } catch (error) {
    if (signal.aborted && signal.reason instanceof Error && signal.reason.name === 'TimeoutError')
      throw new SinkFault('timeout', 'the receiver did not answer in time')
    // the code of the socket or of TLS says what an operator needs; the text may quote a header
    throw new SinkFault('unreachable', `the receiver cannot be reached (${codeOf(error)})`)
  }
}

/** Codes after which the same lines would be turned down again: there is something in them that the receiver does not take. */
const refusals: readonly number[] = [400, 413, 422]

/** The fault that an answer is, or null when it took the lines. `refused`: it turned these very lines down. */
export function faultOf({ status, header }: SinkAnswer, clock: () => number): SinkFault | null {
  if (status >= 200 && status < 300) return null
  const wait = retryAfter(header('retry-after'), clock)
  if (refusals.includes(status)) return new SinkFault('refused', `the receiver turned the lines down (${status})`, wait)
  return new SinkFault('status', `the receiver answered ${status}`, wait)
}

/** Ms that a Retry-After asks for (RFC 9110 §10.2.3): seconds or a date; null when it says neither. */
export function retryAfter(text: string | null, clock: () => number): number | null {
  if (text === null) return null
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : Math.max(0, at - clock())
}

/**
 * Sends lines, and where the receiver turns them down halves them until it is known which line it is about: those before it arrive. One
 * alone is passed over if the operator said so; else the sink waits there. `send` rejects with the fault of its answer.
 */
export async function sendOrHalve(
  lines: readonly SinkLine[],
  skip: boolean,
  send: (lines: readonly SinkLine[]) => Promise<Taken>,
): Promise<Taken> {
  try {
    return await send(lines)
  } catch (error) {
    if (!(error instanceof SinkFault && error.reason === 'refused')) throw error
    const [first] = lines
    if (lines.length > 1) return sendOrHalve(lines.slice(0, lines.length >> 1), skip, send)
    if (!skip || first === undefined) throw error
    const leftOut: LeftOut[] = [{ seq: first.seq, reason: 'refused' }]
    return { lines: 1, leftOut }
  }
}

function oneLineOf(text: string): string {
  return text.replace(/^[\r\n]+|[\r\n]+$/g, '')
}

function codeOf(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++)
    if ('code' in at && typeof at.code === 'string' && /^[A-Z0-9_]{1,64}$/.test(at.code)) return at.code
  return error instanceof Error ? error.name : 'unknown'
}

function isSafeUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '' || url.hash !== '') return false
  const loopback = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(url.hostname)
  return url.protocol === 'https:' || (url.protocol === 'http:' && loopback)
}
