import http from 'node:http'
import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../../src/forward/forward.ts'
import type { Refusal } from '../../../src/refusal.ts'
import { sketchLease, startRig, type Rig, type RigOptions } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'
import { answering, rawClient, rawServer } from '../../support/sockets.ts'

closeAfterEach()

interface Answered {
  readonly text: string
  readonly end: Outcome | Refusal
  readonly rig: Rig
}

/** The upstream says these bytes and closes; gives what the agent saw on its own connection. */
async function answered(
  bytes: string,
  options: RigOptions = {},
  request = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
): Promise<Answered> {
  const upstream = await opened(
    rawServer(async (connection) => {
      await connection.until((text) => text.includes('\r\n\r\n'))
      connection.socket.end(bytes, 'latin1')
    }),
  )
  const rig = await opened(startRig(upstream.port, options))
  const client = await rawClient(rig.port)
  client.socket.write(request)
  const end = await rig.end(0)
  await client.closed
  return { text: client.text(), end, rig }
}

const body = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)

describe('answers', () => {
  test.each([
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'hello'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', '5\r\nhello\r\n0\r\n\r\n'],
    ['the end of the connection', 'HTTP/1.1 200 OK\r\n\r\nhello', '5\r\nhello\r\n0\r\n\r\n'],
    ['the end of an HTTP/1.0 connection', 'HTTP/1.0 200 OK\r\n\r\nhello', '5\r\nhello\r\n0\r\n\r\n'],
  ])('a body framed by %s arrives whole', async (_how, bytes, expected) => {
    const { text, end } = await answered(bytes)
    expect(body(text)).toBe(expected)
    expect(end).toMatchObject({ status: 200, ended: 'complete', bytesIn: 5 })
  })

  test.each([1, 32, 100])('%i times every byte there is arrives as it was sent', async (times) => {
    const every = String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code)).repeat(times)
    const { text, end } = await answered(`HTTP/1.1 200 OK\r\nContent-Length: ${every.length}\r\n\r\n${every}`)
    expect(body(text) === every).toBe(true)
    expect(end).toMatchObject({ status: 200, ended: 'complete', bytesIn: every.length })
  })

  test('an HTTP/1.0 agent gets no chunks and no trailers', async () => {
    const bytes = 'HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n'
    const { text } = await answered(bytes, {}, 'GET / HTTP/1.0\r\nHost: x\r\n\r\n')
    expect(body(text)).toBe('hello')
    expect(text).not.toMatch(/chunked|trailer/i)
  })

  test('HEAD has the fields of a body and no body', async () => {
    const { text, end } = await answered(
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      {},
      'HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    )
    expect(text).toMatch(/\r\ncontent-length: 5\r\n/)
    expect(body(text)).toBe('')
    expect(end).toMatchObject({ status: 200, ended: 'complete', bytesIn: 0 })
  })

  test.each([204, 304])('%i has no body, even where one is announced', async (status) => {
    const { text, end } = await answered(`HTTP/1.1 ${status} X\r\nContent-Length: 5\r\nETag: "1"\r\n\r\n`)
    expect(body(text)).toBe('')
    expect(text).toMatch(/etag: "1"/)
    expect(end).toMatchObject({ status, ended: 'complete' })
  })

  test('declared trailers follow, forbidden and undeclared ones do not (RFC 9110 §6.5)', async () => {
    const bytes =
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum, Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\nX-More: 2\r\n\r\n'
    const { text } = await answered(bytes)
    expect(text).toMatch(/\r\ntrailer: x-sum\r\n/)
    expect(body(text)).toBe('5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n')
  })

  test('early hints are dropped and the answer is awaited', async () => {
    const { text } = await answered('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(body(text)).toBe('ok')
  })

  test('cookies, challenges and hop-by-hop fields of a credentialed route end here', async () => {
    const { text } = await answered(
      'HTTP/1.1 401 Unauthorized\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nWWW-Authenticate: Basic realm=x\r\nProxy-Authenticate: Basic\r\nConnection: x-hop\r\nX-Hop: 1\r\n' +
        'Countersign-Decision: deny\r\nX-Echo: Bearer s3cr3t-lent-to-one-task\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nno',
      { lease: sketchLease(), route: { credential: 'crm' } },
    )
    expect(text).not.toMatch(/set-cookie|www-auth|proxy-auth|x-hop|x-echo|s3cr3t|deny/i)
    expect(text).toMatch(/\r\nx-kept: 1\r\n/)
    expect(text.match(/countersign-decision: allow/g)).toHaveLength(1)
    expect(text).toMatch(/countersign-call: c_/)
  })

  test('a lent secret that the upstream echoes in its body is masked, also where the body is cut in two', async () => {
    const echo = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nsaw s3cr3t-l\r\n15\r\nent-to-one-task, bye!\r\n0\r\n\r\n'
    const lent = { lease: sketchLease(), route: { credential: 'crm' } }
    const { text } = await answered(echo, lent)
    expect(text).not.toMatch(/s3cr3t|one-task/)
    expect(text).toContain(', bye!')
    const announced = await answered('HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\nsaw s3cr3t-lent-to-one-task', lent)
    expect(body(announced.text)).toBe(`saw ${'*'.repeat(23)}`)
  })

  test.each([
    ['a plain phrase passes', '201 Made It', '201 Made It'],
    ['an odd phrase is replaced', '200 \x01odd', '200 OK'],
    ['an empty one too', '200 ', '200 OK'],
  ])('%s', async (_what, line, expected) => {
    const { text } = await answered(`HTTP/1.1 ${line}\r\nContent-Length: 2\r\n\r\nok`)
    expect(text.slice(0, text.indexOf('\r\n'))).toBe(`HTTP/1.1 ${expected}`)
  })

  test.each<[string, string]>([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'],
    ['two equal lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello'],
    ['length, then chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['chunks, then length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello'],
    ['a signed length', 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello'],
    ['a hexadecimal length', 'HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello'],
    ['a length beyond counting', `HTTP/1.1 200 OK\r\nContent-Length: ${'9'.repeat(24)}\r\n\r\nhello`],
    ['another transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['an unknown transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nhello'],
    ['chunked twice', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 5\n\nhello'],
    ['one bare line feed', 'HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\r\nhello'],
    ['a bare carriage return', 'HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 5\r\n\r\nhello'],
    ['a NUL', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello'],
    ['a control byte', 'HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 5\r\n\r\nhello'],
    ['a folded field', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello'],
    ['a blank before the colon', 'HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 5\r\n\r\nhello'],
    ['huge fields', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`],
    ['too many fields', `HTTP/1.1 200 OK\r\n${'X: a\r\n'.repeat(300)}\r\n`],
    ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['a bare 101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['a 100 nobody asked for', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['hints without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(40)],
    ['status 999', 'HTTP/1.1 999 X\r\nContent-Length: 5\r\n\r\nhello'],
    ['status 600', 'HTTP/1.1 600 X\r\nContent-Length: 5\r\n\r\nhello'],
    ['status 099', 'HTTP/1.1 099 X\r\nContent-Length: 5\r\n\r\nhello'],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.9\r\n'],
    ['HTTP/0.9', 'hello'],
    ['two locations', 'HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n'],
  ])('refused: %s', async (_what, bytes) => {
    const { text, end } = await answered(bytes)
    expect(end).toMatchObject({ code: 'forward.response-refused' })
    expect(text).toMatch(/^HTTP\/1\.1 502 /)
    expect(body(text)).toContain('{"code":"forward.response-refused","status":502,"reasons":[]}')
  })

  test.each<[string, string]>([
    ['a chunk size in line feeds', '5\nhello\n0\n\n'],
    ['a chunk size with a prefix', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size beyond counting', 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
    ['a chunk longer than it says', '3\r\nhello\r\n0\r\n\r\n'],
    ['an end in the middle of a chunk', '9\r\nhello'],
    ['an end between chunks', '5\r\nhello\r\n'],
  ])('never seen as complete: %s', async (_what, chunks) => {
    const { text, end } = await answered(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`)
    expect(end).toMatchObject({ status: 200, ended: 'upstream-gone' })
    expect(text).not.toMatch(/\r\n0\r\n\r\n$/)
  })

  test('a body shorter than its length is cut short for the agent too', async () => {
    const { text, end } = await answered('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello')
    expect(end).toMatchObject({ ended: 'upstream-gone', bytesIn: 5 })
    expect(text).toMatch(/content-length: 9\r\n/)
    expect(body(text).length).toBeLessThan(9)
  })

  test('a part of a body that only the end of the connection ends is reset, not ended', async () => {
    const upstream = await opened(
      rawServer(async (connection) => {
        await connection.until((text) => text.includes('\r\n\r\n'))
        connection.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
      }),
    )
    const rig = await opened(startRig(upstream.port))
    const client = await rawClient(rig.port)
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => client.socket.once('error', resolve))
    client.socket.write('GET / HTTP/1.0\r\nHost: x\r\n\r\n')
    await client.until((text) => text.endsWith('hello'))
    ;(await upstream.connection(0)).socket.destroy()
    expect((await failed).code).toBe('ECONNRESET')
  })

  test('bytes after an answer never become the answer to another call', async () => {
    const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nEVIL!'
    const upstream = await opened(rawServer(answering(poison)))
    const rig = await opened(startRig(upstream.port))
    for (let turn = 0; turn < 5; turn++) expect(await (await fetch(rig.url)).text()).toBe('hello')
  })

  test('an upstream that closes its idle connections costs no call', async () => {
    const server = http.createServer({ keepAlive: true }, (_request, response) => {
      response.end('ok')
      response.on('finish', () => setImmediate(() => response.socket?.destroy()))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const rig = await opened(startRig((server.address() as { port: number }).port))
    for (let turn = 0; turn < 20; turn++) {
      expect(await (await fetch(rig.url)).text()).toBe('ok')
      await new Promise((resolve) => setImmediate(resolve))
      await new Promise((resolve) => setImmediate(resolve))
    }
    server.close()
  })
})
