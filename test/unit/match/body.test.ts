import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { judgeJson } from '../../../src/match/body.ts'
import { jsonCaps } from '../../../src/match/json.ts'
import { Refusal } from '../../../src/refusal.ts'
import { ClientGone } from '../../../src/listen/call.ts'
import { sketchCall, type CallSketch } from '../../support/question.ts'

const limits = { judged: 64, json: jsonCaps }
const json = ['content-type', 'application/json'] as const
const judge = (sketch: CallSketch) => judgeJson(sketchCall({ method: 'POST', headers: [json], ...sketch }), limits)
const refused = async (sketch: CallSketch): Promise<string> =>
  judge(sketch).then(
    () => 'judged',
    (error: unknown) => Refusal.from(error).code,
  )

/** A stream that says nothing until told to. */
const silent = (): Readable => new Readable({ read: () => undefined })

describe('a judged body', () => {
  it('is the bytes as they came, their digest and the document they hold', async () => {
    const body = await judge({ body: ['{ "amount"', ' : 12', ' }'] })
    expect(body).toMatchObject({ kind: 'json', judged: true, size: 17, sha256: hash('sha256', '{ "amount" : 12 }', 'hex') })
    expect(Buffer.from(body.bytes ?? []).toString()).toBe('{ "amount" : 12 }')
    expect({ ...(body.parsed as object) }).toEqual({ amount: 12 })
  })

  it('is read the same when it comes chunked', async () => {
    expect(await judge({ body: ['[1,', '2]'], length: null })).toMatchObject({ kind: 'json', judged: true, parsed: [1, 2], size: 5 })
  })

  it('is no document when it is empty', async () => {
    expect(await judge({ body: [], length: null })).toMatchObject({ kind: 'none', judged: true, bytes: null, sha256: null, size: 0 })
  })

  it('is not read and marked not judged when it is announced longer than may be judged', async () => {
    const incoming = silent()
    const body = await judge({ incoming, length: 65 })
    expect(body).toEqual({ kind: 'json', parsed: undefined, bytes: null, sha256: null, size: 65, judged: false })
    expect(incoming.readableFlowing).toBeNull()
  })

  it('is refused as soon as it turns out longer than may be judged', async () => {
    const incoming = silent()
    const answer = refused({ incoming, length: null })
    incoming.push(Buffer.alloc(65, 0x20))
    expect(await answer).toBe('listen.too-large')
    expect(incoming.listenerCount('data')).toBe(0)
    expect(incoming.isPaused()).toBe(true)
  })

  it('is held to the limit of the listener as well', async () => {
    expect(await refused({ body: ['[1,2,3,4,5]'], length: null, limit: 10 })).toBe('listen.too-large')
  })

  it('is whole but not judged past a cap on its form', async () => {
    const call = sketchCall({ method: 'POST', headers: [json], body: ['[1,2,3]'] })
    const body = await judgeJson(call, { judged: 64, json: { ...jsonCaps, items: 2 } })
    expect(body).toMatchObject({ kind: 'json', judged: false, parsed: undefined, size: 7, sha256: hash('sha256', '[1,2,3]', 'hex') })
    expect(Buffer.from(body.bytes ?? []).toString()).toBe('[1,2,3]')
  })

  it('lets a waiting client send before it is read, and not when it is not read', async () => {
    let continued = 0
    const waiting = { continue: () => void continued++ }
    await judge({ body: ['1'], ...waiting })
    expect(continued).toBe(1)
    await judge({ incoming: silent(), length: 65, ...waiting })
    expect(continued).toBe(1)
  })

  it.each([
    ['application/json', 'judged'],
    ['application/json; charset=utf-8', 'judged'],
    ['Application/JSON;charset="UTF-8"', 'judged'],
    ['application/vnd.api+json', 'judged'],
    ['application/json; profile="x"', 'judged'],
    ['application/x-amz-json-1.0', 'judged'],
    ['application/x-amz-json-1.1; charset=utf-8', 'judged'],
    ['application/x-amz-json-2.0', 'match.body'],
    ['application/x-amz-json-1.0+cbor', 'match.body'],
    ['application/json; charset=utf-16', 'match.body'],
    ['application/json; charset=utf-8; charset=utf-16', 'match.body'],
    ['application/json; charset=utf-8; charset=utf-8', 'match.body'],
    ['application/json; charset', 'match.body'],
    ['application/json, text/plain', 'match.body'],
    ['application/json; a="b;charset=utf-16"', 'match.body'],
    ['application/jsonx', 'match.body'],
    ['application/x-ndjson', 'match.body'],
    ['text/json', 'match.body'],
    ['application/x-www-form-urlencoded', 'match.body'],
    ['', 'match.body'],
    [`application/json; a=${'b'.repeat(300)}`, 'match.body'],
  ])('of type %j is %s', async (type, expected) => {
    expect(await refused({ headers: [['content-type', type]], body: ['1'] })).toBe(expected)
  })

  it.each([
    ['identity', 'judged'],
    ['gzip', 'match.body'],
    ['identity, gzip', 'match.body'],
    ['', 'match.body'],
  ])('of coding %j is %s', async (coding, expected) => {
    expect(await refused({ headers: [json, ['content-encoding', coding]], body: ['1'] })).toBe(expected)
  })

  it('is refused without a type, with two of them, and when two readers could differ on it', async () => {
    expect(await refused({ headers: [], body: ['1'] })).toBe('match.body')
    expect(await refused({ headers: [json, json], body: ['1'] })).toBe('match.body')
    expect(await refused({ body: ['{"a":1,"a":2}'] })).toBe('match.body')
  })

  it('ends the call with the reason it was cut for', async () => {
    const controller = new AbortController()
    const answer = refused({ incoming: silent(), length: null, signal: controller.signal })
    controller.abort(new Refusal('task.ended'))
    expect(await answer).toBe('task.ended')
    expect(await refused({ incoming: silent(), length: null, signal: controller.signal })).toBe('task.ended')
  })

  it('ends the call when the client leaves in the middle of it', async () => {
    const incoming = silent()
    const answer = refused({ incoming, length: 20 })
    incoming.push('{"a"')
    incoming.destroy(new Error('aborted'))
    expect(await answer).toBe('listen.malformed')
    expect(await refused({ incoming, length: 20 })).toBe('listen.malformed')
    expect(await refused({ incoming: silent(), length: 20, signal: AbortSignal.abort(new ClientGone()) })).toBe('listen.malformed')
  })
})
