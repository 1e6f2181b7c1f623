import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../../src/forward/forward.ts'
import { Refusal } from '../../../src/refusal.ts'
import { startRig, type Rig, type RigOptions } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'
import { rawClient, rawServer, type RawConnection, type RawServer } from '../../support/sockets.ts'

closeAfterEach()

const MiB = 1024 * 1024
const head = (text: string): boolean => text.includes('\r\n\r\n')

async function pair(
  speak: (connection: RawConnection) => void | Promise<void>,
  options: RigOptions = {},
): Promise<{ upstream: RawServer; rig: Rig }> {
  const upstream = await opened(rawServer(speak))
  return { upstream, rig: await opened(startRig(upstream.port, options)) }
}

const timeouts = (first: number, idle: number): RigOptions => ({ route: { timeouts: { connect: 1000, head: first, idle } } })

describe('streams', () => {
  test('an event passes before the stream ends, and so does its head', async () => {
    const { upstream, rig } = await pair(async (connection) => {
      await connection.until(head)
      connection.socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
    })
    const client = await rawClient(rig.port)
    client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await client.until(head)
    const { socket } = await upstream.connection(0)
    for (const event of ['data: one\n\n', 'data: two\n\n']) {
      socket.write(`${event.length.toString(16)}\r\n${event}\r\n`)
      expect(await client.until((text) => text.includes(event))).toContain(event)
    }
    expect(rig.ends).toHaveLength(0)
    socket.write('0\r\n\r\n')
    expect(await rig.end(0)).toMatchObject({ ended: 'complete', bytesIn: 22 })
    client.socket.destroy()
  })

  test('a large body passes both ways whole, each byte once', async () => {
    const echo = http.createServer((request, response) => request.pipe(response))
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
    const rig = await opened(startRig((echo.address() as { port: number }).port))
    const sent = randomBytes(8 * MiB)
    const back = await new Promise<Buffer>((resolve, reject) => {
      const request = http.request(rig.url, { method: 'POST', headers: { 'content-length': sent.length } }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)))
      })
      request.on('error', reject).end(sent)
    })
    expect(back.equals(sent)).toBe(true)
    const digest = createHash('sha256').update(sent).digest('hex')
    expect(await rig.end(0)).toMatchObject({ bytesOut: sent.length, bytesIn: sent.length, bodySha256: digest, ended: 'complete' })
    echo.close()
  })

  test('an agent that reads nothing holds the upstream back, and is cut when it stays so', async () => {
    const { upstream, rig } = await pair(
      async (connection) => {
        await connection.until(head)
        connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${512 * MiB}\r\n\r\n`)
        const chunk = Buffer.alloc(MiB)
        const more = (): void => {
          while (!connection.socket.destroyed && connection.socket.write(chunk));
        }
        connection.socket.on('drain', more)
        more()
      },
      timeouts(1000, 300),
    )
    const client = await rawClient(rig.port)
    client.socket.pause()
    client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const outcome = (await rig.end(0)) as Outcome
    expect(outcome.ended).toBe('client-gone')
    expect(outcome.bytesIn).toBeLessThan(32 * MiB)
    await (
      await upstream.connection(0)
    ).closed
    client.socket.destroy()
  })

  test('what is queued for a slow agent stays within the limit', async () => {
    const total = 24 * MiB
    let peak = 0
    const rigs: Rig[] = []
    const { rig } = await pair(async (connection) => {
      await connection.until(head)
      connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      for (let sent = 0; sent < total; sent += 64 * 1024) {
        await new Promise((resolve) => connection.socket.write(Buffer.alloc(64 * 1024), resolve))
        peak = Math.max(peak, rigs[0]?.calls[0]?.outgoing.writableLength ?? 0)
      }
    })
    rigs.push(rig)
    const answer = await fetch(rig.url)
    let read = 0
    for await (const chunk of answer.body!) {
      read += chunk.length
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(read).toBe(total)
    expect(peak).toBeLessThan(MiB)
  })

  test('an upstream that takes nothing holds the agent back, and is given up when it stays so', async () => {
    const { rig } = await pair((connection) => void connection.socket.pause(), timeouts(300, 1000))
    const client = await rawClient(rig.port)
    client.socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${512 * MiB}\r\n\r\n`)
    const chunk = Buffer.alloc(MiB)
    const more = (): void => {
      while (!client.socket.destroyed && client.socket.write(chunk));
    }
    client.socket.on('drain', more)
    more()
    expect(await rig.end(0)).toMatchObject({ code: 'forward.timeout' })
    expect(rig.calls[0]!.incoming.socket.bytesRead).toBeLessThan(32 * MiB)
    client.socket.destroy()
  })

  test('when the agent leaves, the upstream connection ends (answer under way)', async () => {
    const { upstream, rig } = await pair(async (connection) => {
      await connection.until(head)
      connection.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
    })
    const client = await rawClient(rig.port)
    client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await client.until((text) => text.includes('\r\na\r\n'))
    client.socket.destroy()
    expect(await rig.end(0)).toMatchObject({ ended: 'client-gone', status: 200, bytesIn: 1 })
    await (
      await upstream.connection(0)
    ).closed
  })

  test('when the agent leaves, the upstream connection ends (no answer yet)', async () => {
    const { upstream, rig } = await pair(() => undefined)
    const client = await rawClient(rig.port)
    client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const connection = await upstream.connection(0)
    await connection.until(head)
    client.socket.destroy()
    expect(await rig.end(0)).toMatchObject({ ended: 'client-gone', status: null })
    await connection.closed
  })

  test('when the agent leaves, a connection that is still being made ends too', async () => {
    let asked = (): void => undefined
    const resolving = new Promise<void>((resolve) => (asked = resolve))
    const to = {
      origin: 'http://crm.acme.example',
      scheme: 'http',
      authority: 'crm.acme.example',
      hostname: 'crm.acme.example',
      port: 80,
      basePath: '',
    } as const
    const never = new Promise<never>(() => undefined)
    const { rig } = await pair(() => undefined, { route: { to }, forward: { lookup: () => (asked(), never) } })
    const client = await rawClient(rig.port)
    client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await resolving
    client.socket.destroy()
    expect(await rig.end(0)).toEqual({
      status: null,
      ended: 'client-gone',
      bytesOut: 0,
      bytesIn: 0,
      bodySha256: null,
      dialled: null,
      proven: null,
    })
  })

  test.each([
    ['the agent leaves in the middle of it', 'a\r\n0123', true],
    ['a chunk is malformed', 'a\r\n0123456789\r\nzz\r\n', false],
  ])('an upload is never complete for the upstream when %s', async (_what, chunks, leave) => {
    const { upstream, rig } = await pair(() => undefined)
    const client = await rawClient(rig.port)
    client.socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n')
    const connection = await upstream.connection(0)
    await connection.until((text) => text.includes('wxyz'))
    client.socket.write(chunks)
    if (leave) client.socket.end(() => client.socket.destroy())
    expect(await rig.end(0)).toMatchObject({ ended: 'client-gone', status: null, bodySha256: null })
    await connection.closed
    expect(connection.text()).not.toMatch(/\r\n0\r\n\r\n/)
    client.socket.destroy()
  })

  test('an upload past the limit is refused and never complete for the upstream', async () => {
    const { upstream, rig } = await pair(() => undefined, { limit: 100 })
    const client = await rawClient(rig.port)
    client.socket.write(`POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n${'x'.repeat(64)}\r\n`)
    const connection = await upstream.connection(0)
    await connection.until((text) => text.includes('xxx'))
    client.socket.write(`40\r\n${'x'.repeat(64)}\r\n0\r\n\r\n`)
    expect(await rig.end(0)).toMatchObject({ code: 'listen.too-large' })
    await connection.closed
    expect(connection.text()).not.toMatch(/\r\n0\r\n\r\n/)
    client.socket.destroy()
  })

  test('100 Continue is given when the body is about to be read, and Expect is not passed on', async () => {
    const { upstream, rig } = await pair(async (connection) => {
      await connection.until((text) => text.endsWith('hello'))
      connection.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    const client = await rawClient(rig.port)
    client.socket.write('POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    expect(await client.until(head)).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    client.socket.write('hello')
    expect(await client.until((text) => text.endsWith('ok'))).toMatch(/HTTP\/1\.1 200 OK/)
    expect((await upstream.connection(0)).text()).not.toMatch(/expect/i)
    client.socket.destroy()
  })

  test('an early answer reaches the agent, whose connection then closes', async () => {
    const { upstream, rig } = await pair(async (connection) => {
      await connection.until((text) => text.includes('first'))
      connection.socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno')
    })
    const client = await rawClient(rig.port)
    client.socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nfirst')
    const text = await client.until((seen) => seen.endsWith('no'))
    expect(text).toMatch(/^HTTP\/1\.1 413 .*\r\n/)
    expect(text).toMatch(/\r\nconnection: close\r\n/i)
    client.socket.write('x'.repeat(1000))
    await client.closed
    expect(await rig.end(0)).toMatchObject({ status: 413, ended: 'complete', bodySha256: null })
    await (
      await upstream.connection(0)
    ).closed
  })

  test('an early answer survives an agent that goes on sending', async () => {
    const { rig } = await pair(async (connection) => {
      await connection.until((text) => text.includes('xxxx'))
      connection.socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno')
    })
    const client = await rawClient(rig.port)
    client.socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${4 * MiB}\r\n\r\n`)
    client.socket.write(Buffer.alloc(4 * MiB, 'x'))
    await client.closed
    expect(client.text()).toMatch(/^HTTP\/1\.1 413 [^]*no$/)
    expect(await rig.end(0)).toMatchObject({ status: 413, ended: 'complete' })
  })

  test('an answer may begin while the upload goes on, and both end well', async () => {
    const { upstream, rig } = await pair(async (connection) => {
      await connection.until((text) => text.includes('one'))
      connection.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nONE\r\n')
      await connection.until((text) => text.endsWith('0\r\n\r\n'))
      connection.socket.write('3\r\nTWO\r\n0\r\n\r\n')
    })
    const client = await rawClient(rig.port)
    client.socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n')
    await client.until((text) => text.includes('ONE'))
    client.socket.write('3\r\ntwo\r\n0\r\n\r\n')
    await client.until((text) => text.endsWith('0\r\n\r\n'))
    expect(await rig.end(0)).toMatchObject({
      ended: 'complete',
      bytesOut: 6,
      bytesIn: 6,
      bodySha256: createHash('sha256').update('onetwo').digest('hex'),
    })
    expect((await upstream.connection(0)).text()).toContain('two')
    client.socket.destroy()
  })

  test('cut before an answer: the refusal surfaces and the upstream connection ends (invariant 7)', async () => {
    const { upstream, rig } = await pair(() => undefined)
    const answer = fetch(rig.url)
    const connection = await upstream.connection(0)
    await connection.until(head)
    rig.calls[0]!.cut(new Refusal('task.ended'))
    expect(await (await answer).json()).toMatchObject({ code: 'task.ended', status: 403 })
    await connection.closed
  })

  test('cut in mid-stream: both connections end and the answer is never complete (invariant 7)', async () => {
    const { upstream, rig } = await pair(async (connection) => {
      await connection.until(head)
      connection.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    })
    const client = await rawClient(rig.port)
    client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await client.until((text) => text.includes('hello'))
    rig.calls[0]!.cut(new Refusal('kill.engaged'))
    expect(await rig.end(0)).toMatchObject({ ended: 'cut', status: 200, bytesIn: 5 })
    await client.closed
    expect(client.text()).not.toMatch(/\r\n0\r\n\r\n/)
    await (
      await upstream.connection(0)
    ).closed
  })

  test('cut in mid-upload: the upstream never sees the end of it (invariant 7)', async () => {
    const { upstream, rig } = await pair(() => undefined)
    const client = await rawClient(rig.port)
    client.socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello')
    const connection = await upstream.connection(0)
    await connection.until((text) => text.includes('hello'))
    rig.calls[0]!.cut(new Refusal('kill.engaged'))
    client.socket.write('world')
    expect(await rig.end(0)).toMatchObject({ code: 'kill.engaged' })
    await connection.closed
    expect(connection.text()).not.toContain('world')
    client.socket.destroy()
  })

  test('cut when all was read but the agent still has bytes to come: it does not get them', async () => {
    const size = 16 * MiB
    const { rig } = await pair(async (connection) => {
      await connection.until(head)
      connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
      connection.socket.write(Buffer.alloc(size))
    })
    const client = await rawClient(rig.port)
    client.socket.pause()
    client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    while (rig.calls[0]?.outgoing.writableLength === undefined || rig.calls[0].outgoing.writableLength < 1)
      await new Promise((resolve) => setImmediate(resolve))
    rig.calls[0].cut(new Refusal('kill.engaged'))
    expect(await rig.end(0)).toMatchObject({ ended: 'cut' })
    client.socket.resume()
    await client.closed
    expect(client.bytes()).toBeLessThan(size)
  })

  test('a permit whose call is over sends nothing', async () => {
    const { upstream, rig } = await pair(() => undefined, {
      forward: { check: (permit) => permit.decision.question.call.cut(new Refusal('task.paused')) },
    })
    expect(await (await fetch(rig.url)).json()).toMatchObject({ code: 'task.paused' })
    expect(upstream.connections).toHaveLength(0)
  })

  test('an upstream that never answers times out', async () => {
    const { upstream, rig } = await pair(() => undefined, timeouts(200, 1000))
    const answer = await fetch(rig.url)
    expect(answer.status).toBe(504)
    expect(await answer.json()).toMatchObject({ code: 'forward.timeout' })
    await (
      await upstream.connection(0)
    ).closed
  })

  test('an answer that stalls is cut, an event stream that is silent is not', async () => {
    const { rig } = await pair(
      async (connection) => {
        const request = await connection.until(head)
        const type = request.includes('/events') ? 'text/event-stream' : 'text/plain'
        connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n`)
      },
      timeouts(1000, 200),
    )
    const events = await fetch(`${rig.url}/events`)
    const stalled = await fetch(`${rig.url}/text`)
    await expect(stalled.text()).rejects.toThrow()
    expect(rig.ends).toEqual([expect.objectContaining({ ended: 'upstream-gone' })])
    await events.body!.cancel()
    expect(await rig.end(1)).toMatchObject({ ended: 'client-gone' })
  })

  test('a name that never resolves is unreachable after the time to connect', async () => {
    const to = {
      origin: 'http://crm.acme.example',
      scheme: 'http',
      authority: 'crm.acme.example',
      hostname: 'crm.acme.example',
      port: 80,
      basePath: '',
    } as const
    const never = new Promise<never>(() => undefined)
    const { rig } = await pair(() => undefined, {
      route: { to, timeouts: { connect: 200, head: 5000, idle: 5000 } },
      forward: { lookup: () => never },
    })
    expect(await (await fetch(rig.url)).json()).toMatchObject({ code: 'forward.unreachable' })
  })

  test('an answer that waits behind an earlier one on the same connection is cut with it', async () => {
    const { rig } = await pair(async (connection) => {
      const request = await connection.until(head)
      connection.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
      if (request.includes('/second')) connection.socket.destroy()
    })
    const client = await rawClient(rig.port)
    client.socket.write('GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\n\r\n')
    await client.closed
    await rig.end(1)
    expect(rig.ends.map((end) => ('ended' in end ? end.ended : end.code)).sort()).toEqual(['client-gone', 'upstream-gone'])
    expect(client.text()).not.toMatch(/\r\n0\r\n\r\n/)
  })

  test('closing cuts what is under way', async () => {
    const { upstream, rig } = await pair(() => undefined)
    const answer = fetch(rig.url)
    await (await upstream.connection(0)).until(head)
    await rig.forward.close()
    expect(await (await answer).json()).toMatchObject({ code: 'listen.draining' })
    expect(await (await fetch(rig.url)).json()).toMatchObject({ code: 'listen.draining' })
  })

  test('a reload ends idle connections of routes that are gone and leaves calls alone', async () => {
    const { upstream, rig } = await pair(async (connection) => {
      await connection.until(head)
      connection.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    await (await fetch(rig.url)).text()
    rig.forward.reconfigure([])
    await (
      await upstream.connection(0)
    ).closed
    expect(await (await fetch(rig.url)).text()).toBe('ok')
  })
})
