package countersign.call

import data.countersign.lib

# Discovery may be broad while execution stays narrow. What was found out is kept as data classes are: it follows the caller into its
# other tasks until it fades, and a task handed on has it too.

# METADATA
# title: What was found out opens no way to a privilege
# description: >-
#   A task that knows of secrets, permissions, users or infrastructure (it, or its caller before, called a tool of `kind: discovery` or
#   read the class `secret`) calls no tool of `kind: privilege`, which one of critical risk is where nobody says otherwise. Two are
#   allowed: a tool that the task has called already, and one that stands by its name among the first three that the task declared,
#   if it was opened before anything was found out or is the one that its agent was registered with.
# custom:
#   id: sequence.discovery-then-privilege
#   severity: critical
#   level: sequence
#   effect: deny
#   observable: true
#   facts: [delegation.depth, sequence.brought, sequence.counts, task.implicit, task.intent.tools, task.sensitivity, tool.kind, tool.name]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI03, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0053, AML.M0026, AML.M0030]
#     nist_csf: [PR.AA-05, DE.AE-02, DE.AE-03]
#     nist_ai_rmf: [MEASURE 2.4, MANAGE 4.1]
#   message: after what this task found out, this call is not allowed
#   remediation: >-
#     Open a task that names the tool first, before anything is found out, or have a person clear what the caller knows. A tool that
#     changes nobody's rights is `kind: routine`.
_discovery_then_privilege := rego.metadata.rule()

deny contains lib.finding(_discovery_then_privilege, {"tool": tool, "known": _found_out}) if {
	not _ordinary
	not _unaware
	not _usual
	not _foremost
	tool := object.get(input, ["tool", "name"], null)
}

_ordinary if {
	input.tool.kind == "routine"
} else if {
	input.tool.kind == "discovery"
}

_unaware if {
	is_array(_tainting)
	count(_found_out) == 0
}

_found_out := [mark | some mark in _marks; mark in _tainting]

_marks := ["kind:discovery", "secret"]

_usual if input.sequence.counts[input.tool.name] > 0

_foremost if {
	input.tool.name in array.slice(input.task.intent.tools, 0, 3)
	_declared_unaware
}

# The intent of an implicit task is the operator's word, in the operator's order.
_declared_unaware if input.task.implicit == true

_declared_unaware if {
	input.delegation.depth == 0
	is_array(input.sequence.brought)
	every mark in _marks {
		not mark in input.sequence.brought
	}
}
