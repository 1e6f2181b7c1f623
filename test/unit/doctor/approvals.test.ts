import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { approvalChecks } from '../../../src/doctor/approvals.ts'
import { soon } from '../../../src/lapses.ts'
import { wrongs } from '../../support/doctor-rig.ts'
import { configText, freeAgent, routeTo, type Settings } from '../../support/running.ts'

const end = Date.parse('2027-03-31T00:00:00Z')
const approved = { by: 'risk@acme.example', until: '2027-03-31' }

function configOf(more: { agent?: Settings; route?: Settings; provider?: Settings }) {
  const route = routeTo('https://crm.acme.example', 'crm', { credential: 'crm', ...more.route })
  const providers = { crm: { type: 'jwt', audience: 'https://crm.acme.example', ...more.provider } }
  return parseConfig(configText({ agents: [freeAgent(more.agent)], routes: { crm: route }, providers }), 'countersign.yaml', {}).config
}

describe('approvals', () => {
  test.each([
    ['an agent', { agent: { approved: { until: '2027-03-31' } } }],
    ['the registration of an agent', { agent: { valid_until: '2027-03-31T00:00:00Z' } }],
    ['a route', { route: { approved } }],
    ['a provider', { provider: { approved } }],
  ])('of %s are well while they have long to go, and findings before and after their end', (_what, more) => {
    const config = configOf(more)
    const at = (now: number): string[] => wrongs(approvalChecks(config, now))
    expect(at(end - soon - 1)).toEqual([])
    expect(at(end - soon)).toEqual(['warning CS2702 approvals'])
    expect(at(end - 1)).toEqual(['warning CS2702 approvals'])
    expect(at(end)).toEqual(['error CS2701 approvals'])
  })

  test('that never end are not spoken of', () => {
    expect(approvalChecks(configOf({ route: { approved: { by: 'risk@acme.example' } } }), end)).toEqual([])
  })
})
