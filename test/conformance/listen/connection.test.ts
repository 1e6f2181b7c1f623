import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { ClientGone, type Call } from '../../../src/listen/call.ts'
import { Refusal } from '../../../src/refusal.ts'
import { answers, echo, listenRig, wideLimits } from '../../support/listen-rig.ts'
import { track } from '../../support/sockets.ts'

const host = 'Host: localhost\r\n'
const get = (path: string): string => `GET /crm${path} HTTP/1.1\r\n${host}\r\n`
const post = (headers: string): string => `POST /crm/a HTTP/1.1\r\n${host}${headers}\r\n`

/** Resolves with why a call was aborted. */
function aborted(call: Call): Promise<unknown> {
  return new Promise((resolve) => {
    if (call.signal.aborted) resolve(call.signal.reason)
    else call.signal.addEventListener('abort', () => resolve(call.signal.reason))
  })
}

/** A request path that hands each call over untouched and ends when told to. */
function holding(): { readonly handle: (call: Call) => Promise<void>; next(): Promise<Call>; end(): void } {
  const waiting: ((call: Call) => void)[] = []
  const arrived: Call[] = []
  const end = Promise.withResolvers<void>()
  return {
    handle: async (call) => {
      const take = waiting.shift()
      if (take === undefined) arrived.push(call)
      else take(call)
      await Promise.race([end.promise, aborted(call), once(call.outgoing, 'finish')])
    },
    next: () => {
      const call = arrived.shift()
      return call === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(call)
    },
    end: () => end.resolve(),
  }
}

describe('a connection', () => {
  it('is kept for the next request, also after a refusal whose request was read', async () => {
    await using rig = await listenRig({}, async (call) => {
      if (call.address.path === '/no') throw new Refusal('decide.denied')
      await echo(call)
    })
    const client = await rig.client()
    client.socket.write(get('/1'))
    await client.until((text) => answers(text).length === 1)
    client.socket.write(`POST /crm/no HTTP/1.1\r\n${host}Content-Length: 1\r\n\r\na`)
    await client.until((text) => text.includes('decide.denied'))
    client.socket.write(get('/3').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
    await client.closed
    expect(answers(client.text()).map((answer) => answer.status)).toEqual([200, 403, 200])
  })

  it('ends with a refusal that left a body unread; the client reads its answer although it is still sending', async () => {
    const limits = { ...wideLimits, body: 20_000_000 }
    await using rig = await listenRig({ limits, handle: async (call) => call.refuse(new Refusal('decide.denied')) })
    const client = track(net.connect({ port: rig.port, host: '127.0.0.1', allowHalfOpen: true }))
    const send = (bytes: number): Promise<Error | null | undefined> =>
      new Promise((resolve) => client.socket.write('x'.repeat(bytes), resolve))
    client.socket.write(post('Content-Length: 20000000\r\n'))
    await client.until((text) => text.includes('"terminal":true'))
    for (let sent = 0; sent < 10; sent++) expect(await send(1_000_000)).toBeFalsy()
    client.socket.end()
    await client.closed
    expect(client.text()).toMatch(/^HTTP\/1\.1 403 [^]*\r\nConnection: close\r\n/)
  })

  it('carries no request that follows an unread body', async () => {
    const paths: string[] = []
    await using rig = await listenRig({
      handle: async (call) => {
        paths.push(call.address.path)
        await Promise.resolve()
        call.refuse(new Refusal('decide.denied'))
      },
    })
    const client = await rig.client()
    client.socket.write(post('Content-Length: 10\r\n'))
    await client.until((text) => text.includes('decide.denied'))
    client.socket.end(`0123456789${get('/smuggled')}`)
    await client.closed
    expect(paths).toEqual(['/a'])
  })

  it('has at most sixteen requests waiting', async () => {
    const held = holding()
    const refused: string[] = []
    await using rig = await listenRig({
      handle: async (call) => {
        try {
          call.admit()
        } catch (error) {
          refused.push(Refusal.from(error).code)
          return call.refuse(Refusal.from(error))
        }
        return held.handle(call)
      },
    })
    const client = await rig.client()
    client.socket.write(get('/a').repeat(30))
    for (let nth = 0; nth < 16; nth++) await held.next()
    expect(refused).toEqual(['listen.overloaded'])
    expect(rig.listening.inFlight).toBe(16)
    client.socket.destroy()
    held.end()
  })
})

describe('a client that leaves', () => {
  it('aborts its call, also when it waits behind another one on its connection', async () => {
    const held = holding()
    await using rig = await listenRig({ handle: held.handle })
    const client = await rig.client()
    client.socket.write(get('/1') + get('/2'))
    const reasons = [aborted(await held.next()), aborted(await held.next())]
    client.socket.destroy()
    for (const reason of await Promise.all(reasons)) expect(reason).toBeInstanceOf(ClientGone)
  })

  it('in the middle of a body aborts its call', async () => {
    const held = holding()
    await using rig = await listenRig({ handle: held.handle })
    const client = await rig.client()
    client.socket.write(`${post('Content-Length: 10\r\n')}01234`)
    const reason = aborted(await held.next())
    client.socket.end()
    expect(await reason).toBeInstanceOf(ClientGone)
  })

  it('after its answer aborts nothing', async () => {
    const held = holding()
    await using rig = await listenRig({ handle: held.handle })
    const client = await rig.client()
    client.socket.write(get('/1'))
    const call = await held.next()
    call.outgoing.end('x')
    await client.until((text) => text.includes('\r\n\r\n'))
    client.socket.destroy()
    await once(call.incoming.socket, 'close')
    expect(call.signal.aborted).toBe(false)
  })

  it('at any byte leaves the process alive and nothing in flight', async () => {
    await using rig = await listenRig()
    const bytes = `${post('Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n')}5\r\nhello\r\n0\r\n\r\n${get('/b')}`
    const clients = await Promise.all(
      Array.from(bytes, async (_char, at) => {
        const client = await rig.client()
        client.socket.write(bytes.slice(0, at))
        if (at % 2 === 0) client.socket.resetAndDestroy()
        else client.socket.end()
        return client.closed
      }),
    )
    expect(clients).toHaveLength(bytes.length)
    const [answer] = await rig.exchange(`GET /crm/honest HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)
    expect(answer?.status).toBe(200)
    expect(rig.seen.at(-1)?.target).toBe('/honest')
  })

  it('right after CONNECT does not end the process', async () => {
    await using rig = await listenRig()
    for (let nth = 0; nth < 20; nth++) {
      const client = await rig.client()
      client.socket.write(`CONNECT localhost:1 HTTP/1.1\r\n${host}\r\n`)
      if (nth % 2 === 0) await client.until((text) => text !== '')
      client.socket.resetAndDestroy()
      await client.closed
    }
    const [answer] = await rig.exchange(`GET /crm/honest HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)
    expect(answer?.status).toBe(200)
  })

  it('does not end the process when its answer is written afterwards', async () => {
    const held = holding()
    await using rig = await listenRig({ handle: held.handle })
    const client = await rig.client()
    client.socket.write(get('/1'))
    const call = await held.next()
    client.socket.destroy()
    await aborted(call)
    call.outgoing.writeHead(200)
    call.outgoing.write('x')
    call.outgoing.end('y')
    call.outgoing.write('z')
    call.refuse(new Refusal('internal'))
    const again = await rig.client()
    again.socket.write(get('/2'))
    const next = await held.next()
    next.refuse(new Refusal('decide.denied'))
    expect(await again.until((text) => text.includes('\r\n\r\n'))).toContain('403')
  })
})

describe('a request that turns out malformed at its end', () => {
  it('cuts its call with listen.malformed, which is then its answer', async () => {
    await using rig = await listenRig()
    const client = await rig.client()
    client.socket.write(`${post('Transfer-Encoding: chunked\r\n')}5\r\nhello\r\nZZ\r\n`)
    await client.closed
    expect(answers(client.text()).map((answer) => answer.status)).toEqual([400])
    expect(rig.refused).toEqual(['listen.malformed: the request is not well-formed HTTP/1.1'])
    expect([rig.seen, rig.malformed]).toEqual([[], []])
  })

  it('does not take back the whole request before it, but ends the connection', async () => {
    const held = holding()
    const malformed: string[] = []
    await using rig = await listenRig({ handle: held.handle, malformed: (listener, reason) => malformed.push(`${listener}: ${reason}`) })
    const client = await rig.client()
    client.socket.write(`${get('/1')}GARBAGE\r\n\r\n`)
    const call = await held.next()
    call.outgoing.end('done')
    await client.closed
    expect(client.text()).toMatch(/^HTTP\/1\.1 200 [^]*done$/)
    expect(malformed).toEqual(['shared: the request is not well-formed HTTP/1.1'])
  })

  it('while the answer to a whole request streams ends the connection after it', async () => {
    const held = holding()
    const broken = Promise.withResolvers<void>()
    await using rig = await listenRig({ handle: held.handle, malformed: () => broken.resolve() })
    const client = await rig.client()
    client.socket.write(get('/1'))
    const call = await held.next()
    call.outgoing.writeHead(200, ['Content-Length', '4'])
    call.outgoing.write('do')
    await client.until((text) => text.endsWith('do'))
    client.socket.write('GARBAGE\r\n\r\n')
    await broken.promise
    call.outgoing.end('ne')
    await client.closed
    expect(client.text()).toMatch(/^HTTP\/1\.1 200 [^]*done$/)
  })

  it('in the middle of an answer cuts the connection', async () => {
    const held = holding()
    await using rig = await listenRig({ handle: held.handle })
    const client = await rig.client()
    client.socket.write(`${post('Transfer-Encoding: chunked\r\n')}5\r\nhello\r\n`)
    const call = await held.next()
    call.outgoing.writeHead(200, ['Content-Length', '10'])
    call.outgoing.write('hello')
    await client.until((text) => text.includes('hello'))
    client.socket.write('ZZ\r\n')
    expect(await aborted(call)).toMatchObject({ code: 'listen.malformed' })
    await client.closed
    expect(answers(client.text())).toHaveLength(1)
  })
})

describe('100 Continue', () => {
  const asking = post('Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n')

  it('is sent when somebody reads the body, once', async () => {
    const held = holding()
    await using rig = await listenRig({ handle: held.handle })
    const client = await rig.client()
    client.socket.write(asking)
    const call = await held.next()
    expect([call.expectsContinue, client.text()]).toEqual([true, ''])
    call.continue()
    call.continue()
    await client.until((text) => text !== '')
    client.socket.write('ab')
    expect(String((await once(call.incoming, 'data'))[0])).toBe('ab')
    call.outgoing.end('done')
    await client.closed
    expect(client.text().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
  })

  it('is not sent for a call that is refused first', async () => {
    await using rig = await listenRig({ handle: async (call) => call.refuse(new Refusal('decide.denied')) })
    const client = await rig.client()
    client.socket.write(asking)
    await client.closed
    expect(client.text().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 403'])
  })

  it('is nothing to a call that did not ask', async () => {
    await using rig = await listenRig({}, async (call) => {
      call.continue()
      await echo(call)
    })
    const [answer, ...more] = await rig.exchange(`${post('Content-Length: 1\r\nConnection: close\r\n')}a`)
    expect([answer?.status, more]).toEqual([200, []])
  })
})

describe('what the request path leaves open', () => {
  it('is closed: a call that was never answered does not keep its client', async () => {
    await using rig = await listenRig({ handle: async () => undefined })
    const client = await rig.client()
    client.socket.write(get('/a'))
    await client.closed
    expect([client.text(), rig.listening.inFlight]).toEqual(['', 0])
  })

  it('is answered as internal when the path itself throws', async () => {
    await using rig = await listenRig({ handle: () => Promise.reject(new Error('canary')) })
    const client = await rig.client()
    client.socket.write(get('/a'))
    const text = await client.until((all) => all.includes('"terminal"'))
    expect(text).toMatch(/^HTTP\/1\.1 500 /)
    expect(text).not.toContain('canary')
  })
})
