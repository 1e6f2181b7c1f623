import { describe, expect, it } from 'vitest'
import { makeAgentApi } from '../../../src/agent-api/agent-api.ts'
import type { Caller } from '../../../src/identify/identify.ts'
import type { Call, TlsPeer } from '../../../src/listen/call.ts'
import type { Entry } from '../../../src/record/record.ts'
import { readJson } from '../../../src/match/json.ts'
import { Refusal } from '../../../src/refusal.ts'
import { agentRegistry } from '../../../src/task/agents.ts'
import { checkHosting } from '../../../src/task/hosting.ts'
import { makeTask } from '../../../src/task/task.ts'
import { sketchAgent, sketchCall, sketchCaller } from '../../support/question.ts'
import { taskRig } from '../../support/task-rig.ts'

const tls: TlsPeer = { chain: [] }
const callOver = (peer: TlsPeer | null): Call => ({ ...sketchCall({ kind: 'agent-api', target: '/v1/tasks', method: 'POST' }), tls: peer })
const reasons = ['this agent is let in by a TLS listener alone, with a client certificate or an OIDC token']

function codeOf(work: () => unknown): string {
  try {
    work()
    return 'let in'
  } catch (error) {
    return Refusal.from(error).code
  }
}

const callers: readonly (readonly [string, Partial<Caller>, boolean])[] = [
  ['a certificate', { method: 'x509-svid', confirmed: 'mtls' }, true],
  ['an OIDC token', { method: 'oidc', confirmed: 'bearer' }, true],
  ['a JWT-SVID that whoever holds it can use', { method: 'jwt-svid', confirmed: 'bearer' }, false],
  ['a JWT-SVID that is bound', { method: 'jwt-svid', confirmed: 'dpop' }, false],
  ['nothing but the word of its listener', { method: 'ambient', confirmed: 'none' }, false],
]

describe.each(['vendor', 'delegated-admin'] as const)('an agent hosted by a %s', (hosting) => {
  const agent = sketchAgent({ hosting })

  it.each(callers)('with %s is let in over TLS: %#', (_, caller, strong) => {
    expect(codeOf(() => checkHosting(agent, sketchCaller(caller), callOver(tls)))).toBe(strong ? 'let in' : 'identify.rejected')
  })

  it.each(callers)('with %s is not let in without TLS', (_, caller) => {
    expect(codeOf(() => checkHosting(agent, sketchCaller(caller), callOver(null)))).toBe('identify.rejected')
  })

  it('is refused in the task stage before anything else is said of it', () => {
    const rig = taskRig()
    const registry = agentRegistry([{ ...agent, lifecycle: 'suspended' }])
    const stage = makeTask({
      state: rig.state,
      agents: () => registry,
      tasks: rig.tasks,
      clock: rig.clock,
    })
    const refused = (): unknown => stage(callOver(null), sketchCaller())
    expect(refused).toThrow(expect.objectContaining({ code: 'identify.rejected', reasons, detail: expect.stringContaining(agent.id) }))
  })

  it.each([
    ['POST', '/v1/tasks'],
    ['GET', '/v1/tasks/t_01JDZZZZZZZZZZZZZZZZZZZZZZ'],
    ['POST', '/v1/tasks/t_01JDZZZZZZZZZZZZZZZZZZZZZZ/pause'],
    ['POST', '/v1/tasks/t_01JDZZZZZZZZZZZZZZZZZZZZZZ/resume'],
    ['POST', '/v1/tasks/t_01JDZZZZZZZZZZZZZZZZZZZZZZ/complete'],
    ['GET', '/v1/approvals/a_01JDZZZZZZZZZZZZZZZZZZZZZZ'],
  ])('is refused by its own API too: %s %s', async (method, target) => {
    const rig = taskRig()
    const refused: Refusal[] = []
    const entry = {
      identified: (caller: Caller) => caller,
      refuse: async (refusal: Refusal) => {
        refused.push(refusal)
        return refusal
      },
    } as unknown as Entry
    const api = makeAgentApi({
      tasks: rig.tasks,
      delegation: rig.delegation,
      held: async (_by, act) => act(),
      waiting: () => [],
      state: rig.state,
      agents: () => agentRegistry([agent]),
      approvals: { read: (id) => rig.state.approvals.approval(id), holds: { wait: async () => null }, hold: 0 },
      parseJson: (bytes) => readJson(bytes).value,
      verifySubject: () => null,
      transaction: () => {
        throw new Error('not part of this')
      },
      tokens: { issue: async () => '' },
      clock: rig.clock,
      identify: () => sketchCaller(),
      record: { call: () => entry },
    })
    await api(sketchCall({ kind: 'agent-api', method, target }))
    expect(refused).toMatchObject([{ code: 'identify.rejected', status: 401, reasons }])
  })
})

it('an agent of our own is let in however it was proven', () => {
  for (const [, caller] of callers)
    for (const peer of [null, tls]) expect(codeOf(() => checkHosting(sketchAgent(), sketchCaller(caller), callOver(peer)))).toBe('let in')
})
