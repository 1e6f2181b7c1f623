import { expect, test } from 'vitest'
import { factsOf } from '../../../src/admin/approval-facts.ts'
import { sketchApproval, sketchShown } from '../../support/approvals.ts'
import { agentId } from '../../support/task-rig.ts'

test('an approver sees of a task all that it would be, and nothing of a call', () => {
  const opening = {
    cause: null,
    opener: agentId,
    tools: ['crm.*', 'mail.send'],
    resources: ['order:1‮'],
    budget: { calls: 20 },
    prompt: 'sha256:aa',
    ttl: 600_000,
  }
  const shown = sketchShown({ title: 'open a task', tool: '', data: ['personal'], opening })
  const row = sketchApproval({ matter: 'task-open', task: null, tool: '', shown })
  const facts = new Map(factsOf(row).map(({ label, values }) => [label, values]))
  expect(Object.fromEntries(facts)).toMatchObject({
    'opened by': [agentId],
    tools: ['crm.*', 'mail.send'],
    resources: ['order:1⟨U+202E⟩'],
    data: ['personal'],
    budget: ['calls: 20'],
    prompt: ['sha256:aa'],
    'lives for': ['600 s'],
    task: ['none yet'],
  })
  for (const label of ['tool', 'request', 'destination', 'risk']) expect(facts.has(label), label).toBe(false)
  const resumed = factsOf(
    sketchApproval({ matter: 'task-resume', shown: { ...shown, opening: { ...opening, opener: null, cause: 'idle' } } }),
  )
  expect(resumed.find(({ label }) => label === 'because of')?.values).toEqual(['idle'])
  expect(resumed.find(({ label }) => label === 'task')?.values).toEqual(['t_1'])
})
