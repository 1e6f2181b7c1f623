import { describe, expect, test } from 'vitest'
import { ConfigFault, type Finding } from '../../../src/config/findings.ts'
import { parseConfig } from '../../../src/config/load.ts'

const good = `version: 1
identify:
  audience: spiffe://acme.example/countersign
  sources:
    - { type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }
task:
  state: { path: state.db }
  agents:
    - id: spiffe://acme.example/agent
      purpose: test
      owners: { business: a@acme.example, security: b@acme.example, incident: c@acme.example }
      autonomy: bounded
      intent: { tools: [crm.order.read] }
credential:
  providers:
    crm: { type: jwt, audience: "https://crm.acme.example", ttl: 30s }
forward:
  routes:
    crm:
      at: /crm
      to: https://crm.acme.example/api
      credential: crm
      tools:
        - { name: crm.order.read, match: "GET /orders/{id}", effect: read, risk: low, egress: internal, resource: "order:{id}" }
record:
  ledger: { path: ledger }
`

/** Findings of `good` with a piece replaced. */
function findings(from: string, to: string, env: Record<string, string> = {}): readonly Finding[] {
  if (!good.includes(from)) throw new Error(`the good configuration has no ${from}`)
  return findingsOf(
    good.replace(from, () => to),
    env,
  )
}

function findingsOf(text: string, env: Record<string, string> = {}): readonly Finding[] {
  try {
    return parseConfig(text, 'countersign.yaml', env).findings
  } catch (error) {
    if (error instanceof ConfigFault) return error.findings
    throw error
  }
}

const brief = (found: readonly Finding[]): string[] => found.map(({ line, code, path }) => `${line} ${code} ${path}`)

describe('issuers', () => {
  const source = '    - { type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }\n'
  const oidc = (issuer: string, id: string, more = ''): string =>
    `    - { type: oidc, issuer: "${issuer}", audience: countersign, id: "${id}"${more} }\n`
  const one = oidc('https://one.example', 'spiffe://acme.example/ns/{ns}/sa/{sa}')

  test('may name callers in a trust domain that has a bundle', () => {
    expect(findings(source, source + one)).toEqual([])
    expect(findings(source, one)).toEqual([])
  })

  test('have one source each', () => {
    const again = oidc('https://one.example', 'spiffe://acme.example/other/{sub}')
    expect(brief(findings(source, source + one + again))).toEqual(['7 CS1402 identify.sources.2.issuer'])
  })

  test('never name one caller', () => {
    const free = oidc('https://two.example', 'spiffe://acme.example/ci/{sub}')
    const wide = oidc('https://three.example', 'spiffe://acme.example/{+path}')
    const kubernetes = oidc('https://four.example', 'spiffe://acme.example', ', preset: kubernetes')
    expect(findings(source, source + one + free)).toEqual([])
    expect(brief(findings(source, source + one + free + wide))).toEqual(['8 CS1402 identify.sources.3.id'])
    expect(brief(findings(source, source + one + kubernetes))).toEqual(['7 CS1402 identify.sources.2.id'])
  })

  test('have settings that can be meant, said at the line where they stand', () => {
    const bad = oidc('https://one.example', 'spiffe://{td}/w')
    const found = findings(source, source + bad)
    expect(brief(found)).toEqual(['6 CS1201 identify.sources.1.id'])
    expect(found[0]?.message).toContain('write it out')
    expect(brief(findings(source, source + oidc('https://one.example', 'spiffe://acme.example/{sub}', ', audiance: x')))).toEqual([
      '6 CS1204 identify.sources.1.audiance',
    ])
  })
})

describe('a good configuration', () => {
  test('has nothing to remark, and defaults are filled in', () => {
    const { config, findings: found } = parseConfig(good, 'countersign.yaml', {})
    expect(found).toEqual([])
    expect(config.listen.limits).toMatchObject({ headers: 32_768, body: 10_485_760, judged_body: 262_144, header_time: 10_000 })
    expect(config.credential.providers['crm']).toMatchObject({ ttl: 30_000 })
    expect(config.task.agents[0]).toMatchObject({ lifecycle: 'live', intent: { ttl: 1_800_000, data: ['public'] } })
  })

  test('takes plain values from the environment, and $${ stands for itself', () => {
    const { config } = parseConfig(
      good.replace('purpose: test', () => 'purpose: "${WHY} $${X}"'),
      'f',
      { WHY: 'refunds' },
    )
    expect(config.task.agents[0]?.purpose).toBe('refunds ${X}')
  })
})

describe('each problem is named with its place', () => {
  test.each<[string, string, string, string]>([
    ['an unknown key', 'purpose: test', 'porpose: test', '10 CS1204 task.agents.0.porpose'],
    ['an unknown top-level key', 'version: 1', 'version: 1\nrecords: {}', '2 CS1204 records'],
    ['a wrong value', 'autonomy: bounded', 'autonomy: wild', '12 CS1201 task.agents.0.autonomy'],
    ['a duration without a unit', 'ttl: 30s', 'ttl: 30', '16 CS1201 credential.providers.crm.ttl'],
    ['a life that is too long', 'ttl: 30s', 'ttl: 2m', '16 CS1201 credential.providers.crm.ttl'],
    [
      'a literal secret',
      'type: jwt, audience: "https://crm.acme.example", ttl: 30s',
      'type: static, value: hunter2, unsafe_standing: true',
      '16 CS1301 credential.providers.crm.value',
    ],
    [
      'a standing credential that is not owned up to',
      'type: jwt, audience: "https://crm.acme.example", ttl: 30s',
      'type: static, value: { env: KEY }',
      '16 CS1310 credential.providers.crm.unsafe_standing',
    ],
    ['a variable that is not set', 'purpose: test', 'purpose: ${NOPE}', '10 CS1110 task.agents.0.purpose'],
    ['a credential that is nowhere', 'credential: crm\n', 'credential: crn\n', '22 CS1401 forward.routes.crm.credential'],
    [
      'an alert about leases to nobody',
      'credential:\n',
      'credential:\n  revocation: { notify: [ledger, pager] }\n',
      '15 CS1401 credential.revocation.notify.1',
    ],
    [
      'no time at all for a revocation',
      'credential:\n',
      'credential:\n  revocation: { within: 0s }\n',
      '15 CS1201 credential.revocation.within',
    ],
    [
      'a credential named like a member of Object',
      'credential: crm\n',
      'credential: constructor\n',
      '22 CS1401 forward.routes.crm.credential',
    ],
    [
      'keys of subjects that come over plain HTTP',
      'task:\n',
      'task:\n  subjects: [ { issuer: i, audience: a, keys: { url: "http://login.acme.example/jwks" } } ]\n',
      '7 CS1201 task.subjects.0.keys.url',
    ],
    [
      'one issuer of subjects twice',
      'task:\n',
      'task:\n  subjects: [ { issuer: i, audience: a, keys: { file: j } }, { issuer: i, audience: b, keys: { file: j } } ]\n',
      '7 CS1402 task.subjects.1.issuer',
    ],
    [
      'a destination approved for what nobody labelled',
      'egress: internal, resource',
      'egress: internal, accepts: [public, unclassified], resource',
      '24 CS1402 forward.routes.crm.tools.0.accepts',
    ],
    ['a route without a way in', 'at: /crm\n', 'owner: a\n', '19 CS1402 forward.routes.crm'],
    ['a reserved prefix', 'at: /crm\n', 'at: /t\n', '20 CS1402 forward.routes.crm.at'],
    ['a user in an upstream URL', 'https://crm.acme.example/api', 'https://u:p@crm.acme.example/api', '21 CS1201 forward.routes.crm.to'],
    ['a credential in clear', 'to: https://crm', 'to: http://crm', '21 CS1501 forward.routes.crm.to'],
    ['a resource of nothing', 'order:{id}', 'order:{no}', '24 CS1401 forward.routes.crm.tools.0.resource'],
    [
      'a pointer into an unread body',
      'egress: internal,',
      'egress: internal, debit: { eur: /amount },',
      '24 CS1403 forward.routes.crm.tools.0.debit',
    ],
    [
      'a plain listener beyond loopback',
      'version: 1',
      'version: 1\nlisten: { agent: [ { at: "0.0.0.0:7420" } ] }',
      '2 CS1501 listen.agent.0.at',
    ],
    [
      'TLS on a listener that vouches for its callers',
      'version: 1',
      'version: 1\nlisten: { agent: [ { at: "127.0.0.1:7420", tls: { cert: { file: c }, key: { file: k } }, ambient: "spiffe://acme.example/a" } ] }',
      '2 CS1502 listen.agent.0.ambient',
    ],
    [
      'a plain listener that asks for no certificate',
      'version: 1',
      'version: 1\nlisten: { agent: [ { at: "127.0.0.1:7420", client_certificates: false } ] }',
      '2 CS1403 listen.agent.0.client_certificates',
    ],
    [
      'a listener that is served with an SVID nobody gives',
      'version: 1',
      'version: 1\nlisten: { agent: [ { at: "0.0.0.0:7420", tls: svid } ] }',
      '2 CS1401 listen.agent.0.tls',
    ],
    [
      'a certificate without its key',
      'version: 1',
      'version: 1\nlisten: { agent: [ { at: "0.0.0.0:7420", tls: { cert: { file: c } } } ] }',
      '2 CS1202 listen.agent.0.tls.key',
    ],
    [
      'an upstream that nobody shows an SVID',
      'at: /crm\n',
      'at: /crm\n      tls: svid\n      id: spiffe://acme.example/crm\n',
      '21 CS1401 forward.routes.crm.tls',
    ],
    ['an upstream with an SVID of nobody', 'at: /crm\n', 'at: /crm\n      tls: svid\n', '21 CS1202 forward.routes.crm.tls'],
    [
      'an SVID over plain HTTP',
      'to: https:',
      'tls: svid\n      id: spiffe://acme.example/crm\n      to: http:',
      '23 CS1201 forward.routes.crm.to',
    ],
    ['an identity that nobody checks', 'at: /crm\n', 'at: /crm\n      id: spiffe://acme.example/crm\n', '21 CS1403 forward.routes.crm.id'],
    [
      'the identity of a trust domain',
      'at: /crm\n',
      'at: /crm\n      tls: svid\n      id: spiffe://acme.example\n',
      '22 CS1201 forward.routes.crm.id',
    ],
    ['proofs that are good for too long', 'sources:', 'dpop: { window: 6m }\n  sources:', '4 CS1201 identify.dpop.window'],
    ['an admin port beyond loopback', 'version: 1', 'version: 1\nadmin: { at: "0.0.0.0:7421" }', '2 CS1501 admin.at'],
    ['broken YAML', 'version: 1', 'version: [1', '2 CS1101 '],
    ['an alias without its anchor', 'version: 1', 'version: *a', '1 CS1101 '],
    [
      'aliases of aliases that would fill all memory',
      'version: 1',
      `x: [&a [x,x,x,x,x,x,x,x,x], &b [*a,*a,*a,*a,*a,*a,*a,*a,*a], &c [*b,*b,*b,*b,*b,*b,*b,*b,*b], *c, *c, *c]\nversion: 1`,
      '1 CS1101 ',
    ],
  ])('%s', (_name, from, to, expected) => {
    expect(brief(findings(from, to))).toContain(expected)
  })

  test('TLS beyond loopback is as it should be, and may be served with the SVID of a Workload API', () => {
    const listen = (tls: string, more = ''): string => `version: 1\nlisten: { agent: [ { at: "0.0.0.0:7420", tls: ${tls}${more} } ] }`
    const files = '{ cert: { file: c }, key: { file: k } }'
    expect(findings('version: 1', listen(files))).toEqual([])
    expect(findings('version: 1', listen(files, ', unsafe_plain: true')).map(({ code, severity }) => `${code} ${severity}`)).toEqual([
      'CS1403 warning',
      'CS1901 note',
    ])
    const source = '{ type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }'
    const route = 'at: /crm\n      tls: svid\n      id: [spiffe://acme.example/crm, spiffe://acme.example/crm2]'
    const svid = good.replace('version: 1', listen('svid')).replace(source, '{ type: spiffe }').replace('at: /crm', route)
    expect(parseConfig(svid, 'countersign.yaml', {}).findings).toEqual([])
  })

  test('an upstream is of a trust domain whose certificates can be judged', () => {
    const source = '{ type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }'
    const route = (id: string): string => good.replace('at: /crm', `at: /crm\n      tls: svid\n      id: ${id}`)
    const judged = (sources: string, id = 'spiffe://acme.example/crm'): string[] =>
      brief(
        findingsOf(
          route(id).replace(
            `- ${source}`,
            sources
              .split(' + ')
              .map((one) => `- ${one}`)
              .join('\n    '),
          ),
        ),
      )
    const strange = expect.stringMatching(/CS1401 forward\.routes\.crm\.id$/) as string
    expect(judged('{ type: spiffe }')).toEqual([])
    expect(judged('{ type: spiffe, trust_domains: [acme.example] }')).toEqual([])
    expect(judged('{ type: spiffe } + { type: bundle, trust_domain: acme.example, from: { file: b.json } }')).toEqual([])
    expect(judged(`{ type: spiffe } + ${source}`)).toEqual([strange])
    expect(judged('{ type: spiffe, trust_domains: [partner.example] }')).toEqual([strange])
    expect(judged('{ type: spiffe, trust_domains: [acme.example] }', '[spiffe://acme.example/crm, spiffe://other.example/crm]')).toEqual([
      strange,
    ])
  })

  test('a slip gets a suggestion', () => {
    expect(findings('tools: [crm', 'tool: [crm').map(({ message }) => message)).toContain('unknown key "tool", did you mean "tools"?')
    expect(findings('tools: [crm', 'toosl: [crm').map(({ message }) => message)).toContain('unknown key "toosl", did you mean "tools"?')
  })

  test('two sources of one trust domain are refused: bundles are never merged', () => {
    const twice = '    - { type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }\n'
    expect(brief(findings(twice, twice + twice))).toContain('6 CS1402 identify.sources.1.trust_domain')
  })

  test('no listener vouches for an agent that others host, by its id or by a pattern', () => {
    const listen = 'version: 1\nlisten: { agent: [ { at: "127.0.0.1:7420", ambient: "spiffe://acme.example/agents/one" } ] }\n'
    const hosted = (id: string, hosting: string): string[] =>
      brief(
        findingsOf(
          good
            .replace('version: 1\n', listen)
            .replace(/id: spiffe:.*/, `id: ${id}`)
            .replace('purpose: test', `purpose: test\n      hosting: ${hosting}\n      approved: { until: 2027-03-31 }`),
        ),
      )
    for (const id of ['spiffe://acme.example/agents/one', 'spiffe://acme.example/agents/*']) {
      expect(hosted(id, 'vendor')).toEqual(['2 CS1402 listen.agent.0.ambient'])
      expect(hosted(id, 'delegated-admin')).toEqual(['2 CS1402 listen.agent.0.ambient'])
      expect(hosted(id, 'own')).toEqual([])
    }
    expect(hosted('spiffe://acme.example/agents/two', 'vendor')).toEqual([])
  })

  describe('a bundle endpoint that proves itself by SPIFFE', () => {
    const usual = '    - { type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }\n'
    const federated = (id: string, more = ''): string =>
      `${usual}    - { type: bundle, trust_domain: partner.example, from: { url: "https://spire.partner.example", profile: https_spiffe, id: "${id}"${more} } }\n`

    test.each([
      ['with a bootstrap bundle is fine', 'spiffe://partner.example/spire', ', bootstrap: { file: b.json }', []],
      ['in its own trust domain needs a bootstrap bundle', 'spiffe://partner.example/spire', '', ['6 CS1401 identify.sources.1.from.id']],
      ['in a trust domain that has a source is fine', 'spiffe://acme.example/spire', '', []],
      ['in a trust domain without a source is not', 'spiffe://other.example/spire', '', ['6 CS1401 identify.sources.1.from.id']],
      ['in such a one with a bootstrap bundle is fine', 'spiffe://other.example/spire', ', bootstrap: { file: b.json }', []],
    ])('%s', (_, id, more, expected) => {
      expect(brief(findings(usual, federated(id, more)))).toEqual(expected)
    })
  })

  test('all problems come at once, in the order of the file', () => {
    const found = findings('purpose: test', 'porpose: test\n      lifecycle: dead')
    expect(found.length).toBeGreaterThanOrEqual(3)
    expect(found.map(({ line }) => line)).toEqual(found.map(({ line }) => line).toSorted((a, b) => a - b))
  })
})

describe('what is good enough is still remarked', () => {
  test('an agent without its three owners would be refused', () => {
    expect(findings(', incident: c@acme.example', '')).toMatchObject([{ code: 'CS1601', severity: 'warning' }])
  })

  test('a tool that no route has', () => {
    expect(findings('[crm.order.read]', '[crm.order.read, mail.send]')).toMatchObject([{ code: 'CS1401', severity: 'warning' }])
  })

  test('an agent that others host without an end of its approval', () => {
    const found = findings('purpose: test', 'purpose: test\n      hosting: vendor')
    expect(found).toMatchObject([{ code: 'CS1602', severity: 'warning', message: expect.stringContaining('until') }])
    expect(findings('purpose: test', 'purpose: test\n      hosting: vendor\n      approved: { until: 2027-03-31 }')).toEqual([])
  })

  test('every weakening', () => {
    const found = findings('credential: crm\n', 'credential: crm\n      unsafe_observe: true\n')
    expect(found).toMatchObject([{ code: 'CS1901', severity: 'note', line: 23, path: 'forward.routes.crm.unsafe_observe' }])
  })
})

describe('modes by agent, tool, risk and rule', () => {
  const modes = (...entries: string[]): string[] =>
    brief(findingsOf(`${good}decide:\n  modes:\n${entries.map((entry) => `    - ${entry}\n`).join('')}`))

  test('may name what is configured, and any rule', () => {
    expect(modes('{ risk: [high, critical], mode: observe }', '{ tool: "crm.*", rule: "intent.*", mode: observe }')).toEqual([])
    expect(modes('{ agent: "spiffe://acme.example/*", mode: observe }')).toEqual([])
  })

  test('must name something, and are warned of when nothing fits', () => {
    expect(modes('{ mode: observe }')).toEqual(['29 CS1402 decide.modes.0'])
    expect(modes('{ tool: mail.send, mode: observe }')).toEqual(['29 CS1401 decide.modes.0.tool'])
    expect(modes('{ agent: "spiffe://other.example/a", mode: observe }')).toEqual(['29 CS1401 decide.modes.0.agent'])
  })
})
