/** A credential in the body: one member of a JSON document or one field of a form, and no other byte of it changed. */
import { Refusal } from '../refusal.ts'
import type { Lease, Placement } from '../credential/credential.ts'
import { namesField } from './apply-query.ts'
import { readable } from './apply-text.ts'
import { withoutDigests } from './headers.ts'
import { MemberTaken, withMember } from './json-member.ts'
import { SpliceFault } from './json-tokens.ts'
import type { Applied, Outgoing } from './outgoing.ts'
import { wholeBody } from './whole-body.ts'

type InBody = Placement & { readonly in: 'body' }

/**
 * At once for a body that is in memory; one that streams is read first, within `out.gather`.
 * Throws or rejects with `credential.unplaced` for a body that it cannot go into, `listen.malformed` for one that has such a member already.
 */
export function inBody(lease: Lease, placement: InBody, out: Outgoing): Applied | Promise<Applied> {
  const secret = readable(lease.secret)
  const json = 'json' in placement
  if (!isOf(json ? jsonType : formType, out.headers)) {
    throw unplaced(
      `the credential of this route goes into a body of ${json ? 'application/json' : 'application/x-www-form-urlencoded'}, not encoded`,
    )
  }
  const put = (body: Buffer): Applied => ({
    headers: unframed(out.headers),
    path: out.path,
    body: 'json' in placement ? inJson(body, placement.json, secret) : inForm(body, placement.form, secret),
  })
  const body = wholeBody(out)
  if (body === null) throw unplaced('the call has no body that the credential of this route could go into')
  return body instanceof Promise ? body.then(put) : put(body)
}

function inJson(body: Buffer, pointer: string, secret: string): Buffer {
  try {
    return withMember(body, pointer, secret)
  } catch (error) {
    if (error instanceof MemberTaken) throw carried()
    if (error instanceof SpliceFault) throw unplaced(`the credential of this route cannot go into the body: ${error.message}`)
    throw error
  }
}

function inForm(body: Buffer, name: string, secret: string): Buffer {
  const text = body.toString('latin1')
  if (/[^\x21-\x7e]/.test(text)) throw unplaced('the credential of this route cannot go into the body: it is no urlencoded form')
  if (namesField(text, name)) throw carried()
  return Buffer.from(`${text}${text === '' ? '' : '&'}${encodeURIComponent(name)}=${encodeURIComponent(secret)}`, 'latin1')
}

const jsonType = /^application\/([a-z0-9!#$&^_.+-]+\+)?json$/
const formType = /^application\/x-www-form-urlencoded$/

/** One media type, in UTF-8 and no coding: what another reader could take the bytes for is not written into. */
function isOf(type: RegExp, headers: readonly string[]): boolean {
  const values = (name: string): string[] => headers.filter((_, at) => at % 2 === 1 && headers[at - 1] === name)
  const [written = '', ...more] = values('content-type')
  const [essence = '', ...parameters] = written.toLowerCase().split(';')
  const plain = parameters.every((parameter) => /^[ \t]*charset="?utf-8"?[ \t]*$/.test(parameter))
  return (
    more.length === 0 &&
    plain &&
    type.test(essence.trim()) &&
    values('content-encoding').every((coding) => coding.toLowerCase() === 'identity')
  )
}

/** What was said of the agent's bytes is not true of these. */
function unframed(headers: readonly string[]): string[] {
  const list = withoutDigests(headers)
  return list.filter((_, at) => list[at - (at % 2)] !== 'content-length')
}

function carried(): Refusal {
  return new Refusal('listen.malformed', { reasons: ['the body carries the credential of this route: leave it out'] })
}

function unplaced(reason: string): Refusal {
  return new Refusal('credential.unplaced', { reasons: [reason] })
}
