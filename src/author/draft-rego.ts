/** The rules of a draft, as Rego: what an agent was seen to do is within, everything else of it is refused. */

import type { LearnedAgent, LearnedTool } from './learn.ts'
import type { DraftOptions } from './draft.ts'

interface DraftRule {
  readonly word: string
  readonly title: string
  readonly description: string
  readonly effect: 'deny' | 'ask'
  readonly severity: string
  readonly facts: string
  readonly agentic: string
  readonly message: string
  readonly detail: string
  readonly body: readonly string[]
}

const all: readonly DraftRule[] = [
  {
    word: 'tool',
    title: 'uses the tools it was seen to use',
    description: 'A tool that none of the observed tasks used is outside of what this agent does.',
    effect: 'deny',
    severity: 'high',
    facts: 'agent.id, tool.name',
    agentic: 'ASI02, ASI03',
    message: 'this agent does not use this tool',
    detail: '{"tool": object.get(input, ["tool", "name"], null)}',
    body: ['not $tool'],
  },
  {
    word: 'resource',
    title: 'touches the resources it was seen to touch',
    description: 'A tool is used on the resources that it was used on, or ones like them.',
    effect: 'deny',
    severity: 'high',
    facts: 'agent.id, tool.name, tool.resource',
    agentic: 'ASI02, ASI03',
    message: 'this agent does not touch this resource',
    detail: '{"resource": object.get(input, ["tool", "resource"], null)}',
    body: ['$tool', 'not $within_resource'],
  },
  {
    word: 'data',
    title: 'reads the data it was seen to read',
    description: 'A tool answers with the data classes that it was seen to answer with.',
    effect: 'deny',
    severity: 'high',
    facts: 'agent.id, tool.name, tool.data',
    agentic: 'ASI02, ASI03',
    message: 'this agent does not read this kind of data',
    detail: '{"data": object.get(input, ["tool", "data"], null)}',
    body: ['$tool', 'not $within_data'],
  },
  {
    word: 'destination',
    title: 'reaches the destinations it was seen to reach',
    description: 'A tool goes by the routes, and to the kinds of destination, that it was seen to go to.',
    effect: 'deny',
    severity: 'high',
    facts: 'agent.id, tool.name, tool.egress, tool.route',
    agentic: 'ASI02, ASI03',
    message: 'this agent does not reach this destination',
    detail: '{"route": object.get(input, ["tool", "route"], null), "egress": object.get(input, ["tool", "egress"], null)}',
    body: ['$tool', 'not $within_destination'],
  },
  {
    word: 'sequence',
    title: 'works in the order it was seen to work in',
    description: 'A person answers a tool that comes right after one it was never seen to come after.',
    effect: 'ask',
    severity: 'medium',
    facts: 'agent.id, tool.name, sequence.last',
    agentic: 'ASI01, ASI10',
    message: 'this agent does not work in this order',
    detail: '{"tool": input.tool.name, "after": $before}',
    body: ['$tool', 'not $before in $seen[input.tool.name].after'],
  },
]

const rulesOf = ({ sequence }: DraftOptions): readonly DraftRule[] => all.filter(({ word }) => sequence || word !== 'sequence')

/** A name of the draft in Rego: every agent has its own. */
const own = (agent: LearnedAgent): string => `_learned_${agent.name.replaceAll('-', '_')}`

function named(text: string, agent: LearnedAgent): string {
  return text.replaceAll('$', `${own(agent)}_`)
}

/** The rules, in package countersign.call. */
export function rulesText(agent: LearnedAgent, options: DraftOptions): string {
  const head = `package countersign.call

import data.countersign.lib

# What ${agent.name} was seen to do in ${agent.tasks.length} task${agent.tasks.length === 1 ? '' : 's'}: a draft, to be reviewed.
$seen := ${tableText(agent.tools, options)}

$judged if input.agent.id == ${JSON.stringify(agent.id)}

$tool if $seen[input.tool.name]

$within_resource if {
	input.tool.resource == null
	$seen[input.tool.name].bare
}

$within_resource if lib.any_matches($seen[input.tool.name].resources, input.tool.resource)

$within_data if {
	is_array(input.tool.data)
	count({class | some class in input.tool.data} - $seen[input.tool.name].data) == 0
}

$within_destination if {
	input.tool.egress in $seen[input.tool.name].egress
	input.tool.route in $seen[input.tool.name].routes
}
${options.sequence ? sequenceText : ''}`
  return (
    named(head, agent) +
    rulesOf(options)
      .map((rule) => ruleText(rule, agent))
      .join('')
  )
}

const sequenceText = `
default $before := ""

$before := input.sequence.last[count(input.sequence.last) - 1].tool
`

function ruleText(rule: DraftRule, agent: LearnedAgent): string {
  const constant = `$${rule.word}_rule`
  return named(
    `
# METADATA
# title: ${agent.name} ${rule.title}
# description: ${rule.description}
# custom:
#   id: learned.${agent.name}.${rule.word}
#   severity: ${rule.severity}
#   effect: ${rule.effect}
#   observable: true
#   facts: [${rule.facts}]
#   frameworks:
#     owasp_agentic: [${rule.agentic}]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     mitre_atlas: [AML.M0026]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MANAGE 1.3]
#   message: ${rule.message}
#   remediation: Review what the agent is for; if this belongs to it, learn again or add it to the table of this file.
${constant} := rego.metadata.rule()

${rule.effect} contains lib.finding(${constant}, ${rule.detail}) if {
	$judged
${rule.body.map((line) => `	${line}`).join('\n')}
}
`,
    agent,
  )
}

/** Tool → what was seen of it. */
function tableText(tools: readonly LearnedTool[], { sequence }: DraftOptions): string {
  const rows = tools.map((tool) => {
    const sets = { data: tool.data, egress: tool.egress, routes: tool.routes, ...(sequence ? { after: tool.after } : {}) }
    const members = [
      `		"resources": ${listText(tool.patterns)},`,
      `		"bare": ${tool.bare},`,
      ...Object.entries(sets).map(([name, items]) => `		"${name}": ${setText(items)},`),
    ]
    return `	${JSON.stringify(tool.name)}: {\n${members.join('\n')}\n	},`
  })
  return `{\n${rows.join('\n')}\n}`
}

const listText = (items: readonly string[]): string => `[${items.map((item) => JSON.stringify(item)).join(', ')}]`

const setText = (items: readonly string[]): string =>
  items.length === 0 ? 'set()' : `{${items.map((item) => JSON.stringify(item)).join(', ')}}`

/** Tests: what was seen is within, its neighbours are not. */
export function testsText(agent: LearnedAgent, options: DraftOptions): string {
  const samples = agent.tools.map((tool) => sampleText(agent, tool)).join('\n')
  const first = agent.tools[0]
  const neighbours: readonly (readonly [word: string, change: string])[] = [
    ['tool', '{"tool": {"name": "never.seen"}}'],
    ['resource', '{"tool": {"resource": "never:seen"}}'],
    ['data', '{"tool": {"data": ["never-seen"]}}'],
    ['destination', '{"tool": {"egress": "never-seen"}}'],
    ['destination', '{"tool": {"route": "never-seen"}}'],
    ['sequence', '{"sequence": {"last": [{"tool": "never.seen"}]}}'],
  ]
  const words = rulesOf(options).map(({ word }) => word)
  const denied = neighbours
    .filter(([word]) => words.includes(word))
    .map(([word, change], at) => {
      return `
test_a_neighbour_${at + 1}_is_outside if {
	every document in _seen {
		_found(object.union(document, ${change})) == {"learned.${agent.name}.${word}"}
	}
}
`
    })
  return `package countersign.call${own(agent)}_test

import data.countersign.call

# One input for each tool that was seen.
_seen := [
${first === undefined ? '' : samples}
]

_found(document) := {finding.rule |
	some finding in (call.deny | call.ask) with input as document
	startswith(finding.rule, "learned.${agent.name}.")
}

test_what_was_seen_is_within if {
	every document in _seen {
		_found(document) == set()
	}
}
${denied.join('')}
test_other_agents_are_not_judged if {
	_found({"agent": {"id": "spiffe://other.example/agent"}, "tool": {"name": "never.seen"}}) == set()
}
`
}

function sampleText(agent: LearnedAgent, tool: LearnedTool): string {
  const before = tool.after[0] ?? ''
  const members = [
    `"name": ${JSON.stringify(tool.name)}`,
    `"resource": ${JSON.stringify(tool.bare ? null : (tool.resources[0] ?? null))}`,
    `"data": ${listText(tool.data)}`,
    `"egress": ${JSON.stringify(tool.egress[0] ?? null)}`,
    `"route": ${JSON.stringify(tool.routes[0] ?? null)}`,
  ]
  return `	{
		"agent": {"id": ${JSON.stringify(agent.id)}},
		"tool": {${members.join(', ')}},
		"sequence": {"last": [${before === '' ? '' : `{"tool": ${JSON.stringify(before)}}`}]},
	},`
}
