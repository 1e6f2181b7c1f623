# METADATA
# scope: package
# title: A task
# description: What opening or resuming a task must satisfy. A task is never wider than the intent its agent was registered with.
# schemas:
#   - input: schema.task
package countersign.opening

import data.countersign.lib

_tools := lib.taken_apart(input.agent.intent.tools)

_resources := lib.taken_apart(input.agent.intent.resources)

default tools_within := false

tools_within if {
	is_array(input.task.intent.tools)
	every tool in input.task.intent.tools {
		lib.covers(_tools, tool)
	}
}

default resources_within := false

resources_within if {
	is_array(input.task.intent.resources)
	every resource in input.task.intent.resources {
		lib.covers(_resources, resource)
	}
}

default data_within := false

data_within if {
	is_array(input.task.intent.data)
	count(lib.beyond(input.task.intent.data, input.agent.intent.data)) == 0
}

default egress_within := false

egress_within if {
	is_array(input.task.intent.egress)
	every egress in input.task.intent.egress {
		egress in input.agent.intent.egress
	}
}

default budget_within := false

budget_within if {
	is_object(input.task.intent.budget)
	every meter, amount in input.task.intent.budget {
		amount >= 0
		_affordable(meter, amount)
	}
}

_affordable(meter, amount) if amount <= input.agent.intent.budget[meter]

# Whoever set no limit on what counts of itself did not mean that a task may not set one.
_affordable(meter, _) if {
	meter in {"calls", "bytes_out"}
	is_object(input.agent.intent.budget)
	not meter in object.keys(input.agent.intent.budget)
}

default ttl_within := false

ttl_within if {
	input.task.ttl > 0
	input.task.ttl <= input.agent.ttl
}

default delegated := false

delegated if input.delegation.verified == true

default narrowed := false

narrowed if input.delegation.chain == []

narrowed if lib.narrowing(input)

_shallow(most) if input.delegation.depth <= most

default holds := false

holds if {
	input.v == 1
	input.action in {"open", "resume"}
	tools_within
	resources_within
	data_within
	egress_within
	budget_within
	ttl_within
	delegated
	narrowed
}

# METADATA
# title: A task uses its agent's tools
# description: Every tool pattern of the asked intent lies within a tool pattern of the agent's.
# custom:
#   id: intent.tool
#   severity: high
#   effect: deny
#   observable: false
#   facts: [agent.intent.tools, task.intent.tools]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L3, L6]
#     mitre_atlas: [AML.T0053, AML.M0028]
#     nist_csf: [PR.AA-04, PR.AA-05]
#     nist_ai_rmf: [MAP 1.1, MAP 3.3]
#   message: the task asks for tools that this agent may not use
#   remediation: Ask for less, or widen the agent's declared intent.
_intent_tool := rego.metadata.rule()

deny contains lib.finding(_intent_tool, {"tools": tools}) if {
	not tools_within
	tools := lib.few([tool | some tool in input.task.intent.tools; not lib.covers(_tools, tool)])
}

# METADATA
# title: A task touches its agent's resources
# description: Every resource pattern of the asked intent lies within a resource pattern of the agent's.
# custom:
#   id: intent.resource
#   severity: high
#   effect: deny
#   observable: false
#   facts: [agent.intent.resources, task.intent.resources]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L3, L6]
#     mitre_atlas: [AML.T0053, AML.M0026]
#     nist_csf: [PR.AA-04, PR.AA-05]
#     nist_ai_rmf: [MAP 1.1, MAP 3.3]
#   message: the task asks for resources that this agent may not touch
#   remediation: Ask for less, or widen the agent's declared intent.
_intent_resource := rego.metadata.rule()

deny contains lib.finding(_intent_resource, {"resources": resources}) if {
	not resources_within
	resources := lib.few([resource |
		some resource in input.task.intent.resources
		not lib.covers(_resources, resource)
	])
}

# METADATA
# title: A task touches its agent's data
# description: Every data class of the asked intent is public or one of the agent's.
# custom:
#   id: intent.data
#   severity: high
#   effect: deny
#   observable: false
#   facts: [agent.intent.data, task.intent.data]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0085.001, AML.M0026]
#     nist_csf: [PR.AA-05, PR.DS-10]
#     nist_ai_rmf: [MAP 3.3, MEASURE 2.10]
#   message: the task asks for kinds of data that this agent may not touch
#   remediation: Ask for less, or widen the agent's declared intent.
_intent_data := rego.metadata.rule()

deny contains lib.finding(_intent_data, {"data": classes}) if {
	not data_within
	classes := lib.few(lib.beyond(input.task.intent.data, input.agent.intent.data))
}

# METADATA
# title: A task reaches its agent's destinations
# description: Every kind of destination of the asked intent is one of the agent's.
# custom:
#   id: intent.egress
#   severity: high
#   effect: deny
#   observable: false
#   facts: [agent.intent.egress, task.intent.egress]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02]
#     owasp_nhi: [NHI5, NHI8]
#     csa_maestro: [L4, L6]
#     mitre_atlas: [AML.T0086, AML.M0032]
#     nist_csf: [PR.IR-01, ID.AM-03]
#     nist_ai_rmf: [MANAGE 2.4]
#   message: the task asks for destinations that this agent may not reach
#   remediation: Ask for less, or widen the agent's declared intent.
_intent_egress := rego.metadata.rule()

deny contains lib.finding(_intent_egress, {"egress": egress}) if {
	not egress_within
	egress := lib.few([kind | some kind in input.task.intent.egress; not kind in input.agent.intent.egress])
}

# METADATA
# title: A task spends its agent's budget
# description: No meter of the asked budget is above the agent's, and none is asked that the agent does not have.
# custom:
#   id: intent.budget
#   severity: high
#   effect: deny
#   observable: false
#   facts: [agent.intent.budget, task.intent.budget]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0034.002, AML.M0004]
#     nist_csf: [PR.AA-05, DE.CM-06]
#     nist_ai_rmf: [MAP 3.3, MANAGE 4.1]
#   message: the task asks for a larger budget than this agent has
#   remediation: Ask for less, or raise the agent's budget.
_intent_budget := rego.metadata.rule()

deny contains lib.finding(_intent_budget, {"meters": meters}) if {
	not budget_within
	meters := lib.few([meter | some meter, amount in input.task.intent.budget; not _affordable(meter, amount)])
}

# METADATA
# title: A task ends in time
# description: The asked life of a task is positive and no longer than the agent's tasks may live.
# custom:
#   id: intent.ttl
#   severity: medium
#   effect: deny
#   observable: false
#   facts: [agent.ttl, task.ttl]
#   frameworks:
#     owasp_agentic: [ASI01, ASI03]
#     owasp_nhi: [NHI5, NHI7]
#     csa_maestro: [L3, L6]
#     nist_csf: [PR.AA-04, PR.AA-05]
#     nist_ai_rmf: [MAP 1.1, MAP 3.3]
#   message: the task asks to live longer than this agent's tasks may
#   remediation: Ask for a shorter life.
_intent_ttl := rego.metadata.rule()

deny contains lib.finding(_intent_ttl, {"ttl": object.get(input, ["task", "ttl"], null)}) if not ttl_within

# METADATA
# title: A delegation is proven
# description: Whoever acts through the caller is known, or nobody does. A chain of actors that cannot be read is not proven.
# custom:
#   id: delegation.unverified
#   severity: high
#   effect: deny
#   observable: false
#   facts: [delegation.verified]
#   frameworks:
#     owasp_agentic: [ASI03, ASI07]
#     owasp_nhi: [NHI4, NHI9]
#     csa_maestro: [L7]
#     mitre_atlas: [AML.T0091, AML.M0026]
#     nist_csf: [PR.AA-03, PR.AA-04]
#     nist_ai_rmf: [GOVERN 2.1]
#   message: the delegation of this task is not proven
#   remediation: Present a token whose act claim can be read.
_delegation_unverified := rego.metadata.rule()

deny contains lib.finding(_delegation_unverified, {"root": object.get(input, ["delegation", "root"], null)}) if not delegated

# METADATA
# title: A task is handed on so often and no more
# description: >-
#   The task would be handed on more often than the setting allows; 0 allows no handing on.
# custom:
#   id: delegation.too-deep
#   severity: high
#   effect: deny
#   observable: false
#   facts: [delegation.depth]
#   setting: delegation
#   frameworks:
#     owasp_agentic: [ASI03, ASI07, ASI08]
#     owasp_nhi: [NHI9]
#     csa_maestro: [L7]
#     mitre_atlas: [AML.T0053, AML.M0026]
#     nist_csf: [PR.AA-04, PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2]
#   message: this task was handed on too often
#   remediation: Let an agent nearer to its root do it, or change `decide.settings.delegation`.
_delegation_too_deep := rego.metadata.rule()

deny contains lib.finding(_delegation_too_deep, {"depth": object.get(input, ["delegation", "depth"], null)}) if {
	most := data.countersign.settings.delegation.depth
	not _shallow(most)
}

# METADATA
# title: Who hands a task on gives away no more than it has
# description: >-
#   The task that is to be opened, or a link of its delegation chain, reaches beyond the link before it: in tools, resources,
#   data classes or egress.
# custom:
#   id: delegation.widened
#   severity: high
#   effect: deny
#   observable: false
#   facts: [delegation.chain, task.intent]
#   frameworks:
#     owasp_agentic: [ASI03, ASI07, ASI08]
#     owasp_nhi: [NHI5, NHI9]
#     csa_maestro: [L7]
#     mitre_atlas: [AML.T0053, AML.M0026]
#     nist_csf: [PR.AA-04, PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MAP 3.3]
#   message: this task was handed on with more than its parent has
#   remediation: Hand the task on with an intent within its own.
_delegation_widened := rego.metadata.rule()

deny contains lib.finding(_delegation_widened, {}) if {
	delegated
	not narrowed
}
