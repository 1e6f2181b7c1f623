import { gzipSync } from 'node:zlib'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Abused, idOf, unharmed } from '../../support/abused.ts'
import { anyTool, freeAgent, routeTo } from '../../support/running.ts'
import { rawServer, wholeRequest, type RawServer } from '../../support/sockets.ts'

/** What an upstream can do to bring a masked field past the mask: the policy of these tests masks `/ssn` and `/people/*\/ssn`. */
const answering = fileURLToPath(new URL('../../support/answering/answering.tar.gz', import.meta.url))
const canary = 'canary-078-05-1120'
const secret = Buffer.from(`{"ssn":"${canary}","name":"Ada"}`)

/** What comes over the wire for the path that names it. */
const said = new Map<string, Buffer>()
let upstream: RawServer
let abused: Abused

beforeAll(async () => {
  upstream = await rawServer(async (connection) => {
    const text = await connection.until(wholeRequest)
    const name = /^[A-Z]+ \/(\S*)/.exec(text)?.[1] ?? ''
    if (!connection.socket.destroyed) connection.socket.end(said.get(name) ?? '')
  })
  abused = await Abused.start(['alice'], () => ({
    routes: {
      api: routeTo(`http://127.0.0.1:${upstream.port}`, 'api', {
        tools: [anyTool('api.any', { answer: 'json' })],
        timeouts: { head: '2s', idle: '2s' },
      }),
    },
    agents: [freeAgent({ id: idOf('alice') })],
    settings: { decide: { environment: 'test', bundle: { path: answering, unsafe_unsigned: true } } },
  }))
})
afterEach(async () => expect(await abused.condition()).toEqual(unharmed))
afterAll(async () => {
  await abused[Symbol.asyncDispose]()
  await upstream.close()
})

let count = 0

/** Everything that the agent gets, as bytes, of an upstream that answers so. */
async function got(answer: Buffer, method = 'GET', fields = ''): Promise<string> {
  const name = `${++count}`
  said.set(name, answer)
  const client = await abused.client()
  const head = `${method} /api/${name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${abused.token('alice')}\r\n`
  client.socket.write(`${head}${fields}\r\n`)
  await client.closed
  return client.text()
}

const answer = (head: string, body: Uint8Array | string): Buffer =>
  Buffer.concat([Buffer.from(`HTTP/1.1 ${head}\r\n\r\n`), Buffer.from(body)])
const whole = (type: string, body: Uint8Array | string, status = '200 OK', more = ''): Buffer =>
  answer(`${status}\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}${more}`, body)
const json = (body: Uint8Array | string, status?: string, more?: string): Buffer => whole('application/json', body, status, more)
const chunks = (...parts: readonly string[]): string => parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')
const utf16 = Buffer.from(`\ufeff${secret.toString()}`, 'utf16le')

describe('a masked field does not come past the mask', () => {
  const tricks: readonly (readonly [name: string, answer: Buffer, method?: string, fields?: string])[] = [
    ['twice', json(`{"ssn":"x","ssn":"${canary}"}`)],
    ['with an escaped key', json(`{"\\u0073\\u0073n":"${canary}"}`)],
    ['behind a byte order mark', json(`\ufeff${secret}`)],
    ['behind a NUL', json(`\0${secret}`)],
    ['in front of a NUL', json(`${secret}\0`)],
    ['as the second document', json(`{}\n${secret}`)],
    ['in a comment', json(`{"a":1/*${secret}*/}`)],
    ['beside a huge number', json(`{"n":1e999999,"ssn":"${canary}"}`)],
    ['deep down beside it', json(`{"ssn":${'['.repeat(70)}"${canary}"${']'.repeat(70)}}`)],
    ['as text', whole('text/plain', secret)],
    ['as a page', whole('text/html', `<p>${canary}</p>`)],
    ['as no type', answer(`200 OK\r\nContent-Length: ${secret.length}`, secret)],
    ['as two types', whole('application/json', secret, '200 OK', '\r\nContent-Type: text/plain')],
    ['as bytes', whole('application/octet-stream', `${secret}x`)],
    ['as multipart', whole('multipart/mixed; boundary=b', `--b\r\n\r\n${secret}\r\n--b--`)],
    ['in UTF-16', whole('application/json; charset=utf-16', utf16)],
    ['in UTF-16 that is called UTF-8', whole('application/json; charset=utf-8', utf16)],
    ['in UTF-7', whole('application/json; charset=utf-7', `{"+AHM-sn":"${canary}"}x`)],
    ['as lines', whole('application/x-ndjson', `${secret}\n${secret}\n`)],
    ['coded', json(gzipSync(secret), '200 OK', '\r\nContent-Encoding: gzip')],
    ['coded without a word', json(gzipSync(secret))],
    ['coded as nothing and gzip', json(gzipSync(secret), '200 OK', '\r\nContent-Encoding: identity, gzip')],
    ['in a part', json(secret, '206 Partial Content', `\r\nContent-Range: bytes 0-${secret.length - 1}/${secret.length}`)],
    ['in a part that is called whole', json(secret, '200 OK', `\r\nContent-Range: bytes 0-${secret.length - 1}/${secret.length}`)],
    ['in an error', json(secret, '500 Oops')],
    ['in a redirect', json(secret, '300 Choose')],
    ['in a page of an error', whole('text/html', `<p>${canary}</p>`, '404 Not Found')],
    ['longer than announced', answer('200 OK\r\nContent-Type: application/json\r\nContent-Length: 2', `{}${secret}`)],
    ['shorter than announced', answer('200 OK\r\nContent-Type: application/json\r\nContent-Length: 99', secret)],
    ['without an end', answer('200 OK\r\nContent-Type: application/json', `{"ssn":"${canary}"`)],
    [
      'in chunks of one byte',
      answer('200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked', chunks(...secret.toString()) + chunks('')),
    ],
    [
      'in a chunk extension and a trailer',
      answer(
        '200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-Ssn',
        `${secret.length.toString(16)};ssn=${canary}\r\n${secret}\r\n0\r\nX-Ssn: ${canary}\r\n\r\n`,
      ),
    ],
    ['larger than what is read', json(`{"pad":"${'x'.repeat(300 * 1024)}","ssn":"${canary}"}`)],
    ['in an informational answer', Buffer.concat([answer(`103 Early Hints\r\nX-Ssn: ${canary}`, ''), json(secret)])],
    ['after HEAD', json(secret), 'HEAD'],
    ['to a range', json(secret, '206 Partial Content', '\r\nContent-Range: bytes 8-99/100'), 'GET', 'Range: bytes=8-\r\n'],
    ['after 204', answer('204 No Content', secret)],
    ['after 304', answer('304 Not Modified', secret)],
    ['as an event', whole('text/event-stream', `data: ${secret}\n\n`)],
    ['as an event on lines that end in CR', whole('text/event-stream', `data: ${secret}\r\r`)],
    ['as an event on many lines', whole('text/event-stream', `data: {"ssn":\ndata:\r\ndata:"${canary}"\rdata: }\n\n`)],
    ['as an event that does not end', whole('text/event-stream', `data: ${secret}`)],
    ['as a comment of events', whole('text/event-stream', `: ${secret}\n\n`)],
    [
      'as a field that nobody defined',
      whole('text/event-stream', `Data: ${secret}\ndata : ${secret}\n data: ${secret}\nssn: ${secret}\n\n`),
    ],
    ['as an event behind a byte order mark', whole('text/event-stream', `\ufeffdata: ${secret}\n\n\ufeffdata: ${secret}\n\n`)],
    ['as an event of text', whole('text/event-stream', `data: {}\n\ndata: the number is ${canary}\n\n`)],
    ['as an event with a NUL', whole('text/event-stream', `data: \0${secret}\n\n`)],
    ['as an event after the last', whole('text/event-stream', `data: [DONE]\ndata: ${canary}\n\n`)],
    ['as an event that is called JSON', json(`data: ${secret}\n\n`)],
    ['as an event in another charset', whole('text/event-stream; charset=utf-16', Buffer.from(`data: ${secret}\n\n`, 'utf16le'))],
  ]

  test.each(tricks.map(([name, ...how]) => ({ name, how })))('$name', async ({ how: [sent, method, fields] }) => {
    const text = await got(sent, method, fields)
    // a stream is cut before its first event, or refused
    expect(text).toMatch(/^$|^HTTP\/1\.1 \d{3} /)
    const plain = text.replaceAll('\0', '').replaceAll(/\r\n1\r\n/g, '')
    expect(plain).not.toContain(canary)
    expect(text).not.toContain(gzipSync(secret).toString('latin1').slice(10, 30))
  })
})

test('what is not masked comes through, so that the tricks are held by the mask and by nothing else', async () => {
  expect(await got(json(secret))).toContain('{"ssn":"***","name":"Ada"}')
  expect(await got(whole('text/event-stream', `data: ${secret}\n\n`))).toContain('data: {"ssn":"***","name":"Ada"}')
})
