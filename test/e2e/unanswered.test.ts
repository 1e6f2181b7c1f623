import { createHash } from 'node:crypto'
import { createServer, type AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { ask, routeTo, Running } from '../support/running.ts'

test('what an upstream took before it hung up without an answer stands in the outcome', async () => {
  const server = createServer((socket) => {
    let taken = ''
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => {
      taken += bytes.toString('latin1')
      if (taken.endsWith('secret plans')) socket.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await using running = await Running.start({ routes: { out: routeTo(`http://127.0.0.1:${port}`, 'out') } })
  const headers = { authorization: `Bearer ${await running.svid()}` }
  const answer = await ask(running.port(), '/out/x', { method: 'POST', headers, body: 'secret plans' })
  expect(answer.status).toBe(502)
  const outcome = running.entries().find(({ id, kind }) => id === answer.headers['countersign-call'] && kind === 'outcome')
  expect(outcome).toMatchObject({
    ended: 'refused',
    code: 'forward.unreachable',
    bytes_out: 12,
    body_sha256: createHash('sha256').update('secret plans').digest('hex'),
    dialled: `127.0.0.1:${port}`,
  })
  server.close()
})
