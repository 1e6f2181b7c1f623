import { describe, expect, it } from 'vitest'
import { answers, echo, listenRig, wideLimits } from '../../support/listen-rig.ts'

const host = 'Host: localhost\r\n'
const close = 'Connection: close\r\n'

async function codes(rig: Awaited<ReturnType<typeof listenRig>>, bytes: string): Promise<number[]> {
  return (await rig.exchange(bytes)).map((answer) => answer.status)
}

describe('a head', () => {
  it('longer than its limit is refused with a record, far longer before it is read', async () => {
    await using rig = await listenRig({ limits: { ...wideLimits, headerBytes: 2000, headerCount: 20, target: 100 } })
    expect(await codes(rig, `GET /crm/a HTTP/1.1\r\n${host}X: ${'a'.repeat(2000)}\r\n\r\n`)).toEqual([413])
    expect(await codes(rig, `GET /crm/${'a'.repeat(100)} HTTP/1.1\r\n${host}\r\n`)).toEqual([413])
    expect(await codes(rig, `GET /crm/a HTTP/1.1\r\n${host}${'X: a\r\n'.repeat(20)}\r\n`)).toEqual([413])
    expect(rig.refused).toHaveLength(3)
    expect(await codes(rig, `GET /crm/a HTTP/1.1\r\n${host}X: ${'a'.repeat(50_000)}\r\n\r\n`)).toEqual([413])
    expect(await codes(rig, `GET /${'a'.repeat(50_000)} HTTP/1.1\r\n${host}\r\n`)).toEqual([413])
    expect(rig.malformed).toEqual(['the request head is too long', 'the request head is too long'])
    expect(await codes(rig, `GET /crm/a HTTP/1.1\r\n${host}${close}\r\n`)).toEqual([200])
  })

  it('keeps every header up to the count: none is dropped silently', async () => {
    await using rig = await listenRig({ limits: { ...wideLimits, headerCount: 3000, headerBytes: 100_000 } })
    expect(await codes(rig, `GET /crm/a HTTP/1.1\r\n${host}${close}${'X: a\r\n'.repeat(2500)}\r\n`)).toEqual([200])
    expect(rig.seen[0]?.headers).toHaveLength(2 * 2502)
  })

  it('that does not arrive in time ends its connection; honest ones are not kept waiting', async () => {
    await using rig = await listenRig({ limits: { ...wideLimits, headerTime: 200 } })
    const slow = await Promise.all(Array.from({ length: 50 }, () => rig.client()))
    for (const client of slow) client.socket.write(`GET /crm/a HTTP/1.1\r\n${host}X-`)
    expect(await codes(rig, `GET /crm/a HTTP/1.1\r\n${host}${close}\r\n`)).toEqual([200])
    await Promise.all(slow.map((client) => client.closed))
    expect(answers(slow[0]?.text() ?? '')[0]?.body).toContain('did not arrive in time')
    expect(rig.malformed).toHaveLength(50)
  })
})

describe('a body', () => {
  it('is refused when announced too long, before it comes, and when it grows too long', async () => {
    await using rig = await listenRig({ limits: { ...wideLimits, body: 10 } })
    const post = `POST /crm/a HTTP/1.1\r\n${host}`
    expect(await codes(rig, `${post}Content-Length: 11\r\nExpect: 100-continue\r\n\r\n`)).toEqual([413])
    expect(await codes(rig, `${post}Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n`)).toEqual([413])
    expect(await codes(rig, `${post}${close}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n`)).toEqual([200])
  })

  it('that does not arrive in time cuts its call', async () => {
    await using rig = await listenRig({ limits: { ...wideLimits, headerTime: 100, bodyTime: 100 } })
    const client = await rig.client()
    client.socket.write(`POST /crm/a HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\n01234`)
    await client.closed
    expect(answers(client.text()).map((answer) => answer.status)).toEqual([400])
    expect(rig.refused).toEqual(['listen.malformed: the request did not arrive in time'])
  })
})

describe('a call', () => {
  it('is cut when it takes longer than calls may', async () => {
    await using rig = await listenRig(
      { limits: { ...wideLimits, callTime: 50 } },
      (call) => new Promise((_resolve, reject) => call.signal.addEventListener('abort', () => reject(call.signal.reason as Error))),
    )
    expect(await codes(rig, `GET /crm/a HTTP/1.1\r\n${host}${close}\r\n`)).toEqual([504])
  })

  it('is refused when its caller has too many in flight; other callers are not touched; the place comes back', async () => {
    const gate = Promise.withResolvers<void>()
    let holding = 0
    const held = Promise.withResolvers<void>()
    await using rig = await listenRig({ limits: { ...wideLimits, callsPerCaller: 2 } }, async (call) => {
      const caller = call.header('x-caller') ?? ''
      call.occupy(caller)
      call.occupy(caller)
      if (call.address.path === '/held') {
        if (++holding === 2) held.resolve()
        await gate.promise
      }
      await echo(call)
    })
    const ask = (caller: string, path = '/a'): Promise<number[]> =>
      codes(rig, `GET /crm${path} HTTP/1.1\r\n${host}X-Caller: ${caller}\r\n${close}\r\n`)
    const slow = [ask('one', '/held'), ask('one', '/held')]
    await held.promise
    expect(await ask('one')).toEqual([503])
    expect(await ask('two')).toEqual([200])
    gate.resolve()
    expect(await Promise.all(slow)).toEqual([[200], [200]])
    expect(await ask('one')).toEqual([200])
  })
})

describe('connections over their number', () => {
  it('end the one that was open longest without a call: nobody keeps others out by holding connections open', async () => {
    await using rig = await listenRig({ limits: { ...wideLimits, connections: 2 } })
    const [oldest, second] = [await rig.client(), await rig.client()]
    const honest = await rig.client()
    await oldest.closed
    for (const client of [second, honest]) {
      client.socket.write(`GET /crm/a HTTP/1.1\r\n${host}${close}\r\n`)
      expect(await client.until((text) => text.includes('\r\n\r\n'))).toContain('200 OK')
    }
    expect(rig.malformed).toEqual([])
  })

  it('are closed and counted when all the others carry calls', async () => {
    const gate = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    let calls = 0
    await using rig = await listenRig({ limits: { ...wideLimits, connections: 2 } }, async (call) => {
      if (++calls === 2) arrived.resolve()
      await gate.promise
      await echo(call)
    })
    const busy = [await rig.client(), await rig.client()]
    for (const client of busy) client.socket.write(`GET /crm/a HTTP/1.1\r\n${host}${close}\r\n`)
    await arrived.promise
    const over = await rig.client()
    await over.closed
    expect(rig.malformed).toEqual(['too many connections'])
    gate.resolve()
    for (const client of busy) expect(await client.until((text) => text.includes('\r\n\r\n'))).toContain('200 OK')
  })
})
