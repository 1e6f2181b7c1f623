import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../../src/forward/forward.ts'
import { sketchLease, startRig, type Rig, type RigOptions } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'
import { answering, rawClient, rawServer, wholeRequest, type RawServer } from '../../support/sockets.ts'

closeAfterEach()

const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'

async function pair(options: RigOptions = {}, answer = ok): Promise<{ upstream: RawServer; rig: Rig }> {
  const upstream = await opened(rawServer(answering(answer)))
  return { upstream, rig: await opened(startRig(upstream.port, options)) }
}

/** Sends one request as it stands; gives what the upstream saw of it. */
async function seen(request: string, options: RigOptions = {}): Promise<{ text: string; outcome: Outcome }> {
  const { upstream, rig } = await pair(options)
  const client = await rawClient(rig.port)
  client.socket.write(request, 'latin1')
  const outcome = (await rig.end(0)) as Outcome
  client.socket.destroy()
  return { text: (await upstream.connection(0)).text(), outcome }
}

describe('what goes upstream', () => {
  test.each([
    '/',
    '/customers/42',
    '/a%7Eb/%41/%2f?x=%zz',
    '/?',
    '/??a=b?c',
    '/a;b=c/d,e/(f)/[g]',
    "/x?q='or'1'='1&e=..%2F..&f=/../",
    '/a:b@c/!$&*+',
    '/lower%c3%a9%C3%A9',
    `/${'a'.repeat(7000)}`,
  ])('the request target is forwarded byte for byte: %s', async (target) => {
    const { text } = await seen(`GET /crm${target} HTTP/1.1\r\nHost: x\r\n\r\n`, { prefix: '/crm', basePath: '/api' })
    expect(text.slice(0, text.indexOf('\r\n'))).toBe(`GET /api${target} HTTP/1.1`)
  })

  test('a judged body is forwarded byte for byte with its length (invariant 6)', async () => {
    const body = '{"a":\t1.0,"b":"\xc3\xa9\\u00e9"} '
    const { text, outcome } = await seen(
      `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)};e=1\r\n${body}\r\n0\r\n\r\n`,
      {
        judge: true,
      },
    )
    expect(text).toMatch(new RegExp(`\\r\\ncontent-length: ${body.length}\\r\\n`))
    expect(text).not.toMatch(/transfer-encoding/i)
    expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe(body)
    expect(outcome).toMatchObject({ bytesOut: body.length, bodySha256: null })
  })

  test('a streamed body that has arrived whole goes in one piece, with its digest', async () => {
    const { text, outcome } = await seen('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
    expect(text).toMatch(/\r\ncontent-length: 5\r\n\r\nhello$/)
    expect(outcome).toMatchObject({ bytesOut: 5, bodySha256: createHash('sha256').update('hello').digest('hex') })
  })

  test('a chunked body stays chunked, without the extensions and trailers of the agent, with its digest', async () => {
    const request =
      'PUT / HTTP/1.1\r\nHost: x\r\nTrailer: x-t\r\nTransfer-Encoding: chunked\r\n\r\n5;ext="a"\r\nhello\r\n1\r\n!\r\n0\r\nX-T: v\r\n\r\n'
    const { text, outcome } = await seen(request)
    expect(text).toMatch(/\r\ntransfer-encoding: chunked\r\n/)
    expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toMatch(/^(5\r\nhello\r\n1\r\n!|6\r\nhello!)\r\n0\r\n\r\n$/)
    expect(text).not.toMatch(/x-t|ext=/i)
    expect(outcome).toMatchObject({ bytesOut: 6, bodySha256: createHash('sha256').update('hello!').digest('hex') })
  })

  test.each(['DELETE', 'OPTIONS', 'GET', 'PATCH'])('a chunked %s cannot smuggle a second request', async (method) => {
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
    const request = `${method} /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
    const { text } = await seen(request)
    const body = text.slice(text.indexOf('\r\n\r\n') + 4)
    const framed = text.includes('\r\ntransfer-encoding: chunked\r\n')
      ? `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
      : smuggled
    expect(body).toBe(framed)
    if (body === smuggled) expect(text).toContain(`\r\ncontent-length: ${smuggled.length}\r\n`)
  })

  test('no hop-by-hop field passes, nor one that Connection names (RFC 9110 §7.6.1)', async () => {
    const { text } = await seen(
      'GET / HTTP/1.1\r\nHost: agent.example\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nTE: trailers\r\n' +
        'Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nHTTP2-Settings: AAMAAABkAAQ\r\nX-End: 2\r\n\r\n',
    )
    expect(text).toMatch(/^GET \/ HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\nconnection: keep-alive\r\nx-end: 2\r\n\r\n$/)
  })

  test('the lease is the last field, and nothing is left of the credentials of the agent (invariant 5)', async () => {
    const { text } = await seen(
      'GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer agent-token\r\nX-Api-Key: agent-token\r\nX-Goog-Api-Key: agent-token\r\n' +
        'Cookie: session=agent-token\r\nProxy-Authorization: Bearer agent-token\r\nCountersign-Task: t_1\r\nAccept-Encoding: br\r\nX-Kept: 1\r\n\r\n',
      { lease: sketchLease(), route: { credential: 'crm' } },
    )
    expect(text).not.toContain('agent-token')
    expect(text).not.toMatch(/countersign|cookie|x-api-key|x-goog|: br/i)
    expect(text).toMatch(/x-kept: 1\r\naccept-encoding: identity\r\nauthorization: Bearer s3cr3t-lent-to-one-task\r\n\r\n$/)
  })

  test('a lease in the query comes after the bytes of the agent', async () => {
    const { text } = await seen('GET /a?b=%63 HTTP/1.1\r\nHost: x\r\n\r\n', {
      lease: sketchLease({ placement: { in: 'query', name: 'key' } }),
      route: { credential: 'maps' },
    })
    expect(text).toMatch(/^GET \/a\?b=%63&key=s3cr3t-lent-to-one-task HTTP/)
  })

  test('a permit that no decision minted sends nothing', async () => {
    const { upstream, rig } = await pair({
      forward: {
        check: () => {
          throw new Error('not minted')
        },
      },
    })
    const answer = await fetch(rig.url)
    expect(answer.status).toBe(500)
    expect(upstream.connections).toHaveLength(0)
  })

  test('two calls use one connection, one after the other', async () => {
    const upstream = await opened(
      rawServer(async (connection) => {
        for (const turn of [1, 2]) {
          await connection.until((text) => text.split('\r\n\r\n').length > turn && wholeRequest(text))
          connection.socket.write(ok)
        }
      }),
    )
    const rig = await opened(startRig(upstream.port))
    for (const path of ['/one', '/two']) expect(await (await fetch(rig.url + path)).text()).toBe('ok')
    expect(upstream.connections).toHaveLength(1)
    const [first, second] = rig.ends as Outcome[]
    expect(first).toMatchObject({ status: 200, ended: 'complete', bytesIn: 2, dialled: `127.0.0.1:${upstream.port}` })
    expect(second).toEqual(first)
  })
})
