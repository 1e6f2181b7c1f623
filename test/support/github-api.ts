import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request as it arrived. */
export interface GithubRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

const pages = 3
const perPage = 2

/**
 * A server on loopback that answers as GitHub's REST API does for one repository: issues by page with absolute `Link` URLs to itself,
 * creating one, an error, a redirect of a renamed repository and a download that redirects elsewhere.
 */
export class GithubApi implements AsyncDisposable {
  readonly seen: GithubRequest[] = []
  readonly #server = createServer((request, response) => void this.#answer(request, response))

  static async start(): Promise<GithubApi> {
    const api = new GithubApi()
    await new Promise<void>((resolve) => api.#server.listen(0, '127.0.0.1', resolve))
    return api
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? ''
    const method = request.method ?? ''
    const body = await readText(request)
    this.seen.push({ method, url, headers: request.headers, body })
    const { pathname, searchParams } = new URL(url, this.url)
    if (pathname === '/repos/acme/shop/issues' && method === 'GET') return this.#issues(response, searchParams)
    if (pathname === '/repos/acme/shop/issues') return send(response, 201, { number: 7, title: JSON.parse(body).title })
    if (pathname === '/repos/acme/old') return send(response, 301, {}, { location: `${this.url}/repositories/1` })
    if (pathname === '/repositories/1') return send(response, 200, { id: 1, name: 'shop' })
    if (pathname === '/repos/acme/shop/tarball/main')
      return send(response, 302, {}, { location: 'https://codeload.partner.example/acme/shop/legacy.tar.gz/main?token=signed' })
    return send(response, 404, { message: 'Not Found', documentation_url: 'https://docs.partner.example/rest', status: '404' })
  }

  #issues(response: ServerResponse, query: URLSearchParams): void {
    const page = Number(query.get('page') ?? '1')
    const link = (to: number, rel: string): string => `<${this.url}/repos/acme/shop/issues?per_page=${perPage}&page=${to}>; rel="${rel}"`
    const links = [
      ...(page > 1 ? [link(page - 1, 'prev'), link(1, 'first')] : []),
      ...(page < pages ? [link(page + 1, 'next'), link(pages, 'last')] : []),
    ]
    const first = (page - 1) * perPage + 1
    const issues = Array.from({ length: perPage }, (_, at) => ({ number: first + at, title: `issue ${first + at}` }))
    send(response, 200, issues, { link: links.join(', ') })
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(Buffer.from(part))
  return Buffer.concat(parts).toString('utf8')
}

function send(response: ServerResponse, status: number, document: unknown, headers: Readonly<Record<string, string>> = {}): void {
  const text = JSON.stringify(document)
  response
    .writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text), ...headers })
    .end(text)
}
