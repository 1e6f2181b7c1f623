/** A stand-in for S3 over TLS, path style, one bucket: signature, payload, session policy, then PutObject, GetObject, HeadObject, ListObjectsV2. */
import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHash } from 'node:crypto'
import { authorize, type AwsSession } from './aws-sts.ts'
import type { TestCertificate } from './certificate.ts'
import { AwsFault, verifyV4 } from './sigv4-verifier.ts'

export interface S3Call {
  readonly method: string
  readonly target: string
  readonly headers: IncomingMessage['headers']
  /** As it was stored, without chunks. */
  readonly body: Buffer
}

export class S3StandIn {
  readonly objects = new Map<string, Buffer>()
  readonly served: S3Call[] = []
  readonly refused: string[] = []
  /** Resolves when a request has ended before it was whole. */
  readonly broken: Promise<void>
  #break: () => void = () => {}
  readonly #sessions: ReadonlyMap<string, AwsSession>
  readonly #server: ReturnType<typeof createServer>

  private constructor(sessions: ReadonlyMap<string, AwsSession>, { cert, key }: TestCertificate) {
    this.#sessions = sessions
    this.broken = new Promise((resolve) => (this.#break = resolve))
    this.#server = createServer({ cert, key }, (request, response) => void this.#serve(request, response))
  }

  static async start(sessions: ReadonlyMap<string, AwsSession>, certificate: TestCertificate): Promise<S3StandIn> {
    const s3 = new S3StandIn(sessions, certificate)
    await new Promise<void>((resolve) => s3.#server.listen(0, '127.0.0.1', resolve))
    return s3
  }

  get url(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    try {
      for await (const part of request) parts.push(part as Buffer)
    } catch {
      return this.#break()
    }
    try {
      this.#answer(request, Buffer.concat(parts), response)
    } catch (error) {
      const { status, code, message } = error instanceof AwsFault ? error : new AwsFault(500, 'InternalError', String(error))
      this.refused.push(code)
      const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message><RequestId>S-1</RequestId></Error>`
      response.writeHead(status, { 'content-type': 'application/xml', 'x-amz-request-id': 'S-1' }).end(xml)
    }
  }

  #answer(request: IncomingMessage, raw: Buffer, response: ServerResponse): void {
    const { method = '', url = '', rawHeaders, headers } = request
    const of = { service: 's3', region: 'eu-central-1', keys: this.#sessions, now: Date.now() }
    const body = verifyV4({ method, target: url, rawHeaders, body: raw, secure: true }, of)
    const session = this.#sessions.get(/Credential=([^/]+)/.exec(headers.authorization ?? '')?.[1] ?? '')
    if (session === undefined) throw new AwsFault(403, 'InvalidAccessKeyId', 'no such key')
    this.served.push({ method, target: url, headers, body })
    const { pathname, searchParams } = new URL(url, 'https://s3.test')
    const [, bucket = '', ...rest] = pathname.split('/').map(decodeURIComponent)
    if (bucket !== 'receipts') throw new AwsFault(404, 'NoSuchBucket', 'The specified bucket does not exist')
    const key = rest.join('/')
    const arn = `arn:aws:s3:::receipts${key === '' ? '' : `/${key}`}`
    if (key === '' && method === 'GET' && searchParams.get('list-type') === '2') {
      authorize(session, 's3:ListBucket', arn)
      return void response.writeHead(200, { 'content-type': 'application/xml' }).end(this.#list(searchParams.get('prefix') ?? ''))
    }
    if (key === '') throw new AwsFault(400, 'InvalidRequest', 'not in this stand-in')
    if (method === 'PUT') return this.#put(session, arn, key, body, response)
    if (method !== 'GET' && method !== 'HEAD') throw new AwsFault(405, 'MethodNotAllowed', 'The specified method is not allowed')
    authorize(session, 's3:GetObject', arn)
    const object = this.objects.get(key)
    if (object === undefined) throw new AwsFault(404, 'NoSuchKey', 'The specified key does not exist.')
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': object.length, etag: etagOf(object) })
    response.end(method === 'HEAD' ? undefined : object)
  }

  #put(session: AwsSession, arn: string, key: string, body: Buffer, response: ServerResponse): void {
    authorize(session, 's3:PutObject', arn)
    this.objects.set(key, body)
    response.writeHead(200, { etag: etagOf(body), 'content-length': 0 }).end()
  }

  #list(prefix: string): string {
    const found = [...this.objects].filter(([key]) => key.startsWith(prefix)).toSorted(([a], [b]) => (a < b ? -1 : 1))
    const contents = found.map(([key, body]) => `<Contents><Key>${escapeXml(key)}</Key><Size>${body.length}</Size></Contents>`)
    return `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>receipts</Name><Prefix>${escapeXml(prefix)}</Prefix><KeyCount>${found.length}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>${contents.join('')}</ListBucketResult>`
  }
}

function etagOf(body: Buffer): string {
  return `"${createHash('md5').update(body).digest('hex')}"`
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
