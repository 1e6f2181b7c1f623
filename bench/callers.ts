/** Who asks: tokens of one agent, and the tasks that it opened. */

import { developmentIssuer, type DevelopmentIssuer } from '../src/demo/issuer.ts'

export const agent = 'spiffe://acme.example/ns/bench/sa/agent'
export const audience = 'spiffe://acme.example/countersign'
/** What every task of the bench is for. */
export const tools = ['items.read', 'items.write', 'items.open']
/** Longer than any run, s. */
const lifetime = 6 * 3600

export interface Callers {
  readonly issuer: DevelopmentIssuer
  /** As many different tokens as are asked for, the same ones every time. */
  tokens(count: number): Promise<readonly string[]>
}

export async function callers(): Promise<Callers> {
  const issuer = await developmentIssuer('acme.example')
  const minted: string[] = []
  return {
    issuer,
    tokens: async (count) => {
      // another second of life each: otherwise what was signed is the same
      while (minted.length < count) minted.push(await issuer.mint(agent, audience, lifetime + minted.length))
      return minted.slice(0, count)
    },
  }
}

/** Opens tasks at a Countersign; throws with its answer when it opens none. */
export async function openTasks(port: number, token: string, count: number): Promise<string[]> {
  const opened: string[] = []
  while (opened.length < count) opened.push(await openTask(port, token))
  return opened
}

async function openTask(port: number, token: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/.countersign/v1/tasks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ purpose: 'measure', tools, resources: ['item:*'], ttl: '10h' }),
  })
  const task: unknown = await answer.json()
  if (answer.status !== 201 || task === null || typeof task !== 'object' || !('id' in task)) {
    throw new Error(`no task was opened: ${answer.status} ${JSON.stringify(task)}`)
  }
  return String(task.id)
}
