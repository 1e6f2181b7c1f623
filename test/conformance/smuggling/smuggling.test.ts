import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenRig, routeAddress, type ListenRig } from '../../support/listen-rig.ts'

let rig: ListenRig

beforeAll(async () => {
  rig = await listenRig({ routes: [routeAddress('crm'), routeAddress('open', { allowBody: true })] })
})
afterAll(async () => rig[Symbol.asyncDispose]())

/** A request that must never be seen behind listen: every hostile case ends with it. */
const smuggled = 'GET /crm/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n'
const head = 'POST /crm/a HTTP/1.1\r\nHost: localhost\r\n'
const chunked = 'Transfer-Encoding: chunked\r\n'

/** Sends hostile bytes; gives the statuses that came back and the targets that got behind listen. */
async function send(bytes: string): Promise<{ readonly statuses: number[]; readonly targets: string[]; readonly text: string }> {
  const before = rig.seen.length
  const client = await rig.client()
  client.socket.write(bytes, 'latin1')
  await client.closed
  const text = client.text()
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((found) => Number(found[1]))
  return { statuses, targets: rig.seen.slice(before).map((call) => call.target), text }
}

/** The same process still answers an honest request, with its own body. */
async function honest(): Promise<void> {
  const before = rig.seen.length
  const [answer] = await rig.exchange(`${head}Content-Length: 5\r\nConnection: close\r\n\r\nhello`)
  expect(answer?.status).toBe(200)
  expect(rig.seen.slice(before).map((call) => call.body)).toEqual(['hello'])
  expect(rig.listening.inFlight).toBe(0)
}

/** Refused once, nothing behind it is read as a request, nothing reaches the stages behind listen. */
async function refused(bytes: string, status = 400): Promise<void> {
  const { statuses, targets } = await send(bytes)
  expect(statuses).toEqual([status])
  expect(targets).toEqual([])
  await honest()
}

describe('RFC 9112 §6.3: two ways to tell where a body ends', () => {
  it.each([
    ['CL.TE', `${head}Content-Length: 6\r\n${chunked}\r\n0\r\n\r\n${smuggled}`],
    ['TE.CL', `${head}${chunked}Content-Length: 4\r\n\r\n5c\r\n${smuggled}\r\n0\r\n\r\n`],
    ['CL.TE with a length of zero', `${head}Content-Length: 0\r\n${chunked}\r\n0\r\n\r\n${smuggled}`],
    ['two lengths that agree', `${head}Content-Length: 1\r\nContent-Length: 1\r\n\r\na${smuggled}`],
    ['two lengths that differ', `${head}Content-Length: 1\r\nContent-Length: 50\r\n\r\na${smuggled}`],
    ['two lengths that differ in case', `${head}Content-Length: 1\r\ncontent-length: 1\r\n\r\na${smuggled}`],
    ['a list of lengths', `${head}Content-Length: 1, 1\r\n\r\na${smuggled}`],
  ])('%s is refused', async (_name, bytes) => refused(bytes))
})

describe('RFC 9112 §6.1: a transfer coding that is not exactly chunked', () => {
  it.each([
    ...'Chunked CHUNKED xchunked "chunked" chunked;x=1 identity gzip chunked,chunked'.split(' '),
    ...'chunked, identity|identity, chunked|gzip, chunked|chunked, chunked||x\r\n chunked|\x0bchunked|chunked\x00'.split('|'),
    'chunked\r\nTransfer-Encoding: identity',
    'identity\r\nTransfer-Encoding: chunked',
    'chunked\r\ntransfer-encoding: chunked',
  ])('%j is refused', async (value) => refused(`${head}Transfer-Encoding: ${value}\r\n\r\n0\r\n\r\n${smuggled}`))

  it.each([
    'Transfer-Encoding : chunked',
    'Transfer-Encoding\t: chunked',
    ' Transfer-Encoding: chunked',
    'Transfer Encoding: chunked',
    'Transfer-Encoding\x0b: chunked',
  ])('the header line %j is refused', async (line) => refused(`${head}${line}\r\n\r\n0\r\n\r\n${smuggled}`))

  it.each(['Transfer_Encoding: chunked', 'Content_Length: 5', 'X_Countersign_Task: x', '__proto__: x'])(
    'the underscore twin %s is refused',
    async (line) => refused(`${head}${line}\r\n\r\n${smuggled}`),
  )
})

describe('RFC 9110 §8.6: a length that is not a plain number', () => {
  it.each(['+1', '-1', '01', '1 1', '0x1', '1e0', '1_0', '1.0', '', '1;', '99999999999999999999', '1\x0b'])(
    '%j is refused',
    async (value) => refused(`${head}Content-Length: ${value}\r\n\r\na${smuggled}`),
  )
})

describe('RFC 9112 §2.2, §5: lines', () => {
  it.each([
    ['obs-fold', `GET /crm/a HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\r\n`],
    ['obs-fold with a tab in a framing header', `${head}Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['bare LF after the request line', `GET /crm/a HTTP/1.1\nHost: localhost\r\n\r\n`],
    ['bare LF after a header', `GET /crm/a HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n`],
    ['bare LF for everything', smuggled.replaceAll('\r', '')],
    ['bare CR in a header', `GET /crm/a HTTP/1.1\r\nHost: localhost\rX-A: b\r\n\r\n`],
    ['a control in a header', `GET /crm/a HTTP/1.1\r\nHost: localhost\r\nX-A: a\x01b\r\n\r\n`],
    ['NUL in a header', `GET /crm/a HTTP/1.1\r\nHost: localhost\r\nX-A: a\x00b\r\n\r\n`],
    ['a line without a colon', `GET /crm/a HTTP/1.1\r\nHost: localhost\r\nX-A\r\n\r\n`],
    ['a header before its name', `GET /crm/a HTTP/1.1\r\n: x\r\nHost: localhost\r\n\r\n`],
    ['whitespace before the first header', `GET /crm/a HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n`],
    ['a blank in the target', `GET /crm/a b HTTP/1.1\r\nHost: localhost\r\n\r\n`],
    ['a byte above ASCII in the target', `GET /crm/\xe9 HTTP/1.1\r\nHost: localhost\r\n\r\n`],
    ['a fragment', `GET /crm/a#b HTTP/1.1\r\nHost: localhost\r\n\r\n`],
    ['an unknown method', `FOO /crm/a HTTP/1.1\r\nHost: localhost\r\n\r\n`],
    ['no HTTP at all', `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03`],
  ])('%s is refused', async (_name, bytes) => refused(bytes))
})

describe('RFC 9112 §7.1: chunks', () => {
  it.each([
    ['a bare LF after the size', `${head}${chunked}\r\n1\na\r\n0\r\n\r\n`],
    ['a size in 0x', `${head}${chunked}\r\n0x1\r\na\r\n0\r\n\r\n`],
    ['a blank before the size', `${head}${chunked}\r\n 1\r\na\r\n0\r\n\r\n`],
    ['a sign', `${head}${chunked}\r\n+1\r\na\r\n0\r\n\r\n`],
    ['too much data', `${head}${chunked}\r\n1\r\nab\r\n0\r\n\r\n`],
    ['a size beyond 64 bits', `${head}${chunked}\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n`],
    ['a bare LF in an extension', `${head}${chunked}\r\n1;a\nb\r\na\r\n0\r\n\r\n`],
    ['an extension without end', `${head}${chunked}\r\n1;${'a'.repeat(20_000)}\r\na\r\n0\r\n\r\n`],
    ['a malformed end after honest chunks', `${head}${chunked}\r\n1\r\na\r\n0\r\nX Y\r\n\r\n`],
  ])('%s is refused, and the body is never taken as whole', async (_name, bytes) => refused(bytes + smuggled))

  it('extensions and trailers are dropped: the body alone goes on', async () => {
    const { statuses, targets } = await send(
      `POST /crm/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${chunked}\r\n1;x=y\r\na\r\n2;z\r\nbc\r\n0\r\nX-Trailer: x\r\n\r\n`,
    )
    expect([statuses, targets, rig.seen.at(-1)?.body]).toEqual([[200], ['/a'], 'abc'])
  })
})

describe('bodies where none belong (RFC 9110 §9.3)', () => {
  const inner = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
  it.each(['DELETE', 'OPTIONS', 'GET', 'HEAD'])('a chunked %s that spells a second request is refused', async (method) =>
    refused(`${method} /crm/a HTTP/1.1\r\nHost: localhost\r\n${chunked}\r\n${inner}`),
  )

  it.each(['DELETE', 'OPTIONS', 'GET'])('on a route that allows them a chunked %s is one request with a body', async (method) => {
    const { statuses, targets } = await send(`${method} /open/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${chunked}\r\n${inner}`)
    expect([statuses, targets, rig.seen.at(-1)?.body]).toEqual([[200], ['/a'], smuggled])
    await honest()
  })
})

describe('who is addressed (RFC 9112 §3.2)', () => {
  it.each([
    ['two Hosts', 'GET /crm/a HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n'],
    ['two Hosts that agree', 'GET /crm/a HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n'],
    ['no Host', 'GET /crm/a HTTP/1.1\r\n\r\n'],
    ['an empty Host', 'GET /crm/a HTTP/1.1\r\nHost:\r\n\r\n'],
    ['userinfo in the Host', 'GET /crm/a HTTP/1.1\r\nHost: user@localhost\r\n\r\n'],
    ['a Host that is not served', 'GET /crm/a HTTP/1.1\r\nHost: evil.example\r\n\r\n'],
    ['absolute-form that disagrees', 'GET http://evil.example/crm/a HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['absolute-form with userinfo', 'GET http://user@localhost/crm/a HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['absolute-form in another scheme', 'GET https://localhost/crm/a HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['asterisk-form', 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['TRACE', 'TRACE /crm/a HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['CONNECT', `CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n${smuggled}`],
    ['HTTP/1.0', 'GET /crm/a HTTP/1.0\r\nHost: localhost\r\n\r\n'],
    ['HTTP/0.9', 'GET /crm/a\r\n\r\n'],
    ['HTTP/2.0 in clear', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a prefix in another version', 'GET /crm/a HTTP/2.0\r\nHost: localhost\r\n\r\n'],
  ])('%s is refused', async (_name, bytes) => refused(bytes))
})

describe('hop-by-hop and upgrade (RFC 9110 §7.6.1, §7.8)', () => {
  it.each(['authorization', 'Content-Length', 'Host', 'x-api-key', 'Cookie', 'Countersign-Task', 'Transfer-Encoding'])(
    'Connection: %s is refused',
    async (name) => refused(`GET /crm/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nConnection: close, ${name}\r\n\r\n`),
  )

  it.each(['h2c', 'websocket', 'websocket, h2c', 'h2c\r\nUpgrade: websocket'])('Upgrade: %s is refused', async (value) =>
    refused(
      `GET /crm/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${value}\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n${smuggled}`,
    ),
  )

  it('an orphan HTTP2-Settings and what Connection names do not go on', async () => {
    await send(
      'GET /crm/a HTTP/1.1\r\nHost: localhost\r\nX-Hop: 1\r\nX-Stay: 2\r\nHTTP2-Settings: AAAA\r\nConnection: close, x-hop\r\n\r\n',
    )
    expect(rig.seen.at(-1)?.headers).toEqual(['host', 'localhost', 'x-stay', '2', 'connection', 'close, x-hop'])
  })

  it.each(['100-continue, x', 'nothing'])('Expect: %s is refused', async (value) =>
    refused(`${head}Expect: ${value}\r\nContent-Length: 1\r\n\r\na${smuggled}`),
  )
})

describe('every answer to hostile bytes', () => {
  it('closes the connection and repeats none of them', async () => {
    const { text } = await send(`GET /crm/../canary-in-path HTTP/1.1\r\nHost: localhost\r\nX-A: canary-in-header\r\n\r\n${smuggled}`)
    expect(text).toMatch(/\r\nConnection: close\r\n/)
    expect(text).not.toContain('canary')
  })
})
