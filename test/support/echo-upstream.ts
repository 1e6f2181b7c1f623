import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * An upstream that says the credential it was called with back in every way that upstreams were seen to:
 * `/headers`, `/body`, `/error`, `/phrase`, `/redirect`, `/created`, `/hints`, `/trailers`, `/cut`; else it answers `{"ok":true}`.
 */
export class EchoUpstream implements AsyncDisposable {
  /** Request heads and bodies as text. */
  readonly seen: string[] = []
  readonly credentials: string[] = []
  readonly #server = createServer((request, response) => void this.#answer(request, response))

  static async start(): Promise<EchoUpstream> {
    const upstream = new EchoUpstream()
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  static readonly ways = ['/headers', '/body', '/error', '/phrase', '/redirect', '/created', '/hints', '/trailers', '/cut'] as const

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    for await (const part of request) body += String(part)
    this.seen.push(`${request.method ?? ''} ${request.url ?? ''}\n${request.rawHeaders.join('\n')}\n\n${body}`)
    const secret = credentialOf(request)
    if (secret !== '') this.credentials.push(secret)
    this.#echo(new URL(request.url ?? '/', this.url).pathname, secret, response)
  }

  #echo(path: string, secret: string, response: ServerResponse): void {
    const [plain, encoded, packed] = [secret, encodeURIComponent(secret), Buffer.from(`user:${secret}`).toString('base64')]
    switch (path) {
      case '/headers':
        response.writeHead(200, {
          'x-token': plain,
          'x-url': encoded,
          'x-basic': packed,
          'set-cookie': `session=${plain}`,
          etag: `"${plain}"`,
        })
        return void response.end('ok')
      case '/body':
        response.writeHead(200, { 'content-type': 'application/json' })
        response.write(`{"token":"${plain.slice(0, 7)}`)
        return void setImmediate(() => response.end(`${plain.slice(7)}","url":"${encoded}","basic":"${packed}"}`))
      case '/error':
        response.writeHead(401, {
          'www-authenticate': `Bearer error="invalid_token", token="${plain}"`,
          'content-type': 'application/json',
        })
        return void response.end(JSON.stringify({ error: `the token ${plain} is not good` }))
      case '/phrase':
        return void response.writeHead(418, `No ${plain}`).end('no')
      case '/redirect':
        return void response.writeHead(302, { location: `${this.url}/next?token=${encoded}` }).end()
      case '/created':
        response.writeHead(201, {
          location: `/things/1?token=${encoded}`,
          'content-location': `${this.url}/things/${plain}`,
          link: `<${this.url}/things?page=2&token=${plain}>; rel="next"`,
        })
        return void response.end('{}')
      case '/hints':
        response.writeEarlyHints({ link: `</style.css?token=${encoded}>; rel=preload`, 'x-token': plain })
        return void response.writeHead(200).end('ok')
      case '/trailers':
        response.writeHead(200, { trailer: 'x-token, x-done' }).write('ok')
        response.addTrailers({ 'x-token': plain, 'x-done': 'yes' })
        return void response.end()
      case '/cut':
        response.writeHead(200, { 'content-length': '100000' })
        return void response.write(`the token was ${plain}`, () => response.destroy())
      default:
        return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}')
    }
  }
}

/** Whatever the credential was put into. */
function credentialOf({ headers, url }: IncomingMessage): string {
  const query = new URL(url ?? '/', 'http://upstream.invalid').searchParams.get('key')
  if (query !== null) return query
  const { authorization = '' } = headers
  if (authorization.startsWith('Basic ')) return Buffer.from(authorization.slice(6), 'base64').toString().split(':').slice(1).join(':')
  return authorization.slice(authorization.indexOf(' ') + 1) || String(headers['x-token'] ?? '')
}
