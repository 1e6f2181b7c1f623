/**
 * Writes an order and reads it again: node agent.ts ORDER. AWS SDKs sign requests, so the identity rides in a header of its own
 * (`x-api-key`), and the keys that the SDK insists on open nothing.
 */
import { readFileSync } from 'node:fs'
import { DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'

const base = process.env['COUNTERSIGN_URL'] ?? 'http://127.0.0.1:7420'
const svid = readFileSync(process.env['AGENT_TOKEN_FILE'] ?? 'agent.jwt', 'utf8').trim()
const order = process.argv[2] ?? '1042'

async function countersign(path: string, body: object): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${svid}`, 'content-type': 'application/json' }
  const answer = await fetch(`${base}/.countersign/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  const said = (await answer.json()) as Record<string, unknown>
  if (!answer.ok) throw new Error(`${String(said['code'])}: ${String(said['title'])}`)
  return said
}

const { id: task } = await countersign('/tasks', { purpose: `keep order ${order}`, ttl: '5m' })
const table = new DynamoDBClient({
  region: 'eu-central-1',
  endpoint: `${base}/t/${String(task)}/dynamodb`,
  credentials: { accessKeyId: 'placeholder', secretAccessKey: 'placeholder' },
})
table.middlewareStack.add(
  (next) => (args) => {
    const request = args.request as { headers: Record<string, string> }
    request.headers['x-api-key'] = svid
    return next(args)
  },
  { step: 'build', name: 'identity' },
)
try {
  await table.send(new PutItemCommand({ TableName: 'orders', Item: { id: { S: order }, status: { S: 'paid' } } }))
  const { Item } = await table.send(new GetItemCommand({ TableName: 'orders', Key: { id: { S: order } } }))
  console.log(`order ${order}: ${Item?.['status']?.S}`)
} finally {
  // the session's lease ends with the task
  await countersign(`/tasks/${String(task)}/complete`, {})
}
