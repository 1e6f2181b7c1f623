/** Puts a refusal on the wire, in the words of the client that gets it. */
import { STATUS_CODES, type ServerResponse } from 'node:http'
import { refusalHeaders, type Refusal } from '../refusal.ts'
import type { RefusalShape } from './call.ts'

/** What the answer says besides the refusal. */
export interface RefusedCall {
  readonly call: string
  readonly task: string | null
  /** What of `Prefer` was honoured. */
  readonly preference?: string | undefined
}

interface Document {
  readonly type: string
  readonly text: string
}

/**
 * Answers with a refusal. `last` closes the connection after it. Nothing of the request is repeated, and no more than
 * code, title and reasons of the refusal is told.
 */
export function sendRefusal(outgoing: ServerResponse, refusal: Refusal, about: RefusedCall, shape: RefusalShape, last: boolean): void {
  const document = shaped(refusal, about, shape)
  const headers = common(refusal, document)
  headers.push('Countersign-Call', about.call)
  // the SDKs of AWS log it as the request's
  if (shape === 'aws-xml' || shape === 'aws-json') headers.push('X-Amzn-RequestId', about.call)
  if (about.preference !== undefined) headers.push('Preference-Applied', about.preference)
  if (last) headers.push('Connection', 'close')
  outgoing.writeHead(refusal.status, headers)
  outgoing.end(document.text)
}

/** The bytes of an answer to what could not be read as a request; the connection ends with it. */
export function bareRefusal(refusal: Refusal): string {
  const document = shaped(refusal, null, 'problem')
  const headers = common(refusal, document)
  let text = `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? 'Refused'}\r\n`
  for (let at = 0; at + 1 < headers.length; at += 2) text += `${headers[at] ?? ''}: ${headers[at + 1] ?? ''}\r\n`
  return `${text}Connection: close\r\n\r\n${document.text}`
}

/** What of a refusal is no denial, or not yet. */
const effects: Readonly<Partial<Record<Refusal['code'], 'ask' | 'defer'>>> = { 'approve.required': 'ask', 'approve.deferred': 'defer' }

function common(refusal: Refusal, document: Document): string[] {
  const headers = ['Content-Type', document.type, 'Content-Length', String(Buffer.byteLength(document.text))]
  headers.push('Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff')
  headers.push('Countersign-Decision', effects[refusal.code] ?? 'deny')
  for (const name of refusalHeaders) {
    const value = refusal.headers[name]
    if (value !== undefined) headers.push(name, value)
  }
  // RFC 9110 §15.5.2: a 401 names a scheme
  if (refusal.status === 401 && refusal.headers['WWW-Authenticate'] === undefined) headers.push('WWW-Authenticate', 'Bearer')
  if (refusal.retry === 'later' && refusal.headers['Retry-After'] === undefined) headers.push('Retry-After', '1')
  // SDKs of model vendors try every 5xx again unless this says no, also a POST that the upstream has carried out
  if (refusal.retry === 'never' && refusal.status >= 500) headers.push('X-Should-Retry', 'false')
  return headers
}

function shaped(refusal: Refusal, about: RefusedCall | null, shape: RefusalShape): Document {
  if (shape === 'aws-xml') return { type: 'application/xml', text: awsXml(refusal, about) }
  if (shape === 'aws-json') return { type: 'application/x-amz-json-1.0', text: JSON.stringify(awsJson(refusal, about)) }
  if (shape === 'problem') return { type: 'application/problem+json', text: JSON.stringify(problemOf(refusal, about)) }
  const facts = factsOf(refusal, about)
  if (shape === 'github') return { type: 'application/json; charset=utf-8', text: JSON.stringify(gitHub(refusal, facts)) }
  const error = { code: -32001, message: refusal.title, data: facts }
  return { type: 'application/json', text: JSON.stringify({ jsonrpc: '2.0', id: null, error }) }
}

/** RFC 9457, with the `error` member that SDKs of model vendors show and take to be all there is. */
function problemOf(refusal: Refusal, about: RefusedCall | null): Record<string, unknown> {
  return { ...factsOf(refusal, about), error: { message: sentence(refusal), type: refusal.code, code: refusal.code } }
}

function factsOf(refusal: Refusal, about: RefusedCall | null): Record<string, unknown> {
  const { code, title, status, reasons, retry, approval } = refusal
  const known = about === null ? {} : about.task === null ? { call: about.call } : { call: about.call, task: about.task }
  return {
    type: `urn:countersign:refusal:${code}`,
    title,
    status,
    code,
    ...known,
    reasons,
    ...(approval !== null && { approval }),
    retry,
    terminal: retry === 'never',
  }
}

/** Octokit shows `message`; the rest is for whoever looks closer. */
function gitHub(refusal: Refusal, facts: Record<string, unknown>): Record<string, unknown> {
  const { type, title: _title, ...rest } = facts
  return { ...rest, message: sentence(refusal), documentation_url: type, status: String(refusal.status) }
}

/** The wrapped form, which both the REST and the query protocols of the AWS SDKs read (S3, SQS, STS). */
function awsXml(refusal: Refusal, about: RefusedCall | null): string {
  const error = `<Type>Sender</Type><Code>${awsCode(refusal)}</Code><Message>${escapeXml(awsMessage(refusal))}</Message>`
  return `<?xml version="1.0" encoding="UTF-8"?>\n<ErrorResponse><Error>${error}</Error><RequestId>${escapeXml(about?.call ?? '')}</RequestId></ErrorResponse>`
}

/** The JSON protocols (DynamoDB, Lambda, Bedrock) read the word from `__type`, and know it with a suffix that the XML ones do not have. */
function awsJson(refusal: Refusal, about: RefusedCall | null): Record<string, unknown> {
  const word = awsCode(refusal)
  return { ...factsOf(refusal, about), __type: word.endsWith('Exception') ? word : `${word}Exception`, message: awsMessage(refusal) }
}

/** What the SDKs show. */
function awsMessage(refusal: Refusal): string {
  const handle = refusal.approval === null ? '' : `; approval ${refusal.approval.id}`
  return `${refusal.code}: ${sentence(refusal)}${handle}`
}

/** Words the AWS SDKs know; they decide by them whether to try again. */
function awsCode(refusal: Refusal): string {
  if (refusal.status === 429) return 'ThrottlingException'
  if (refusal.retry === 'later') return 'ServiceUnavailable'
  if (refusal.fault === 'upstream' || refusal.fault === 'countersign') return 'InternalFailure'
  return refusal.code.startsWith('listen.') || refusal.code.startsWith('match.') ? 'InvalidRequest' : 'AccessDenied'
}

function sentence(refusal: Refusal): string {
  return [refusal.title, ...refusal.reasons].join('; ')
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
