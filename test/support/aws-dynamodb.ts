/** A stand-in for DynamoDB (GetItem, PutItem, Query on one table): the signature first, then the session policy, then the shape of the request. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { authorize, type AwsSession } from './aws-sts.ts'
import { AwsFault, verifyV4 } from './sigv4-verifier.ts'

type Item = Readonly<Record<string, Readonly<Record<string, unknown>>>>

export interface Served {
  readonly operation: string
  readonly session: string
  readonly headers: IncomingMessage['headers']
  readonly signature: string
}

export class DynamoDbStandIn {
  readonly items = new Map<string, Item>()
  /** Calls that verified. */
  readonly served: Served[] = []
  /** Codes of what was refused. */
  readonly refused: string[] = []
  /** The next calls fail so, whatever they are; `echo`: with the headers that they came with. */
  readonly faults: (AwsFault | 'echo')[] = []
  readonly #sessions: ReadonlyMap<string, AwsSession>
  readonly #server = createServer((request, response) => void this.#serve(request, response))

  private constructor(sessions: ReadonlyMap<string, AwsSession>) {
    this.#sessions = sessions
  }

  static async start(sessions: ReadonlyMap<string, AwsSession>): Promise<DynamoDbStandIn> {
    const table = new DynamoDbStandIn(sessions)
    await new Promise<void>((resolve) => table.#server.listen(0, '127.0.0.1', resolve))
    return table
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const head = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': 'D-1' }
    try {
      const answer = this.#answer(request, Buffer.concat(parts))
      response.writeHead(200, head).end(JSON.stringify(answer))
    } catch (error) {
      const { status, code, message } = error instanceof AwsFault ? error : new AwsFault(500, 'InternalServerError', String(error))
      this.refused.push(code)
      response.writeHead(status, head).end(JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${code}`, message }))
    }
  }

  #answer(request: IncomingMessage, body: Buffer): unknown {
    if (request.method !== 'POST' || request.url !== '/') throw new AwsFault(404, 'UnknownOperationException', 'no such path')
    const { rawHeaders, headers } = request
    const now = Date.now()
    const of = { service: 'dynamodb', region: 'eu-central-1', keys: this.#sessions, now }
    const bytes = verifyV4({ method: 'POST', target: '/', rawHeaders, body, secure: false }, of)
    const authorization = headers.authorization ?? ''
    const session = this.#sessions.get(/Credential=([^/]+)/.exec(authorization)?.[1] ?? '')
    if (session === undefined) throw new AwsFault(403, 'UnrecognizedClientException', 'no such key')
    if (headers['content-type'] !== 'application/x-amz-json-1.0') throw new AwsFault(400, 'SerializationException', 'Content-Type')
    const operation = /^DynamoDB_20120810\.(GetItem|PutItem|Query)$/.exec(String(headers['x-amz-target']))?.[1]
    if (operation === undefined) throw new AwsFault(400, 'UnknownOperationException', 'no such operation')
    this.served.push({
      operation,
      session: session.name,
      headers,
      signature: authorization.slice(authorization.indexOf('Signature=') + 10),
    })
    const fault = this.faults.shift()
    if (fault !== undefined) throw fault === 'echo' ? new AwsFault(400, 'ValidationException', JSON.stringify(headers)) : fault
    const input = JSON.parse(bytes.toString('utf8')) as Record<string, never>
    const { TableName } = input
    if (TableName !== 'orders') throw new AwsFault(400, 'ResourceNotFoundException', 'Requested resource not found')
    authorize(session, `dynamodb:${operation}`, 'arn:aws:dynamodb:eu-central-1:123456789012:table/orders')
    if (operation === 'PutItem') return this.#put(input['Item'] ?? {})
    if (operation === 'GetItem') return { Item: this.items.get(keyOf(input['Key'] ?? {})) }
    const wanted = (input['ExpressionAttributeValues'] ?? {}) as Item
    const found = [...this.items.values()].filter((item) => item['id']?.['S'] === wanted[':id']?.['S'])
    return { Items: found, Count: found.length, ScannedCount: this.items.size }
  }

  #put(item: Item): unknown {
    this.items.set(keyOf(item), item)
    return {}
  }
}

function keyOf(item: Item): string {
  const id = item['id']?.['S']
  if (typeof id !== 'string')
    throw new AwsFault(400, 'ValidationException', 'One or more parameter values were invalid: Missing the key id in the item')
  return id
}
