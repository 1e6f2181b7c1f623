import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { answers, echo, listenRig, routeAddress } from '../../support/listen-rig.ts'

const line = fc.constantFrom(
  'Host: localhost',
  'Host: evil.example',
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: 50',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding : chunked',
  'Transfer_Encoding: chunked',
  ' folded',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: content-length',
  'Expect: 100-continue',
  'Upgrade: h2c',
  'X-Refuse: 1',
  '__proto__: x',
  'X: \x00',
  'X: é',
  '',
)
const start = fc.constantFrom(
  'POST /crm/a HTTP/1.1',
  'GET /crm/a HTTP/1.1',
  'DELETE /open/a HTTP/1.1',
  'POST /open/%2e%2e HTTP/1.1',
  'GET /crm/a HTTP/1.0',
  'CONNECT a:1 HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'POST http://localhost/crm/a HTTP/1.1',
  'PRI * HTTP/2.0',
  'GARBAGE',
)
const end = fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\n\r\n')
const body = fc.constantFrom(
  '',
  'hello',
  '5\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n',
  '5;x=\n\r\nhello\r\n0\r\n\r\n',
  '0\r\n\r\n',
  '0\r\nX: y\r\n\r\n',
  'ffffffffff\r\n',
  '-1\r\n',
)
const request = fc
  .tuple(start, fc.array(fc.tuple(line, end), { maxLength: 5 }), end, body)
  .map(
    ([first, lines, last, rest]) => `${first}\r\nHost: localhost\r\n${lines.map(([text, ending]) => text + ending).join('')}${last}${rest}`,
  )

const long = process.env['COUNTERSIGN_LONG'] === '1'

it(
  'whatever is sent, each answer is whole, nothing stays in flight and the same process goes on',
  async () => {
    const routes = [routeAddress('crm'), routeAddress('open', { allowBody: true })]
    await using rig = await listenRig({ routes }, async (call) => {
      if (call.header('x-refuse') !== undefined) throw new Refusal('decide.denied')
      await echo(call)
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(200), { maxLength: 4 }),
        fc.boolean(),
        async (requests, cuts, reset) => {
          const bytes = requests.join('')
          const client = await rig.client()
          let from = 0
          for (const cut of cuts) {
            client.socket.write(bytes.slice(from, from + cut), 'latin1')
            from += cut
            await new Promise(setImmediate)
          }
          client.socket.write(bytes.slice(from), 'latin1')
          if (reset) client.socket.resetAndDestroy()
          else client.socket.end()
          await client.closed
          for (const answer of reset ? [] : answers(client.text())) expect([200, 400, 403, 413, 503]).toContain(answer.status)
        },
      ),
      { numRuns: long ? 10_000 : 400 },
    )
    const [answer] = await rig.exchange(
      'POST /crm/honest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello',
    )
    expect(answer?.status).toBe(200)
    expect(rig.seen.filter((call) => call.target === '/honest').map((call) => call.body)).toEqual(['hello'])
    await rig.listening.drain(2000)
    expect(rig.listening.inFlight).toBe(0)
    expect(rig.refused).not.toContain('listen.draining')
  },
  long ? 600_000 : 20_000,
)
