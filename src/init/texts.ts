/** The files that `countersign init` writes, as text. */
import { awsProviders, awsRoutes, awsVariables, type AwsPlan } from './aws.ts'
import { quote, type InitIdentity } from './identity.ts'
import type { UsedSdk } from './sdks.ts'

export interface InitPlan {
  readonly identity: InitIdentity
  readonly sdks: readonly UsedSdk[]
  /** Null without routes to AWS. */
  readonly aws: AwsPlan | null
  /** Who answers for the agent. */
  readonly owner: string
  /** Agent port; the admin port is one more, the health port three. */
  readonly port: number
  /** The starter was compiled and signed, and judges; else the default policy does. */
  readonly compiled: boolean
  /** Where the JSON Schema of the configuration lies. */
  readonly schema: string
}

/** The configuration. */
export function configText(plan: InitPlan): string {
  const { identity, sdks, aws, owner, port, compiled, schema } = plan
  const { ambient, setup, agent, audience, sources } = identity
  const inPod = setup === 'kubernetes'
  const open = `{ at: "0.0.0.0:${port + 3}", unsafe_plain: true }   # the kubelet probes the pod's address; nothing secret is told`
  const health = inPod ? open : `{ at: "127.0.0.1:${port + 3}" }`
  const tools = [...sdks.map(({ sdk }) => sdk.name), ...(aws === null ? [] : ['aws'])]
  const egress = new Set<string>(['internal', ...sdks.map(({ sdk }) => sdk.egress), ...(aws === null ? [] : ['partner'])])
  return `# yaml-language-server: $schema=${schema}
# Written by \`countersign init\`. \`countersign check\` holds it; docs/config.md explains each setting.
version: 1
listen:
  agent: [{ at: "127.0.0.1:${port}"${ambient === null ? '' : `, ambient: ${quote(ambient)}`} }]
  health: ${health}
admin: { at: "127.0.0.1:${port + 1}" }
identify:
  audience: ${quote(audience)}
  sources:
    ${sources.join('\n    ')}
task:
  state: { path: state/state.db, key: { file: state/state.key } }
  agents:
    - id: ${quote(agent)}
      purpose: try an agent out                   # say what it is for
      owners: { business: ${quote(owner)}, security: ${quote(owner)}, incident: ${quote(owner)} }
      autonomy: bounded                           # supervised | bounded | autonomous
      intent:                                     # the widest a task of this agent may be
        tools: [${tools.map((name) => quote(`${name}.*`)).join(', ')}]
        resources: ["*"]
        data: [public, internal]
        egress: [${[...egress].join(', ')}]
        budget: { calls: 1000 }
        ttl: 1h
      implicit: true                              # calls without a task get one of this intent
${decideText(compiled)}${providersText(plan)}${routesText(plan)}record:
  ledger: { path: ledger, key: { file: ledger.key } }
`
}

function decideText(compiled: boolean): string {
  if (compiled)
    return 'decide:\n  bundle: { path: policy.tar.gz, keys: { first-agent: { file: policy.pub } } }   # built from policy/: README.md\n'
  return `# The default policy judges. To put the rules of policy/ on top: README.md, then
# decide: { bundle: { path: policy.tar.gz, unsafe_unsigned: true } }
`
}

function providersText({ sdks, aws }: InitPlan): string {
  const lines = sdks.flatMap(({ sdk, key }) => {
    if (key === null) return []
    const apply = sdk.apply === undefined ? '' : `, apply: ${sdk.apply}`
    return [`    ${sdk.name}: { type: static, value: { env: ${key} }, unsafe_standing: true${apply} }\n`]
  })
  if (aws !== null) lines.push(awsProviders(aws))
  return lines.length === 0
    ? ''
    : `credential:\n  providers:                                      # the agent never sees these\n${lines.join('')}`
}

function routesText({ sdks, aws }: InitPlan): string {
  if (sdks.length === 0 && aws === null)
    return 'forward:\n  routes: {}                                      # countersign init --sdk openai writes one\n'
  return `forward:\n  routes:\n${sdks.map(routeText).join('')}${aws === null ? '' : awsRoutes(aws)}`
}

function routeText({ sdk, to, near, key }: UsedSdk): string {
  const lines = [
    `at: /${sdk.name}`,
    `to: ${quote(to)}`,
    ...(near ? ['reach: private'] : []),
    ...(key === null ? [] : [`credential: ${sdk.name}`]),
  ]
  if (sdk.route !== undefined) lines.push(sdk.route)
  const tools = sdk.tools.map((tool) => `        - ${tool}\n`).join('')
  return `    ${sdk.name}:\n${lines.map((line) => `      ${line}\n`).join('')}      tools:\n${tools}`
}

/** Variables for the process of the agent, and for no other. */
export function agentEnvText({ identity, sdks, aws, port }: InitPlan): string {
  const { value, comment } = identity.key
  const lines = sdks.flatMap(({ sdk }) => {
    const key = sdk.keys[0] ?? ''
    const base = `${sdk.base.variable}=http://127.0.0.1:${port}/${sdk.name}${sdk.base.path}`
    return [`# ${sdk.title}`, base, value === null ? `# ${key}: ${comment}` : `${key}=${value}`]
  })
  const head = '# For the process of the agent alone: Countersign itself keeps the real keys.'
  return `${[head, ...(value === null ? [] : [`# Keys: ${comment}.`]), ...lines, ...(aws === null ? [] : awsVariables(port))].join('\n')}\n`
}

export const ignoreText = `# keys, state and records stay on the machine
*.key
state/
ledger/
policy/*.tar.gz
`
