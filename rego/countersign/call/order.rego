package countersign.call

import data.countersign.lib

# Calls that are each in order and together are not. Off until `decide.settings` names an order.

# Settings may come with a bundle, and then nobody has looked at them. A row that leaves something out is not silent for it: it denies,
# whatever its effect is spelt as, at any time and at once.

_asks(row) if row.effect == "ask"

_named(row, member) := object.get(row, member, null)

# METADATA
# title: Calls that are unsafe in this order
# description: >-
#   The call ends a chain that was named: the other tools of it were called before in this task, in its order. Denies,
#   or asks if the chain says so. Chains of more than three tools may be seen where there were none, and are never
#   missed.
# custom:
#   id: sequence.chain
#   severity: high
#   level: sequence
#   effect: deny
#   observable: true
#   facts: [sequence.steps, sequence.step, tool.name]
#   setting: chains
#   frameworks:
#     owasp_agentic: [ASI02, ASI08, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0053, AML.T0086, AML.M0030]
#     nist_csf: [DE.CM-06, DE.AE-02, DE.AE-03]
#     nist_ai_rmf: [MEASURE 2.4, MANAGE 4.1]
#   message: this call after what was done before in this task is not allowed
#   remediation: Do the two parts in tasks of their own, or change the chain in `decide.settings.chains`.
_sequence_chain := rego.metadata.rule()

deny contains lib.finding_as(_sequence_chain, "deny", {"chain": _named(row, "id")}) if {
	some row in data.countersign.settings.chains
	not _asks(row)
	lib.chain(input, row.steps, object.get(row, "within", null))
}

ask contains lib.finding_as(_sequence_chain, "ask", {"chain": _named(row, "id")}) if {
	some row in data.countersign.settings.chains
	_asks(row)
	lib.chain(input, row.steps, object.get(row, "within", null))
}

# METADATA
# title: What must come first
# description: >-
#   The tool may be called only after others that were named, in the same task. A call that was permitted counts,
#   whatever its upstream answered. Denies, or asks if the row says so.
# custom:
#   id: sequence.needs
#   severity: high
#   level: sequence
#   effect: deny
#   observable: true
#   facts: [sequence.steps, sequence.step, tool.name]
#   setting: after
#   frameworks:
#     owasp_agentic: [ASI02, ASI08, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0053, AML.T0086, AML.M0030]
#     nist_csf: [DE.CM-06, DE.AE-02, DE.AE-03]
#     nist_ai_rmf: [MEASURE 2.4, MANAGE 4.1]
#   message: another call must come before this one
#   remediation: Make the call that is needed first in the same task, or change `decide.settings.after`.
_sequence_needs := rego.metadata.rule()

_lacking(row) := [pattern | some pattern in row.needs; not _came_before(pattern, object.get(row, "within", null))]

_came_before(pattern, within) if {
	within == null
	lib.after(input, pattern)
}

_came_before(pattern, within) if lib.after_within(input, pattern, within)

deny contains lib.finding_as(_sequence_needs, "deny", {"id": _named(row, "id"), "lacking": lacking}) if {
	some row in data.countersign.settings.after
	not _asks(row)
	lib.matches(row.tool, input.tool.name)
	lacking := _lacking(row)
	count(lacking) > 0
}

ask contains lib.finding_as(_sequence_needs, "ask", {"id": _named(row, "id"), "lacking": lacking}) if {
	some row in data.countersign.settings.after
	_asks(row)
	lib.matches(row.tool, input.tool.name)
	lacking := _lacking(row)
	count(lacking) > 0
}

# METADATA
# title: What must not come after
# description: >-
#   The tool may not be called once others that were named were called in the same task. Denies, or asks if the row
#   says so.
# custom:
#   id: sequence.forbids
#   severity: high
#   level: sequence
#   effect: deny
#   observable: true
#   facts: [sequence.steps, tool.name]
#   setting: after
#   frameworks:
#     owasp_agentic: [ASI02, ASI08, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0053, AML.T0086, AML.M0030]
#     nist_csf: [DE.CM-06, DE.AE-02, DE.AE-03]
#     nist_ai_rmf: [MEASURE 2.4, MANAGE 4.1]
#   message: this call is not allowed after what was done before in this task
#   remediation: Make this call in a task of its own, or change `decide.settings.after`.
_sequence_forbids := rego.metadata.rule()

deny contains lib.finding_as(_sequence_forbids, "deny", {"id": _named(row, "id"), "after": before}) if {
	some row in data.countersign.settings.after
	not _asks(row)
	lib.matches(row.tool, input.tool.name)
	before := [pattern | some pattern in row.forbids; not lib.before(input, pattern)]
	count(before) > 0
}

ask contains lib.finding_as(_sequence_forbids, "ask", {"id": _named(row, "id"), "after": before}) if {
	some row in data.countersign.settings.after
	_asks(row)
	lib.matches(row.tool, input.tool.name)
	before := [pattern | some pattern in row.forbids; not lib.before(input, pattern)]
	count(before) > 0
}

# METADATA
# title: A new kind of call late in a task needs a person
# description: >-
#   A task that has made a number of calls uses a tool for the first time. A routine repeats itself; a step that was
#   never made before is where a task turns.
# custom:
#   id: sequence.first-seen
#   severity: medium
#   level: sequence
#   effect: ask
#   observable: true
#   facts: [sequence.counts, sequence.step, tool.effect, tool.name]
#   setting: first_seen
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0053, AML.M0029]
#     nist_csf: [DE.CM-06, DE.AE-02]
#     nist_ai_rmf: [MEASURE 2.4, MAP 3.5]
#   message: this task has not made this kind of call before, and a person must look
#   remediation: Have a person approve it, or change `decide.settings.first_seen`.
_sequence_first_seen := rego.metadata.rule()

_early(calls) if input.sequence.step < calls

ask contains lib.finding(_sequence_first_seen, {"tool": object.get(input, ["tool", "name"], null)}) if {
	wanted := data.countersign.settings.first_seen
	lib.concerns(wanted, input)
	not _early(object.get(wanted, "after", 0))
	lib.first_seen(input)
}
