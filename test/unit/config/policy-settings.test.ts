import { readFileSync } from 'node:fs'
import { stringify, parse } from 'yaml'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { policyData } from '../../../src/config/policy-data.ts'
import { isZone, offsetsOf } from '../../../src/config/zone.ts'
import { ConfigFault } from '../../../src/config/findings.ts'
import { faultsOf } from '../../support/json-schema.ts'
import { allowedInput, defaultPolicyBytes, openHost } from '../../support/policy-rig.ts'

const root = new URL('../../../', import.meta.url)
const schema = JSON.parse(readFileSync(new URL('rego/schemas/settings.json', root), 'utf8'))
const minimal = parse(readFileSync(new URL('examples/minimal/countersign.yaml', root), 'utf8'))
const november = Date.UTC(2026, 10, 2)

const dataOf = (settings: object): Readonly<Record<string, unknown>> => {
  const { config } = parseConfig(stringify({ ...minimal, decide: { settings } }), 'countersign.yaml', {})
  return policyData(config.decide.settings ?? {}, november)
}
const complaints = (settings: object): string[] => {
  try {
    dataOf(settings)
    return []
  } catch (error) {
    return error instanceof ConfigFault ? error.findings.map(({ message }) => message) : [String(error)]
  }
}

const everything = {
  freeze: [{ from: '2026-12-18T18:00:00+01:00', until: '2027-01-04T06:00:00Z', tools: ['a.*'], environments: ['production'] }],
  hours: [{ tools: ['mail.*'], from: '08:00', until: '18:30', zone: 'Europe/Berlin' }],
  chains: [{ id: 'export', steps: ['crm.*', 'mail.*'] }],
  after: [{ id: 'checked', tool: 'mail.*', needs: ['orders.check'], within: 5, effect: 'ask' }],
  first_seen: { after: 20 },
  divergence: {},
  customer_facing: { tools: ['mail.*'] },
  tiers: [{ autonomy: ['bounded'], risks: ['medium'], egress: ['public'] }],
  approvals: {
    who: [
      { tasks: ['open'], approvers: ['group:operations'] },
      { risks: ['high'], approvers: ['group:finance'], quorum: 2, ttl: '30m' },
    ],
    single: ['customer.needs-person'],
  },
  secrets: { routes: ['vault'] },
  taint: {
    decay: { personal: '1h' },
    overrides: [{ class: 'personal', until: '2027-02-01T00:00:00Z', by: 'appsec@acme.example', reason: 'made up' }],
  },
  delegation: { depth: 1 },
  split: [
    { meter: 'eur', above: 100 },
    { class: 'personal', above: '1MiB', within: 'day', per: 'resource', effect: 'ask' },
  ],
  budgets: [{ meter: 'eur', above: 100 }],
  reauthorise: [{ causes: ['session'], autonomy: ['autonomous'] }],
  opening: [{ openers: ['self', 'hand-off'], autonomy: ['autonomous'], environments: ['production'] }],
  requires: [{ id: 'scanned', signal: 'malware-scan', equals: 'clean', hold: '5s', tools: ['files.put'] }],
  exceptions: [{ id: 'hotfix', lifts: ['change.*'], until: '2027-02-01T00:00:00Z', by: 'ops@acme.example', reason: 'hotfix', priority: 1 }],
}

describe('the settings of rules', () => {
  it('are data as rego/schemas/settings.json says, all of them', () => {
    const data = dataOf(everything)
    expect(Object.keys(data).sort()).toEqual(Object.keys(schema.properties).sort())
    expect(faultsOf(schema, data)).toEqual([])
  })

  it('hold times in ms, times of day in minutes, days by number and zones as offsets', () => {
    const data = dataOf(everything)
    expect(data['freeze']).toMatchObject([{ from: Date.UTC(2026, 11, 18, 17), until: Date.UTC(2027, 0, 4, 6), effect: 'deny' }])
    expect(data['hours']).toMatchObject([{ days: [1, 2, 3, 4, 5], from: 480, until: 1110 }])
    expect(data['taint']).toMatchObject({ decay: { personal: 3_600_000 }, overrides: [{ tool: '*', source: null }] })
    expect(data['chains']).toMatchObject([{ within: null }])
  })

  it('turn on the rules that they name, and no other', () => {
    const mail = allowedInput()
    Object.assign(mail, { tool: { ...Object(mail['tool']), name: 'mail.send', effect: 'send', egress: 'internal', resource: null } })
    const judge = (settings: object) => {
      const host = openHost(defaultPolicyBytes, { settings: dataOf(settings) })
      const { reasons } = Object(host.evaluate('countersign/decision', JSON.stringify(mail)))
      host.close()
      return reasons.map(({ rule }: { rule: string }) => rule)
    }
    expect(judge({})).toEqual([])
    expect(judge({ after: everything.after })).toEqual(['sequence.needs'])
    expect(judge({ freeze: [{ from: '1970-01-01T00:00:00Z', until: '1970-01-02T00:00:00Z' }] })).toEqual(['change.freeze'])
  })

  it.each([
    [{ freeze: [{ from: '2027-01-01T00:00:00Z', until: '2026-01-01T00:00:00Z' }] }, 'until must come after from'],
    [{ freeze: [{ from: '2026-12-18', until: '2027-01-01T00:00:00Z' }] }, 'Invalid ISO datetime'],
    [{ hours: [{ from: '8:00', until: '18:00' }] }, 'must be a time of day such as 08:30'],
    [{ hours: [{ from: '08:00', until: '18:00', zone: 'Europe/Atlantis' }] }, 'must be a zone such as Europe/Berlin'],
    [{ chains: [{ id: 'a', steps: ['only'] }] }, 'Too small'],
    [{ after: [{ id: 'a', tool: 'b' }] }, 'say needs or forbids'],
    [{ budgets: [{ meter: 'eur' }] }, 'say above or share'],
    [{ taint: { overrides: [{ class: 'a', until: '2027-01-01T00:00:00Z', by: 'x\ny', reason: 'z' }] } }, 'must be one line of text'],
    [{ requires: [{ id: 'a', signal: 'malware.scan' }] }, 'must be a name such as malware-scan'],
    [{ exceptions: [{ id: 'a', lifts: ['b'], by: 'c', reason: 'd' }] }, 'until'],
    [{ frieze: [] }, 'unknown key "frieze", did you mean "freeze"?'],
  ])('that make no sense are errors: %o', (settings, message) => {
    expect(complaints(settings).join('\n')).toContain(message)
  })
})

describe('a zone written out', () => {
  it('has each change of clocks to the minute', () => {
    const berlin = offsetsOf('Europe/Berlin', november)
    expect(berlin[0]).toEqual([Date.UTC(2025, 0), 60])
    expect(berlin).toContainEqual([Date.UTC(2026, 2, 29, 1), 120])
    expect(berlin).toContainEqual([Date.UTC(2026, 9, 25, 1), 60])
    expect(berlin).toHaveLength(17)
    expect(offsetsOf('Asia/Kolkata', november)).toEqual([[Date.UTC(2025, 0), 330]])
  })

  it('is the same all through a year, so that settings keep their digest', () => {
    expect(offsetsOf('America/New_York', Date.UTC(2026, 0, 1))).toEqual(offsetsOf('America/New_York', Date.UTC(2026, 11, 31)))
  })

  it('may be a fixed offset, which has no summer time', () => {
    expect(offsetsOf('+05:30', november)).toEqual([[0, 330]])
    expect(offsetsOf('-01:00', november)).toEqual([[0, -60]])
    expect(offsetsOf('UTC', november)).toEqual([[0, 0]])
  })

  it('is none when this machine does not know it', () => {
    for (const zone of ['', 'Europe/Atlantis', '+25:00', '01:00']) expect(isZone(zone)).toBe(false)
    for (const zone of ['UTC', '+01:00', 'Europe/Berlin']) expect(isZone(zone)).toBe(true)
  })
})
