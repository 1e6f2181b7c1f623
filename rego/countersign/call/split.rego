package countersign.call

import data.countersign.lib

# Many small calls that are one large one. The host adds up what the setting names, over all tasks of a caller. Off until it names
# something. As in order.rego, a row that leaves something out is not silent.

# METADATA
# title: One act is not cut into many small ones
# description: >-
#   With this call, more of a meter would be spent within the last hour or day than the setting lets come together, or more
#   bytes would have left while a data class was known: by the caller in all of its tasks, or on one resource. A body of unknown
#   length is beyond any sum. Denies, or asks if the row says so.
# custom:
#   id: sequence.split
#   severity: high
#   level: sequence
#   effect: deny
#   observable: true
#   facts: [request.body.kind, sequence.sums, task.budget.debit, task.sensitivity, tool.egress, tool.resource]
#   setting: split
#   frameworks:
#     owasp_agentic: [ASI02, ASI08, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L2, L5, L6]
#     mitre_atlas: [AML.T0086, AML.T0034.002, AML.M0029]
#     nist_csf: [DE.CM-06, DE.AE-03, PR.DS-02]
#     nist_ai_rmf: [MEASURE 2.4, MANAGE 4.1]
#   message: together with the calls before, this is more than may be done at once
#   remediation: Wait, have a person approve the whole of it, or change `decide.settings.split`.
_sequence_split := rego.metadata.rule()

deny contains lib.finding_as(_sequence_split, "deny", _split_of(row)) if {
	some row in data.countersign.settings.split
	not _asks(row)
	not _apart(row)
	not _together(row)
}

ask contains lib.finding_as(_sequence_split, "ask", _split_of(row)) if {
	some row in data.countersign.settings.split
	_asks(row)
	not _apart(row)
	not _together(row)
}

_split_of(row) := {
	"meter": _named(row, "meter"),
	"class": _named(row, "class"),
	"sums": [sum | some sum in input.sequence.sums],
}

# Surely none that adds to it.
_apart(row) if {
	is_string(row.meter)
	is_object(input.task.budget.debit)
	not row.meter in object.keys(input.task.budget.debit)
}

_apart(row) if {
	is_string(row.class)
	_holds_back(row.class)
}

_holds_back(_) if not lib.leaves(input)

_holds_back(_) if input.request.body.kind == "none"

_holds_back(class) if {
	is_array(input.task.sensitivity)
	not class in input.task.sensitivity
}

_together(row) if {
	some sum in input.sequence.sums
	sum.name == object.get(row, _kind_of(row), null)
	sum.kind == _kind_of(row)
	sum.resource == _summed_on(object.get(row, "per", "caller"))
	is_number(sum.amount)
	sum.amount >= 0
	sum[object.get(row, "within", "day")] + sum.amount <= row.above
}

_kind_of(row) := "meter" if is_string(row.meter)

_kind_of(row) := "class" if is_string(row.class)

_summed_on("caller") := null

_summed_on("resource") := input.tool.resource
