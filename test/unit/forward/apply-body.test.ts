import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { sketchLease, startRig } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'
import { answering, rawServer, track } from '../../support/sockets.ts'

closeAfterEach()

const lease = sketchLease({ placement: { in: 'body', form: 'client_secret' } })
const head = (length: number): string =>
  `POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${length}\r\n\r\n`

async function rig(gather?: number) {
  const upstream = await opened(rawServer(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')))
  const started = await opened(
    startRig(upstream.port, { route: { credential: 'crm' }, lease, forward: gather === undefined ? {} : { gather } }),
  )
  const client = track(connect(started.port, '127.0.0.1'))
  await opened(Promise.resolve({ close: async () => void client.socket.destroy() }))
  return { upstream, started, client }
}

async function begun({ calls }: Awaited<ReturnType<typeof startRig>>): Promise<NonNullable<(typeof calls)[number]>> {
  for (;;) {
    const [call] = calls
    if (call !== undefined && call.incoming.listenerCount('data') > 0) return call
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a body that a credential goes into', () => {
  test('is sent whole or not at all: a call that is cut while it still comes sends nothing', async () => {
    const { upstream, started, client } = await rig()
    client.socket.write(`${head(20)}a=1`)
    const call = await begun(started)
    call.cut(new Refusal('kill.engaged'))
    expect(await started.end(0)).toMatchObject({ code: 'kill.engaged' })
    client.socket.write('&b=1234567890123456')
    expect(upstream.connections).toEqual([])
  })

  test('that its agent leaves half-way is not sent', async () => {
    const { upstream, started, client } = await rig()
    client.socket.write(`${head(20)}a=1`)
    await begun(started)
    client.socket.destroy()
    expect(await started.end(0)).toBeInstanceOf(Refusal)
    expect(upstream.connections).toEqual([])
  })

  test('is not taken for whole once the stage is closed', async () => {
    const { upstream, started, client } = await rig()
    client.socket.write(`${head(5)}a=1`)
    await begun(started)
    await started.forward.close()
    client.socket.write('&b')
    expect(await started.end(0)).toMatchObject({ code: 'listen.draining' })
    expect(upstream.connections).toEqual([])
  })

  test('is held up to the bound and no byte further', async () => {
    const fits = await rig(16)
    fits.client.socket.write(`${head(16)}a=12345678`)
    await begun(fits.started)
    fits.client.socket.write('901234')
    expect(await fits.started.end(0)).toMatchObject({ status: 200 })
    const beyond = await rig(16)
    beyond.client.socket.write(`${head(17)}a=12345678`)
    await begun(beyond.started)
    beyond.client.socket.write('9012345')
    expect(await beyond.started.end(0)).toMatchObject({ code: 'listen.too-large' })
    expect(beyond.upstream.connections).toEqual([])
  })
})
