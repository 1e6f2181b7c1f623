import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { request as plainRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import {
  DynamoDBClient,
  DeleteItemCommand,
  DynamoDBServiceException,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
} from '@aws-sdk/client-dynamodb'
import {
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import type { JSONWebKeySet } from 'jose'
import { afterAll, expect, test } from 'vitest'
import { DynamoDbStandIn } from '../support/aws-dynamodb.ts'
import { S3StandIn } from '../support/aws-s3.ts'
import { roleArn, StsStandIn } from '../support/aws-sts.ts'
import { certificateFor, mintCertificate } from '../support/certificate.ts'
import { agentId, anyTool, ask, freeAgent, routeTo, Running, type Settings } from '../support/running.ts'
import { awsChunked } from '../support/sigv4-rig.ts'
import { AwsFault } from '../support/sigv4-verifier.ts'
import { pem } from '../support/x509.ts'

const issuer = 'https://countersign.acme.example'
const region = 'eu-central-1'
const credentials = { accessKeyId: 'placeholder', secretAccessKey: 'placeholder' }
const folder = mkdtempSync(join(tmpdir(), 'countersign-aws-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const s3Certificate = certificateFor('localhost')
const ca = join(folder, 's3.pem')
writeFileSync(ca, s3Certificate.cert)

const select = (target: string): Settings => ({ 'x-amz-target': `DynamoDB_20120810.${target}` })
const tables: Settings[] = [
  { ...anyTool('orders.read'), match: 'POST /', headers: select('GetItem'), args: 'json', resource: 'table:orders' },
  { ...anyTool('orders.write', { effect: 'write' }), match: 'POST /', headers: select('PutItem'), args: 'json' },
  { ...anyTool('orders.find'), match: 'POST /', headers: select('Query') },
]
const files: Settings[] = [
  { ...anyTool('receipts.list'), match: 'GET /receipts/' },
  { ...anyTool('receipts.read'), match: 'GET /receipts/{+key}' },
  { ...anyTool('receipts.write', { effect: 'write' }), match: 'PUT /receipts/{+key}' },
]

/** STS, DynamoDB and S3 as they stand in here, and Countersign between them and the agent, which it knows by its port. */
class Cloud implements AsyncDisposable {
  readonly sts: StsStandIn
  readonly table: DynamoDbStandIn
  readonly s3: S3StandIn
  readonly running: Running
  readonly #clients: { destroy(): void }[] = []

  private constructor(sts: StsStandIn, table: DynamoDbStandIn, s3: S3StandIn, running: Running) {
    this.sts = sts
    this.table = table
    this.s3 = s3
    this.running = running
  }

  static async start(
    more: { readonly provider?: Settings; readonly listen?: Settings; readonly identify?: Settings } = {},
  ): Promise<Cloud> {
    const published: { keys: () => Promise<JSONWebKeySet> } = { keys: async () => ({ keys: [] }) }
    const sts = await StsStandIn.start({ issuer, subject: issuer, keys: () => published.keys() })
    const table = await DynamoDbStandIn.start(sts.sessions)
    const s3 = await S3StandIn.start(sts.sessions, s3Certificate)
    const provider = (service: string, scope: string[]): Settings => {
      const apply = { sigv4: { service, region } }
      return { type: 'aws', role: roleArn, region, endpoint: sts.url, identity: 'signed', tags: true, scope, apply, ...more.provider }
    }
    const running = await Running.start({
      routes: {
        dynamodb: routeTo(table.url, 'dynamodb', {
          credential: 'dynamodb',
          selects: ['x-amz-target'],
          refusals: 'aws-json',
          tools: tables,
        }),
        s3: routeTo(s3.url, 's3', { credential: 's3', refusals: 'aws-xml', ca: { file: ca }, tools: files }),
      },
      agents: [freeAgent({ intent: { ...(freeAgent()['intent'] as Settings), tools: ['orders.*', 'receipts.*'] } })],
      providers: {
        dynamodb: provider('dynamodb', ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query']),
        s3: provider('s3', ['s3:GetObject', 's3:ListBucket', 's3:PutObject']),
      },
      settings: {
        credential: { issuer },
        listen: { agent: [{ at: '127.0.0.1:0', ambient: agentId, ...more.listen }] },
        ...(more.identify === undefined ? {} : { identify: more.identify }),
      },
    })
    published.keys = async () =>
      (await (await fetch(`http://127.0.0.1:${running.port('health')}/.well-known/jwks.json`)).json()) as JSONWebKeySet
    return new Cloud(sts, table, s3, running)
  }

  dynamodb(prefix = '', maxAttempts = 1): DynamoDBClient {
    const client = new DynamoDBClient({ region, endpoint: this.running.url(`${prefix}/dynamodb`), credentials, maxAttempts })
    this.#clients.push(client)
    return client
  }

  files(more: S3ClientConfig = {}): S3Client {
    const endpoint = this.running.url('/s3')
    const client = new S3Client({ region, endpoint, credentials, forcePathStyle: true, maxAttempts: 1, ...more })
    this.#clients.push(client)
    return client
  }

  /** Everything that was written down. */
  written(): string {
    return this.running.ledgerText() + this.running.logged.join()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy()
    await this.running[Symbol.asyncDispose]()
    await this.table[Symbol.asyncDispose]()
    await this.s3[Symbol.asyncDispose]()
    await this.sts.close()
  }
}

const order = { id: { S: '1042' }, note: { S: 'späte Lieferung' } }

async function failure<Kind extends Error>(kind: abstract new (...args: never[]) => Kind, asked: Promise<unknown>): Promise<Kind> {
  const error: unknown = await asked.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error instanceof kind) return error
  throw new Error('the SDK threw no error of its own', { cause: error })
}

test('the SDK of DynamoDB writes, reads and finds through the proxy, each operation a tool with keys of its own', async () => {
  await using cloud = await Cloud.start()
  const client = cloud.dynamodb()
  await client.send(new PutItemCommand({ TableName: 'orders', Item: order }))
  expect((await client.send(new GetItemCommand({ TableName: 'orders', Key: { id: { S: '1042' } } }))).Item).toEqual(order)
  const query = { TableName: 'orders', KeyConditionExpression: 'id = :id', ExpressionAttributeValues: { ':id': { S: '1042' } } }
  expect((await client.send(new QueryCommand(query))).Items).toEqual([order])
  expect(cloud.table.served.map(({ operation }) => operation)).toEqual(['PutItem', 'GetItem', 'Query'])
  expect(cloud.table.refused).toEqual([])

  const decisions = cloud.running.entries().filter(({ kind }) => kind === 'decision')
  expect(decisions.map(({ tool }) => tool)).toEqual(['orders.write', 'orders.read', 'orders.find'])
  const sessions = [...cloud.sts.sessions.values()]
  expect(sessions.map(({ tags }) => tags)).toEqual(decisions.map(({ tool, task }) => ({ task, tool, agent: agentId })))
  for (const { name } of sessions) expect(name).toBe(decisions[0]?.['task'])
  // nothing of the agent's own signing reached the service
  for (const { headers } of cloud.table.served) expect(JSON.stringify(headers)).not.toContain('placeholder')
  const leases = cloud.running.entries().filter((line) => line['event'] === 'lease.issued')
  expect(leases.map((line) => line['detail'])).toMatchObject(sessions.map(() => ({ revocation: 'expiry' })))
  for (const { secret, token } of sessions) for (const one of [secret, token ?? '']) expect(cloud.written()).not.toContain(one)
})

test('what the SDK tries again is judged again and signed anew', async () => {
  await using cloud = await Cloud.start()
  const client = cloud.dynamodb('', 3)
  cloud.table.faults.push(new AwsFault(500, 'InternalServerError', 'again'), new AwsFault(400, 'ThrottlingException', 'slower'))
  await client.send(new GetItemCommand({ TableName: 'orders', Key: { id: { S: '1042' } } }))
  expect(cloud.table.served).toHaveLength(3)
  const attempts = cloud.table.served.map(({ headers }) => headers['amz-sdk-request'])
  expect(new Set(attempts).size).toBe(3)
  expect(new Set(cloud.table.served.map(({ signature }) => signature)).size).toBe(3)
  expect(cloud.running.entries().filter(({ kind }) => kind === 'decision')).toHaveLength(3)
  expect(cloud.sts.sessions.size).toBe(1)
})

test('a session may do no more than the actions of its provider, whatever the role may', async () => {
  await using cloud = await Cloud.start({ provider: { scope: ['dynamodb:Query'] } })
  const error = await failure(DynamoDBServiceException, cloud.dynamodb().send(new PutItemCommand({ TableName: 'orders', Item: order })))
  expect(error.message).toContain('no session policy allows it')
  expect(cloud.table.items.size).toBe(0)
})

test('a refusal is an error of the SDK with our words and code in it, and nothing is asked of STS', async () => {
  await using cloud = await Cloud.start()
  const deleting = cloud.dynamodb('', 3).send(new DeleteItemCommand({ TableName: 'orders', Key: { id: { S: '1042' } } }))
  const refused = await failure(DynamoDBServiceException, deleting)
  expect(refused.name).toBe('AccessDeniedException')
  expect(refused.message).toContain('decide.denied: Policy refused the call')
  expect(refused.$metadata.httpStatusCode).toBe(403)
  const line = cloud.running.entries().find(({ kind }) => kind === 'refusal')
  expect(refused.$metadata.requestId).toBe(line?.id)
  const alien = await failure(S3ServiceException, cloud.files().send(new GetObjectCommand({ Bucket: 'payroll', Key: 'all.csv' })))
  expect(alien.name).toBe('AccessDenied')
  expect(alien.message).toContain('decide.denied')
  expect(cloud.sts.asked).toEqual([])
  expect(cloud.table.served).toEqual([])
})

test('keys that cannot be had are told as such, without a word of STS', async () => {
  await using cloud = await Cloud.start({ provider: { role: 'arn:aws:iam::123456789012:role/other' } })
  const error = await failure(S3ServiceException, cloud.files().send(new GetObjectCommand({ Bucket: 'receipts', Key: 'a' })))
  expect(error.message).toContain('credential.unavailable: No credential could be had')
  expect(error.message).not.toContain('sts:')
  expect(cloud.written()).toContain('AccessDenied: the trust policy of the role')
})

test('the keys of a task are gone with it', async () => {
  await using cloud = await Cloud.start()
  const headers = { 'content-type': 'application/json' }
  const port = cloud.running.port()
  const opened = await ask(port, '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"refund order 1042"}' })
  const task = String(opened.json['id'])
  const client = cloud.dynamodb(`/t/${task}`)
  const read = (): Promise<unknown> => client.send(new GetItemCommand({ TableName: 'orders', Key: { id: { S: '1042' } } }))
  await read()
  expect([...cloud.sts.sessions.values()].map(({ name }) => name)).toEqual([task])
  expect(cloud.running.sidecar.foundation.credential.sizes().out).toBe(1)
  await ask(port, `/.countersign/v1/tasks/${task}/complete`, { method: 'POST', headers, body: '{}' })
  expect(cloud.running.sidecar.foundation.credential.sizes().out).toBe(0)
  expect((await failure(DynamoDBServiceException, read())).message).toContain('task.ended')
  expect(cloud.table.served).toHaveLength(1)
})

const keysOfS3 = ['plain.txt', 'with space/and (brackets)!.txt', 'naïve/ключ/キー.txt', "a+b=c&d,e;f:g@h$i'j*.txt", '100%.txt']

test.each(keysOfS3)('the SDK of S3 puts, gets and lists %s', async (Key) => {
  await using cloud = await Cloud.start()
  const client = cloud.files()
  await client.send(
    new PutObjectCommand({ Bucket: 'receipts', Key, Body: Buffer.from('paid'), ContentType: 'text/plain', Metadata: { order: '1042' } }),
  )
  expect(cloud.s3.refused).toEqual([])
  expect([...cloud.s3.objects.keys()]).toEqual([Key])
  const got = await client.send(new GetObjectCommand({ Bucket: 'receipts', Key }))
  expect(await got.Body?.transformToString()).toBe('paid')
  const listed = await client.send(new ListObjectsV2Command({ Bucket: 'receipts', Prefix: Key.slice(0, 3) }))
  expect(listed.Contents?.map((one) => one.Key)).toEqual([Key])
  const absent = await failure(NoSuchKey, client.send(new GetObjectCommand({ Bucket: 'receipts', Key: 'absent' })))
  expect(absent.message).toBe('The specified key does not exist.')
})

test('a stream goes up as a stream, with its checksum behind it, and arrives whole', async () => {
  await using cloud = await Cloud.start()
  const pieces = Array.from({ length: 48 }, (_, at) => Buffer.alloc(65_000 + at, at))
  const body = Buffer.concat(pieces)
  await cloud
    .files()
    .send(new PutObjectCommand({ Bucket: 'receipts', Key: 'large.bin', Body: Readable.from(pieces), ContentLength: body.length }))
  const [call] = cloud.s3.served
  expect(call?.headers['x-amz-content-sha256']).toBe('STREAMING-UNSIGNED-PAYLOAD-TRAILER')
  expect(call?.headers['x-amz-trailer']).toBe('x-amz-checksum-crc32')
  expect(cloud.s3.objects.get('large.bin')?.equals(body)).toBe(true)
})

/** One request as a client of another make sends it, in pieces; gives status and text, or that the connection was cut. */
function put(cloud: Cloud, key: string, headers: Readonly<Record<string, string>>, body: readonly Buffer[]): Promise<string> {
  return new Promise((resolve) => {
    const length = String(body.reduce((sum, one) => sum + one.length, 0))
    const options = { host: '127.0.0.1', port: cloud.running.port(), path: `/s3/receipts/${key}`, method: 'PUT', agent: false }
    const sent = plainRequest({ ...options, headers: { 'content-length': length, ...headers } }, (response) => {
      let text = ''
      response.on('data', (part: Buffer) => (text += part.toString()))
      response.on('end', () => resolve(`${response.statusCode} ${text}`))
    })
    sent.on('error', () => resolve('cut'))
    const next = (at: number): void => {
      const piece = body[at]
      if (piece === undefined) sent.end()
      else sent.write(piece, () => setImmediate(next, at + 1))
    }
    next(0)
  })
}

const chunked = (length: number, more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  authorization: 'AWS4-HMAC-SHA256 Credential=placeholder/20260301/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=00',
  'content-encoding': 'aws-chunked',
  'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  'x-amz-decoded-content-length': String(length),
  ...more,
})

test('a body in signed chunks is signed anew, chunk by chunk, on its way', async () => {
  await using cloud = await Cloud.start()
  const data = Buffer.alloc(700_000, 'receipt ')
  const body = awsChunked(
    data,
    Array.from({ length: 10 }, () => 65_536),
  )
  const pieces = Array.from({ length: Math.ceil(body.length / 50_000) }, (_, at) => body.subarray(at * 50_000, (at + 1) * 50_000))
  expect(await put(cloud, 'chunks.bin', chunked(data.length), pieces)).toMatch(/^200/)
  expect(cloud.s3.refused).toEqual([])
  expect(cloud.s3.objects.get('chunks.bin')?.equals(data)).toBe(true)
})

test('chunks that are not what they say never arrive as a whole body', async () => {
  await using cloud = await Cloud.start()
  const data = Buffer.alloc(300_000, 'receipt ')
  const body = awsChunked(data, [65_536, 65_536, 65_536])
  body.write('z', body.indexOf(';chunk-signature', 120_000) - 1)
  const pieces = [body.subarray(0, 100_000), body.subarray(100_000, 150_000), body.subarray(150_000)]
  const answer = await put(cloud, 'chunks.bin', chunked(data.length), pieces)
  expect(answer).toMatch(/^400 [^]*aws-chunked body is malformed/)
  expect(cloud.s3.objects.size).toBe(0)
  await cloud.s3.broken
  const line = cloud.running.entries().find(({ kind }) => kind === 'outcome')
  expect(line).toMatchObject({ ended: 'refused', code: 'listen.malformed', body_sha256: null })
})

test('an upstream that echoes what it was sent gives no session token to the agent', async () => {
  await using cloud = await Cloud.start()
  cloud.table.faults.push('echo')
  const error = await failure(DynamoDBServiceException, cloud.dynamodb().send(new PutItemCommand({ TableName: 'orders', Item: order })))
  const [session] = cloud.sts.sessions.values()
  expect(error.message).toContain('x-amz-security-token')
  expect(error.message).toContain('AWS4-HMAC-SHA256')
  expect(error.message).not.toContain(session?.token)
  expect(error.message).not.toContain(session?.token?.slice(20, -20))
})

test('a URL that the agent presigned is refused before anything is asked of S3', async () => {
  await using cloud = await Cloud.start()
  const answer = await ask(cloud.running.port(), '/s3/receipts/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00')
  expect(answer.status).toBe(400)
  expect(answer.text).toContain('presigned')
  expect(cloud.s3.served).toEqual([])
})

test('an agent that proves itself by mTLS uses the SDK as it is', async () => {
  const served = mintCertificate({ names: ['localhost'], ca: true })
  const write = (name: string, text: string): { file: string } => {
    writeFileSync(join(folder, name), text)
    return { file: join(folder, name) }
  }
  const tls = { cert: write('served.pem', served.cert), key: write('served.key', served.key) }
  const sources = [{ type: 'bundle', trust_domain: 'acme.example', from: { file: 'bundle.json' } }]
  await using cloud = await Cloud.start({ listen: { tls, ambient: undefined }, identify: { sources } })
  const { chain, key } = cloud.running.issuer.issue({ id: agentId, seconds: 600 })
  const cert = chain.map((one) => pem(one)).join('')
  const privateKey = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(key ?? '').toString('base64')}\n-----END PRIVATE KEY-----\n`
  const httpsAgent = new Agent({ ca: served.cert, cert, key: privateKey })
  const client = cloud.files({ endpoint: `https://localhost:${cloud.running.port()}/s3`, requestHandler: { httpsAgent } })
  await client.send(new PutObjectCommand({ Bucket: 'receipts', Key: 'a.txt', Body: 'paid' }))
  expect(cloud.s3.objects.get('a.txt')?.toString()).toBe('paid')
  expect(cloud.running.entries().find(({ kind }) => kind === 'decision')).toMatchObject({ caller: agentId, confirmed: 'mtls' })
})
