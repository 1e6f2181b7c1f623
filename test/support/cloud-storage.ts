/** A stand-in for the JSON API of Cloud Storage, as far as an agent uses it: reading, listing, and uploads by resumable session. It is not Google. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Loopback } from './loopback.ts'

export class CloudStorage extends Loopback {
  readonly objects = new Map<string, Buffer>([['monthly/2026-10.csv', Buffer.from('month,total\n2026-10,17\n')]])
  readonly seen: { readonly method: string; readonly url: string; readonly authorization: string | undefined }[] = []
  readonly #sessions = new Map<string, string>()
  readonly #accepts: (token: string) => boolean

  constructor(accepts: (token: string) => boolean) {
    super((request, response) => void this.#answer(request, response))
    this.#accepts = accepts
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request
    this.seen.push({ method, url, authorization: headers.authorization })
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const { pathname, searchParams } = new URL(url, this.url)
    const send = (status: number, json: object, more: Record<string, string> = {}): void =>
      void response.writeHead(status, { 'content-type': 'application/json', ...more }).end(JSON.stringify(json))
    if (!this.#accepts((headers.authorization ?? '').replace('Bearer ', '')))
      return send(401, { error: { code: 401, message: 'Invalid Credentials' } })
    if (pathname === '/upload/storage/v1/b/acme-reports/o') return this.#upload(method, searchParams, Buffer.concat(parts), send)
    if (pathname === '/storage/v1/b/acme-reports/o')
      return send(200, { kind: 'storage#objects', items: [...this.objects.keys()].map((name) => metadata(name)) })
    const name = decodeURIComponent(/^\/storage\/v1\/b\/acme-reports\/o\/([^/]+)$/.exec(pathname)?.[1] ?? '')
    const object = this.objects.get(name)
    if (object === undefined) return send(404, { error: { code: 404, message: `No such object: acme-reports/${name}` } })
    if (searchParams.get('alt') !== 'media') return send(200, metadata(name))
    response.writeHead(200, { 'content-type': 'text/csv', 'content-length': object.length }).end(object)
  }

  #upload(
    method: string,
    query: URLSearchParams,
    body: Buffer,
    send: (status: number, json: object, more?: Record<string, string>) => void,
  ): void {
    if (method === 'POST' && query.get('uploadType') === 'resumable') {
      const session = randomUUID()
      this.#sessions.set(session, query.get('name') ?? '')
      return send(200, {}, { location: `${this.url}/upload/storage/v1/b/acme-reports/o?uploadType=resumable&upload_id=${session}` })
    }
    const name = this.#sessions.get(query.get('upload_id') ?? '')
    if (method !== 'PUT' || name === undefined) return send(404, { error: { code: 404, message: 'Not Found' } })
    this.objects.set(name, body)
    return send(200, metadata(name))
  }
}

function metadata(name: string): object {
  return { kind: 'storage#object', name, bucket: 'acme-reports', id: `acme-reports/${name}/1` }
}
