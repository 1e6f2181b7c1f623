/** Answers a question about orders: node agent.ts "Was order 1042 paid?". Its identity is the JWT-SVID in $AGENT_TOKEN_FILE. */
import { readFileSync } from 'node:fs'
import { OpenAI } from 'openai'

const base = process.env['COUNTERSIGN_URL'] ?? 'http://127.0.0.1:7420'
/** Read anew for each call: an SVID lives for minutes. */
const svid = async (): Promise<string> => readFileSync(process.env['AGENT_TOKEN_FILE'] ?? 'agent.jwt', 'utf8').trim()

async function countersign(path: string, body: object): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${await svid()}`, 'content-type': 'application/json' }
  const answer = await fetch(`${base}/.countersign/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  const said = (await answer.json()) as Record<string, unknown>
  if (!answer.ok) throw new Error(`${String(said['code'])}: ${String(said['title'])}`)
  return said
}

const question = process.argv[2] ?? 'Was order 1042 paid?'
const { id: task } = await countersign('/tasks', { purpose: `answer: ${question}`.slice(0, 500), ttl: '5m' })
// the task rides in the base URL; the real key is put in by Countersign
const openai = new OpenAI({ apiKey: svid, baseURL: `${base}/t/${String(task)}/openai/v1` })

async function readOrder(id: string): Promise<string> {
  const headers = { authorization: `Bearer ${await svid()}` }
  const answer = await fetch(`${base}/t/${String(task)}/crm/orders/${encodeURIComponent(id)}`, { headers })
  // a refusal is text for the model too: it says what may be done about it
  return answer.text()
}

const tools: OpenAI.ChatCompletionTool[] = [
  {
    type: 'function',
    function: {
      name: 'read_order',
      description: 'Reads one order.',
      parameters: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
    },
  },
]
const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: question }]
try {
  for (let turn = 0; turn < 5; turn++) {
    const { choices } = await openai.chat.completions.create({ model: process.env['MODEL'] ?? 'gpt-5-mini', messages, tools })
    const message = choices[0]?.message
    if (message === undefined) throw new Error('the model gave no answer')
    messages.push(message)
    const calls = message.tool_calls ?? []
    if (calls.length === 0) {
      console.log(message.content)
      break
    }
    for (const call of calls) {
      if (call.type !== 'function') continue
      const { id } = JSON.parse(call.function.arguments) as { id: string }
      messages.push({ role: 'tool', tool_call_id: call.id, content: await readOrder(id) })
    }
  }
} finally {
  await countersign(`/tasks/${String(task)}/complete`, {})
}
