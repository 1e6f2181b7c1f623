package countersign.call

import data.countersign.lib

# What an agent that drafts answers to customers may never do, on top of the default policy.

# METADATA
# title: A person sends what a customer reads
# description: >-
#   The agent drafts; nothing it does reaches a customer by itself. A model is no customer: tools that are `prompt` may
#   be sent to.
# custom:
#   id: support.sends-nothing
#   severity: high
#   effect: deny
#   observable: true
#   facts: [tool.effect, tool.prompt]
#   frameworks:
#     owasp_agentic: [ASI02, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     mitre_atlas: [AML.T0053, AML.M0029]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MAP 3.5]
#   message: this agent drafts, a person sends
#   remediation: Save it as a draft.
_support_sends_nothing := rego.metadata.rule()

_sends if {
	input.tool.effect == "send"
	not input.tool.prompt == true
}

deny contains lib.finding(_support_sends_nothing, {"tool": object.get(input, ["tool", "name"], null)}) if _sends

# METADATA
# title: A task is about customers it names
# description: >-
#   A tool that touches a customer is used in tasks that name which: `customer:*` is for the registration of the agent,
#   and no task.
# custom:
#   id: support.one-customer
#   severity: high
#   effect: deny
#   observable: true
#   facts: [task.intent.resources, tool.resource]
#   frameworks:
#     owasp_agentic: [ASI01, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0085.001, AML.M0026]
#     nist_csf: [PR.AA-05, PR.DS-10]
#     nist_ai_rmf: [MAP 3.3, MEASURE 2.10]
#   message: open a task that names the customer
#   remediation: Open a task with resources such as `customer:42`.
_support_one_customer := rego.metadata.rule()

_any_customer if {
	some resource in input.task.intent.resources
	lib.matches(resource, "customer:")
}

deny contains lib.finding(_support_one_customer, {"resource": input.tool.resource}) if {
	startswith(input.tool.resource, "customer:")
	_any_customer
}

# METADATA
# title: A draft answers a ticket that was read
# description: >-
#   A draft comes after its ticket was read in the same task.
# custom:
#   id: support.read-first
#   severity: medium
#   effect: deny
#   observable: true
#   facts: [sequence.steps, tool.name]
#   frameworks:
#     owasp_agentic: [ASI02, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0053]
#     nist_csf: [DE.CM-06, DE.AE-02]
#     nist_ai_rmf: [MEASURE 2.4]
#   message: read the ticket before you draft an answer
#   remediation: Call desk.ticket.read in the same task first.
_support_read_first := rego.metadata.rule()

deny contains lib.finding(_support_read_first, {}) if {
	lib.matches("desk.draft.*", input.tool.name)
	not lib.after(input, "desk.ticket.read")
}
