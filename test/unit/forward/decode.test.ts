import { createServer, request, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { brotliCompressSync, constants, createGzip, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import type { Find } from '../../../src/forward/finds.ts'
import { sketchLease, startRig, type Rig, type RigOptions } from '../../support/forward-rig.ts'

const secret = 's3cr3t-lent-to-one-task'
const text = Buffer.from(`{"token":"${secret}","basic":"${btoa(`me:${secret}`)}","words":"${'many words and numbers '.repeat(3000)}"}`)
const masked = text
  .toString()
  .replace(secret, '*'.repeat(23))
  .replace(/(?<="basic":"bWU6)[^"=]+/, (pair) => '*'.repeat(pair.length))

const open: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

interface Got {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  /** False for a body that broke off. */
  readonly whole: boolean
}

interface World {
  readonly rig: Rig
  readonly finds: Find[]
  readonly ask: (method?: string) => Promise<Got>
  /** The head of an answer whose body is not read yet. */
  readonly begin: () => Promise<IncomingMessage>
}

/** An upstream that answers so, behind a route with a credential unless told otherwise. */
async function world(answer: RequestListener, options: RigOptions = {}): Promise<World> {
  const server: Server = createServer(answer)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  open.push(() => {
    server.close()
    server.closeAllConnections()
  })
  const finds: Find[] = []
  const forward = { echoed: (_permit: unknown, _lease: unknown, find: Find) => void finds.push(find) }
  const lent = { lease: sketchLease(), route: { credential: 'crm' }, forward }
  const rig = await startRig((server.address() as AddressInfo).port, { ...lent, ...options })
  open.push(() => rig.close())
  const begin = (method = 'GET'): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      request({ port: rig.port, host: '127.0.0.1', method, agent: false }, resolve).on('error', reject).end()
    })
  const ask = async (method = 'GET'): Promise<Got> => {
    const answered = await begin(method)
    const parts: Buffer[] = []
    answered.on('data', (part: Buffer) => parts.push(part)).on('error', () => undefined)
    await new Promise((resolve) => answered.on('close', resolve))
    return { status: answered.statusCode ?? 0, headers: answered.headers, body: Buffer.concat(parts), whole: answered.complete }
  }
  return { rig, finds, ask, begin }
}

/** Sends the body with these fields in pieces that say nothing of where its parts begin. */
function coded(coding: string, body: Buffer, more: Readonly<Record<string, string>> = {}, status = 200): RequestListener {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', 'content-encoding': coding, ...more })
    for (let at = 0; at < body.length; at += 977) response.write(body.subarray(at, at + 977))
    response.end()
  }
}

const codings: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
  ['gzip', (bytes) => gzipSync(bytes)],
  ['x-gzip', (bytes) => gzipSync(bytes)],
  ['GZIP', (bytes) => gzipSync(bytes)],
  ['deflate', (bytes) => deflateSync(bytes)],
  ['br', (bytes) => brotliCompressSync(bytes)],
  ['zstd', (bytes) => zstdCompressSync(bytes)],
  ['identity, gzip', (bytes) => gzipSync(bytes)],
  ['gzip, br', (bytes) => brotliCompressSync(gzipSync(bytes))],
  ['deflate, zstd, gzip', (bytes) => gzipSync(zstdCompressSync(deflateSync(bytes)))],
]

describe('a coded answer of a route with a credential', () => {
  test.each(codings)('of %s is decoded, searched and handed on as it is', async (coding, encode) => {
    const body = encode(text)
    const { ask, finds } = await world(
      coded(coding, body, { etag: '"1"', 'content-digest': 'sha-256=:x:', 'content-length': `${body.length}`, 'x-a': '1' }),
    )
    const got = await ask()
    expect(got).toMatchObject({ status: 200, whole: true, headers: { 'content-type': 'application/json', 'x-a': '1' } })
    expect(got.body.toString()).toBe(masked)
    for (const name of ['content-encoding', 'etag', 'content-digest', 'content-length']) expect(got.headers).not.toHaveProperty(name)
    expect(finds).toEqual([{ where: 'coded', first: true }])
  })

  test('of deflate without its frame is decoded too', async () => {
    const { ask } = await world(coded('deflate', deflateRawSync(text)))
    expect((await ask()).body.toString()).toBe(masked)
  })

  test('of two members of gzip is decoded to its end', async () => {
    const { ask } = await world(coded('gzip', Buffer.concat([gzipSync(text), gzipSync(text)])))
    expect((await ask()).body.toString()).toBe(masked + masked)
  })

  test.each([
    ['a coding nobody knows', coded('unheard-of', text)],
    ['compress, which nothing here undoes', coded('compress', text)],
    ['a known coding under an unknown one', coded('gzip, dcb', gzipSync(text))],
    ['four codings', coded('gzip, gzip, gzip, gzip', gzipSync(gzipSync(gzipSync(gzipSync(text)))))],
    ['a part of a coded body', coded('gzip', gzipSync(text).subarray(100), { 'content-range': 'bytes 100-200/300' }, 206)],
    ['a name that objects have', coded('constructor', text)],
  ])('that cannot be decoded is refused: %s', async (_what, answer) => {
    const { ask, rig } = await world(answer)
    const got = await ask()
    expect(got.status).toBe(502)
    expect(got.body.toString()).not.toContain('s3cr3t')
    expect(await rig.end(0)).toMatchObject({ code: 'forward.response-refused' })
  })

  test('that cannot be decoded passes on a route that says so, and what can be is decoded there too', async () => {
    const route = { credential: 'crm', unsafeCoded: true }
    const unknown = await world(coded('unheard-of', text), { lease: sketchLease(), route })
    expect((await unknown.ask()).headers['content-encoding']).toBe('unheard-of')
    const known = await world(coded('gzip', gzipSync(text)), { lease: sketchLease(), route })
    expect((await known.ask()).body.toString()).toBe(masked)
  })

  test.each([
    ['damaged at its begin', Buffer.from('this is no gzip at all')],
    ['damaged in the middle', Buffer.concat([gzipSync(text).subarray(0, 300), Buffer.alloc(900, 7)])],
    ['cut short', gzipSync(text).subarray(0, -9)],
    ['with a wrong checksum', Buffer.concat([gzipSync(text).subarray(0, -8), Buffer.alloc(8, 1)])],
  ])('is never seen as complete when it is %s', async (_how, body) => {
    const { ask, rig } = await world(coded('gzip', body))
    const got = await ask().catch(() => null)
    if (got?.status === 200) expect(got.whole).toBe(false)
    expect(await rig.end(0)).toMatchObject(got?.status === 502 ? { code: 'forward.response-refused' } : { ended: 'cut' })
  })

  test.each([
    ['gzip', gzipSync(Buffer.alloc(64 * 1024 * 1024))],
    ['zstd', zstdCompressSync(Buffer.alloc(256 * 1024 * 1024))],
    ['br, gzip', gzipSync(brotliCompressSync(Buffer.alloc(64 * 1024 * 1024), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }))],
  ])('that grows without end is cut: %s', async (coding, body) => {
    const { ask, rig } = await world(coded(coding, body))
    const got = await ask()
    expect(got.whole).toBe(false)
    expect(got.body.length).toBeLessThan(18 * 1024 * 1024)
    expect(await rig.end(0)).toMatchObject({ ended: 'cut' })
  })

  test('waits for an agent that does not read', async () => {
    const words = Buffer.from(`${'words of an answer '.repeat(40)}${secret}\n`)
    const body = Buffer.concat(Array.from({ length: 40_000 }, (_, index) => Buffer.from(`${index * 7919}${words.toString()}`)))
    const { begin, rig } = await world(coded('gzip', gzipSync(body)))
    const answered = await begin()
    answered.pause()
    const { outgoing } = rig.calls[0]!
    while (outgoing.writableLength <= 256 * 1024) await new Promise(setImmediate)
    let most = 0
    for (let turn = 0; turn < 3000; turn++) {
      await new Promise(setImmediate)
      most = Math.max(most, outgoing.writableLength)
    }
    expect(most).toBeLessThan(2 * 1024 * 1024)
    let length = 0
    for await (const part of answered) length += (part as Buffer).length
    expect(length).toBe(body.length)
    expect(await rig.end(0)).toMatchObject({ ended: 'complete' })
  })

  test('goes on event by event', async () => {
    const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH })
    const { begin } = await world((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' })
      gzip.pipe(response)
      gzip.write(`data: {"token":"${secret}"}\n\n`)
    })
    const answered = await begin()
    const [first] = (await once(answered, 'data')) as [Buffer]
    expect(first.toString()).toBe(`data: {"token":"${'*'.repeat(23)}"}\n\n`)
    gzip.end('data: [DONE]\n\n')
    const [second] = (await once(answered, 'data')) as [Buffer]
    expect(second.toString()).toBe('data: [DONE]\n\n')
  })

  test('ends with the agent that leaves, and gives its connection back', async () => {
    const { begin, rig } = await world((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.write(gzipSync(text).subarray(0, 400))
    })
    const answered = await begin()
    await once(answered, 'data')
    answered.destroy()
    expect(await rig.end(0)).toMatchObject({ ended: 'client-gone' })
  })

  test.each([
    ['HEAD', 'HEAD', 200],
    ['304', 'GET', 304],
    ['204', 'GET', 204],
  ])('without a body says nothing of how one would be coded: %s', async (_what, method, status) => {
    const { ask } = await world((_request, response) => void response.writeHead(status, { 'content-encoding': 'gzip', 'x-a': '1' }).end())
    const got = await ask(method)
    expect(got).toMatchObject({ status, whole: true, headers: { 'x-a': '1' } })
    expect(got.headers).not.toHaveProperty('content-encoding')
  })

  test.each<[string, RequestListener]>([
    ['announced', (_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': '0' }).end()],
    ['not announced', (_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end()],
  ])('of no bytes is an empty one: %s', async (_what, answer) => {
    const { ask, rig } = await world(answer)
    expect(await ask()).toMatchObject({ status: 200, whole: true, body: Buffer.alloc(0) })
    expect(await rig.end(0)).toMatchObject({ ended: 'complete' })
  })

  test('is searched in parts where it is not coded', async () => {
    const { ask, finds } = await world((_request, response) => {
      response.writeHead(206, { 'content-range': 'bytes 5-27/100', 'content-length': '23' })
      response.end(secret)
    })
    expect(await ask()).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 5-27/100' }, body: Buffer.from('*'.repeat(23)) })
    expect(finds).toEqual([{ where: 'body', first: true }])
  })
})

test('a coded answer of a route without a credential goes by as it came', async () => {
  const body = gzipSync(text)
  const { ask } = await world(coded('gzip', body, { etag: '"1"' }), { lease: null, route: { credential: null } })
  expect(await ask()).toMatchObject({ headers: { 'content-encoding': 'gzip', etag: '"1"' }, body })
})
