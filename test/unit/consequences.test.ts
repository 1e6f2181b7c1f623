import { describe, expect, test } from 'vitest'
import { refuseLapsed, standsOf } from '../../src/consequences.ts'
import { Refusal } from '../../src/refusal.ts'
import { agentRegistry, type Agent } from '../../src/task/agents.ts'
import { sketchAgent, sketchQuestion, sketchRoute, sketchTool } from '../support/question.ts'

const now = 1_790_000_000_000
const over = { by: 'risk@acme.example', until: now }

function codeOf(act: () => void): string | null {
  try {
    act()
    return null
  } catch (error) {
    return error instanceof Refusal ? error.code : String(error)
  }
}

describe('the look in the tick of the mint', () => {
  const question = sketchQuestion()
  const { agent } = question.task
  const look = (agents: readonly Agent[]): string | null => codeOf(() => standsOf(agentRegistry(agents))(question, now))

  test('is at the agent as it is registered then, not as it was judged', () => {
    expect(look([agent])).toBeNull()
    expect(look([])).toBe('task.agent-not-live')
    expect(look([sketchAgent({ lifecycle: 'suspended' })])).toBe('task.agent-not-live')
    expect(look([sketchAgent({ owners: null })])).toBe('task.agent-not-live')
    expect(look([sketchAgent({ barred: 'elsewhere' })])).toBe('task.agent-not-live')
    expect(look([sketchAgent({ validUntil: now })])).toBe('task.agent-not-live')
  })

  test('refuses, for now, a call whose agent is registered otherwise than it was judged', () => {
    expect(look([sketchAgent({ purpose: 'another' })])).toBe('decide.unavailable')
  })
})

describe('a lapsed approval', () => {
  const target = (route: object, tool: object = {}) => ({ route: sketchRoute(route), tool: sketchTool(tool) })

  test.each([
    ['of a route', target({ approved: over }), 'forward.forbidden-address'],
    ['of a tool', target({}, { approved: over }), 'forward.forbidden-address'],
    ['of a credential', target({ lender: { owner: null, approved: over } }), 'credential.unavailable'],
    ['of nothing', target({}), null],
    ['that is not over yet', target({ approved: { by: 'x', until: now + 1 } }), null],
    ['that never is', target({ approved: { by: 'x', until: null }, lender: { owner: 'x', approved: null } }), null],
  ])('%s', (_what, of, code) => {
    expect(codeOf(() => refuseLapsed(of, () => now))).toBe(code)
  })
})
