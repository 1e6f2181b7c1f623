import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { env } from 'node:process'
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { LeakFinder, spellings } from '../support/leaks.ts'
import { Random, seedOf } from '../support/random.ts'
import { routeTo, Running } from '../support/running.ts'

const long = env['COUNTERSIGN_LONG'] === '1'
const total = long ? 2 * 1024 ** 3 : 48 * 1024 ** 2
const bodyBytes = 1024 ** 2

/** Every character that some spelling writes in its own way, and none that a header cannot carry. */
const secrets = { header: `tk_live-9fQ2/x+Zb=7&"uW<4\\e'Rm%0`, basic: `pw~>Jq8:kD;2?vN[c6]{h}T$y|Lz` } as const
type Route = keyof typeof secrets

const encoders: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  identity: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes, { level: 1 }),
  deflate: (bytes) => deflateSync(bytes, { level: 1 }),
  br: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  zstd: (bytes) => zstdCompressSync(bytes),
}

/** Text of many kinds without a secret in it: JSON, HTML, base64, URLs, bytes. */
function fillersOf(random: Random): readonly string[] {
  const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random.below(256)))
  return [
    JSON.stringify(
      Array.from({ length: 60 }, (_, id) => ({ id, name: `thing "${id}"`, at: random.next(), url: `https://api.example/${id}?a=1&b=%20` })),
    ),
    Array.from({ length: 60 }, (_, row) => `<tr><td class="n">${row}</td><td>&lt;${random.below(99)}&gt;</td></tr>\n`).join(''),
    bytes(3000).toString('base64'),
    bytes(2000).toString('hex'),
    bytes(3000).toString('latin1'),
    Array.from({ length: 60 }, (_, line) => `line ${line} of a letter=\r\nthat goes on =3D ${random.below(99)}\r\n`).join(''),
    'data: {"delta":"words of an answer"}\n\n'.repeat(60),
  ]
}

/** Echoes what it was sent, in every spelling, whole or in parts of three fifths and more, and keeps count. */
class Echoing implements AsyncDisposable {
  sent = 0
  readonly spelled = new Set<string>()
  readonly codings = new Set<string>()
  readonly #random: Random
  readonly #fillers: readonly string[]
  readonly #server = createServer((incoming, response) => void this.#answer(incoming, response))

  constructor(random: Random) {
    this.#random = random
    this.#fillers = fillersOf(random)
  }

  async listen(): Promise<string> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer({ headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const random = this.#random
    const { authorization = '' } = headers
    const pair = Buffer.from(authorization.replace(/^\w+ /, ''), 'base64').toString()
    const secret = authorization.startsWith('Basic ') ? pair.slice(pair.indexOf(':') + 1) : String(headers['x-token'])
    const body: Buffer = Buffer.from(this.#body(secret, authorization), 'latin1')
    this.sent += body.length
    const names = Array.from({ length: random.below(3) }, () => random.pick(Object.keys(encoders)))
    for (const name of names) this.codings.add(name)
    const coded = names.reduce<Buffer>((bytes, name) => encoders[name]?.(bytes) ?? bytes, body)
    if (random.below(4) === 0) response.writeEarlyHints({ link: `</a?${encodeURIComponent(secret)}>; rel=preload`, 'x-token': secret })
    response.writeHead(random.pick([200, 201, 203]), `No ${secret.slice(0, 24)}`, {
      'content-type': 'text/plain',
      'x-echo': this.#run(secret),
      'x-basic': authorization,
      'set-cookie': `a=${secret}`,
      ...(names.length > 0 && { 'content-encoding': names.join(', ') }),
      ...(random.below(2) === 0 ? { 'content-length': `${coded.length}` } : { trailer: 'x-token' }),
    })
    await this.#write(response, coded)
    if (!response.hasHeader('content-length')) response.addTrailers({ 'x-token': secret })
    response.end()
  }

  /** In chunks that are mostly large, now and then of a few bytes. */
  async #write(response: ServerResponse, bytes: Buffer): Promise<void> {
    const random = this.#random
    for (let at = 0; at < bytes.length;) {
      const length = 1 + random.below(random.pick([9, 300, 70_000, 300_000]))
      if (!response.write(bytes.subarray(at, at + length)) && !response.destroyed) await once(response, 'drain')
      at += length
    }
  }

  #body(secret: string, authorization: string): string {
    const parts: string[] = []
    for (let length = 0; length < bodyBytes;) {
      const part = this.#random.below(8) === 0 ? this.#run(secret) : this.#random.pick(this.#fillers)
      parts.push(part)
      length += part.length
    }
    return [...parts, authorization].join('')
  }

  #run(secret: string): string {
    const [how, spell] = this.#random.pick(Object.entries(spellings))
    this.spelled.add(how)
    const tokens = spell(secret)
    const most = tokens.length - Math.ceil(tokens.length * 0.6)
    const from = this.#random.below(most + 1)
    const to = tokens.length - this.#random.below(most - from + 1)
    return tokens.slice(this.#random.below(3) === 0 ? 0 : from, to).join('')
  }
}

/** Reads an answer as it comes and looks through it; what it holds of an earlier piece overlaps the next. */
async function leakIn(answer: IncomingMessage, finder: LeakFinder): Promise<string | null> {
  const overlap = 1000
  let before = ''
  let found = finder.find(answer.rawHeaders.join('\n') + (answer.statusMessage ?? ''))
  for await (const part of answer) {
    const text = before + (part as Buffer).toString('latin1')
    found ??= finder.find(text)
    before = text.slice(-overlap)
  }
  return found ?? finder.find(answer.rawTrailers.join('\n'))
}

test(
  'nothing of a credential that an upstream echoes reaches the agent, the logs, the ledger or the metrics',
  async () => {
    const seed = seedOf(env)
    await using upstream = new Echoing(new Random(seed))
    const url = await upstream.listen()
    await using running = await Running.start({
      env: { HEADER: secrets.header, BASIC: secrets.basic },
      providers: {
        header: { type: 'static', value: { env: 'HEADER' }, unsafe_standing: true, apply: { header: 'x-token' } },
        basic: { type: 'static', value: { env: 'BASIC' }, unsafe_standing: true, apply: { basic: 'agent' } },
      },
      routes: { header: routeTo(url, 'header', { credential: 'header' }), basic: routeTo(url, 'basic', { credential: 'basic' }) },
    })
    const finder = new LeakFinder(Object.values(secrets))
    const hinted: string[] = []
    const call = async (route: Route, path: string): Promise<string | null> => {
      const authorization = `Bearer ${await running.svid()}`
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        request({ host: '127.0.0.1', port: running.port(), path: `/${route}/${path}`, headers: { authorization } }, resolve)
          .on('information', ({ rawHeaders }) => hinted.push(...rawHeaders))
          .on('error', reject)
          .end()
      })
      expect(answer.statusCode).toBeLessThan(300)
      return leakIn(answer, finder)
    }
    for (let calls = 0; upstream.sent < total; calls++)
      expect(await call(calls % 2 === 0 ? 'header' : 'basic', `${calls}`), `seed ${seed}`).toBeNull()
    expect(hinted).toEqual([])

    const metrics = await (await fetch(`http://127.0.0.1:${running.port('health')}/metrics`)).text()
    for (const where of ['header', 'body', 'coded', 'trailer'])
      expect(metrics).toMatch(new RegExp(`countersign_credential_echoes_total\\{route="(header|basic)",where="${where}"\\} [1-9]`))
    const echoed = running.entries().filter(({ event }) => event === 'lease.echoed')
    expect(echoed).toHaveLength(running.entries().filter(({ kind }) => kind === 'outcome').length)
    expect(echoed[0]).toMatchObject({
      by: 'countersign',
      detail: { provider: 'header', route: 'header', tool: 'header.any', where: 'header' },
    })
    for (const [place, text] of Object.entries({ metrics, ledger: running.ledgerText(), logs: running.logged.join('\n') }))
      expect(finder.find(text), `${place}, seed ${seed}`).toBeNull()
    // what was looked for was there
    expect([...upstream.spelled].toSorted()).toEqual(Object.keys(spellings).toSorted())
    expect([...upstream.codings].toSorted()).toEqual(Object.keys(encoders).toSorted())
  },
  long ? 1_800_000 : 240_000,
)

test('the search of this file finds every spelling that it looks for', () => {
  for (const secret of Object.values(secrets)) {
    const finder = new LeakFinder([secret])
    for (const spell of Object.values(spellings)) {
      const tokens = spell(secret)
      const least = Math.ceil(tokens.length * 0.6)
      expect(finder.find(`before ${tokens.slice(2, 2 + least).join('')} after`)).not.toBeNull()
    }
    expect(finder.find(fillersOf(new Random(1)).join(''))).toBeNull()
  }
})
