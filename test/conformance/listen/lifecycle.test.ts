import { spawn } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Call } from '../../../src/listen/call.ts'
import { listen, type ListenOptions } from '../../../src/listen/proxy.ts'
import { Refusal } from '../../../src/refusal.ts'
import { answers, echo, listenOptions, listenRig, routeAddress, wideLimits } from '../../support/listen-rig.ts'
import { rawClient, track } from '../../support/sockets.ts'

const host = 'Host: localhost\r\n'
const loopback = { host: '127.0.0.1', port: 0 } as const

/** One request on a port of its own; gives the status and the body. */
async function ask(port: number, target = '/crm/a'): Promise<string> {
  const client = await rawClient(port)
  client.socket.write(`GET ${target} HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)
  await client.closed
  const [answer] = answers(client.text())
  return `${answer?.status} ${answer?.body}`
}

/** Answers with listener, ambient identity, route and target. */
async function tell(call: Call): Promise<void> {
  try {
    call.admit()
    const text = [call.listener.name, call.listener.ambient, call.address.route, call.address.target].join(' ')
    call.outgoing.writeHead(200, ['Content-Length', String(text.length)]).end(text)
  } catch (error) {
    call.refuse(Refusal.from(error))
  }
}

const two: Partial<ListenOptions> = {
  listeners: [
    { name: 'shared', at: loopback, route: null, ambient: null, tls: null },
    { name: 'own', at: loopback, route: 'mail', ambient: 'spiffe://acme.example/a', tls: null },
  ],
  routes: [routeAddress('crm'), routeAddress('mail', { at: null })],
  handle: tell,
}

describe('listeners', () => {
  it('each have their port, route and ambient identity', async () => {
    const listening = await listen(listenOptions(two))
    expect(await ask(listening.ports.get('shared') ?? 0)).toBe('200 shared  crm /a')
    expect(await ask(listening.ports.get('own') ?? 0)).toBe('200 own spiffe://acme.example/a mail /crm/a')
    await listening.drain(0)
  })

  it('are all closed again when one cannot be opened', async () => {
    const taken = net.createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as net.AddressInfo
    const free = await listen(listenOptions())
    const first = free.ports.get('shared') ?? 0
    await free.drain(0)
    const listeners = [
      { name: 'first', at: { host: '127.0.0.1', port: first }, route: null, ambient: null, tls: null },
      { name: 'taken', at: { host: '127.0.0.1', port }, route: null, ambient: null, tls: null },
    ]
    await expect(listen(listenOptions({ listeners }))).rejects.toThrow('EADDRINUSE')
    await expect(rawClient(first)).rejects.toThrow('ECONNREFUSED')
    taken.close()
  })

  it('may be unix sockets; a stale one is replaced, one that is in use is not', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'countersign-')), 'agent.sock')
    const listeners = [{ name: 'sock', at: { path }, route: null, ambient: null, tls: null }]
    const listening = await listen(listenOptions({ listeners, handle: tell }))
    expect(listening.ports.size).toBe(0)
    const client = track(net.connect(path))
    client.socket.write(`GET /crm/a HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)
    await client.closed
    expect(client.text()).toContain('sock  crm /a')
    await expect(listen(listenOptions({ listeners }))).rejects.toThrow('EADDRINUSE')
    await listening.drain(0)

    await leaveStale(path)
    const again = await listen(listenOptions({ listeners, handle: tell }))
    await again.drain(0)
  })

  it('never take the place of a file that is no socket', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'countersign-')), 'state.db')
    await writeFile(path, 'kept')
    await expect(
      listen(listenOptions({ listeners: [{ name: 'sock', at: { path }, route: null, ambient: null, tls: null }] })),
    ).rejects.toThrow('EADDRINUSE')
    expect(await readFile(path, 'utf8')).toBe('kept')
  })
})

describe('a reload', () => {
  it('swaps routes, limits and ambient identities, and keeps port and connections', async () => {
    const listening = await listen(listenOptions(two))
    const port = listening.ports.get('shared') ?? 0
    const client = await rawClient(port)
    client.socket.write(`GET /crm/a HTTP/1.1\r\n${host}\r\n`)
    await client.until((text) => answers(text).length === 1)
    const listeners = [{ name: 'shared', at: loopback, route: null, ambient: 'spiffe://acme.example/b', tls: null }]
    await listening.reconfigure(
      listenOptions({ listeners, routes: [routeAddress('new', { at: '/crm' })], handle: tell, limits: { ...wideLimits, target: 10 } }),
    )
    client.socket.write(`GET /crm/b HTTP/1.1\r\n${host}\r\n`)
    expect(await client.until((text) => answers(text).length === 2)).toContain('shared spiffe://acme.example/b new /b')
    expect([...listening.ports]).toEqual([['shared', port]])
    expect(await ask(port, '/crm/too-long')).toMatch(/^413/)
    await listening.drain(0)
  })

  it('that closes a listener refuses what still comes over its kept connections', async () => {
    const listening = await listen(listenOptions({ ...two, handle: tell }))
    const gate = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    const late = Promise.withResolvers<string>()
    const handle = async (call: Call): Promise<void> => {
      try {
        call.admit()
        held.resolve()
        await gate.promise
        await tell(call)
      } catch (error) {
        call.refuse(Refusal.from(error))
        late.resolve(Refusal.from(error).code)
      }
    }
    await listening.reconfigure(listenOptions({ ...two, handle }))
    const client = await rawClient(listening.ports.get('own') ?? 0)
    client.socket.write(`GET /1 HTTP/1.1\r\n${host}\r\n`)
    await held.promise
    await listening.reconfigure(listenOptions({ ...two, handle, listeners: two.listeners?.slice(0, 1) ?? [] }))
    client.socket.write(`GET /2 HTTP/1.1\r\n${host}\r\n`)
    expect(await late.promise).toBe('listen.draining')
    gate.resolve()
    await client.closed
    await listening.drain(0)
  })

  it('that cannot open a port changes nothing', async () => {
    const listening = await listen(listenOptions(two))
    const port = listening.ports.get('shared') ?? 0
    const listeners = [{ name: 'new', at: { path: '/nonexistent/agent.sock' }, route: null, ambient: null, tls: null }]
    await expect(listening.reconfigure(listenOptions({ ...two, listeners }))).rejects.toThrow('/nonexistent')
    expect(await ask(port)).toBe('200 shared  crm /a')
    await listening.drain(0)
  })
})

describe('draining', () => {
  it('lets calls in flight finish, refuses new ones on kept connections, accepts no connection, and closes all', async () => {
    const gate = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    const late = Promise.withResolvers<string>()
    const rig = await listenRig({
      handle: async (call) => {
        try {
          call.admit()
          held.resolve()
          await gate.promise
          await echo(call)
        } catch (error) {
          call.refuse(Refusal.from(error))
          late.resolve(Refusal.from(error).code)
        }
      },
    })
    const idle = await rig.client()
    const slow = await rig.client()
    slow.socket.write(`GET /crm/held HTTP/1.1\r\n${host}\r\n`)
    await held.promise
    const drained = rig.listening.drain(10_000)
    await idle.closed
    await expect(rawClient(rig.port)).rejects.toThrow('ECONNREFUSED')
    slow.socket.write(`GET /crm/late HTTP/1.1\r\n${host}\r\n`)
    expect(await late.promise).toBe('listen.draining')
    gate.resolve()
    await drained
    await slow.closed
    expect(answers(slow.text())[0]).toMatchObject({ status: 200, head: expect.stringContaining('Connection: close') })
    expect(rig.listening.inFlight).toBe(0)
  })

  it('cuts what is still in flight at its deadline, with a reason', async () => {
    const reasons: unknown[] = []
    const held = Promise.withResolvers<void>()
    const rig = await listenRig(
      {},
      (call) =>
        new Promise((_resolve, reject) => {
          held.resolve()
          call.signal.addEventListener('abort', () => {
            reasons.push((call.signal.reason as Refusal).code)
            reject(call.signal.reason as Error)
          })
        }),
    )
    const client = await rig.client()
    client.socket.write(`GET /crm/a HTTP/1.1\r\n${host}\r\n`)
    await held.promise
    await rig.listening.drain(20)
    await client.closed
    expect(reasons).toEqual(['listen.draining'])
    expect(answers(client.text())[0]?.status).toBe(503)
  })
})

/** Leaves a socket file behind that nobody listens on, as a killed process does. */
async function leaveStale(path: string): Promise<void> {
  const child = spawn(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ])
  await new Promise((resolve) => child.once('exit', resolve))
}
