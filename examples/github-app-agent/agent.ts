/** Opens an issue: node agent.ts OWNER/REPO "title". Its identity is the JWT-SVID in $AGENT_TOKEN_FILE; it never sees a GitHub token. */
import { readFileSync } from 'node:fs'
import { Octokit } from 'octokit'

const base = process.env['COUNTERSIGN_URL'] ?? 'http://127.0.0.1:7420'
const svid = readFileSync(process.env['AGENT_TOKEN_FILE'] ?? 'agent.jwt', 'utf8').trim()
const [owner = '', repo = ''] = (process.argv[2] ?? '').split('/')
const title = process.argv[3] ?? 'It is down'

async function countersign(path: string, body: object): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${svid}`, 'content-type': 'application/json' }
  const answer = await fetch(`${base}/.countersign/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  const said = (await answer.json()) as Record<string, unknown>
  if (!answer.ok) throw new Error(`${String(said['code'])}: ${String(said['title'])}`)
  return said
}

const { id: task } = await countersign('/tasks', { purpose: `report to ${owner}/${repo}`, resources: [`repo:${owner}/${repo}`], ttl: '5m' })
const octokit = new Octokit({ auth: svid, baseUrl: `${base}/t/${String(task)}/github`, retry: { enabled: false }, throttle: { enabled: false } })
try {
  const { data } = await octokit.rest.issues.create({ owner, repo, title })
  console.log(`issue ${data.number}`)
} finally {
  // the token of the App is revoked with the task
  await countersign(`/tasks/${String(task)}/complete`, {})
}
