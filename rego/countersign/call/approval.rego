package countersign.call

import data.countersign.lib

# METADATA
# title: What a person must answer, and who
# description: >-
#   Who answers a call that a rule asks about: the first row of `decide.settings.approvals.who` that concerns it, else one approver of this
#   Countersign, whoever that is. A row that does not say who is answered by nobody.
demand := _demanded(_demanding[0]) if count(_demanding) > 0

demand := {"approvers": [], "quorum": 1} if count(_demanding) == 0

_demanding := [row |
	some row in data.countersign.settings.approvals.who
	lib.concerns(row, input)
]

_demanded(row) := object.union(
	{"approvers": object.get(row, "approvers", ["nobody"]), "quorum": object.get(row, "quorum", 1)},
	{"ttl": ttl | ttl := row.ttl},
)

# METADATA
# title: Rules whose question is answered for one call only
# description: >-
#   Ids of rules that no objective answers: a person answers for the very call. A critical risk and a finding of critical severity are
#   such without being named. Add the id of a rule of your own, or name it in `decide.settings.approvals.single`.
single contains id if some id in data.countersign.settings.approvals.single

default needs_own := false

needs_own if input.tool.risk == "critical"

needs_own if {
	some finding in ask
	finding.severity == "critical"
}

needs_own if {
	some finding in ask
	finding.rule in single
}

# METADATA
# title: A person has answered
# description: >-
#   True when the answer that the call rests on is in time, covers it, and is that of people who may give it as policy stands now: a change of
#   policy counts for answers that were given before it. What is asked is then allowed; what is denied stays denied.
default approved := false

approved if {
	input.approval.kind == "action"
	_in_time
	_answered
}

approved if {
	input.approval.kind == "objective"
	needs_own == false
	_in_time
	_answered
}

_in_time if {
	input.context.now < input.approval.expires
	input.approval.used < input.approval.calls
}

_answered if input.approval.break_glass == true

_answered if {
	input.approval.break_glass == false
	count(_answering) >= demand.quorum
	demand.quorum > 0
}

_answering contains person if {
	some person in input.approval.by
	_may_answer(person)
}

_may_answer(_) if demand.approvers == []

_may_answer(person) if person in demand.approvers

_may_answer(person) if {
	some group in input.approval.groups[person]
	group in demand.approvers
}
