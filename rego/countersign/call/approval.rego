package countersign.call

import data.countersign.lib

# METADATA
# title: What a person must answer, and who
# description: >-
#   Who answers a call that a rule asks about: the first row of `decide.settings.approvals.who` that concerns it, else one approver of this
#   Countersign, whoever that is. A row that does not say who is answered by nobody.
demand := lib.demanded(_demanding)

_demanding := [row |
	some row in data.countersign.settings.approvals.who
	not "tasks" in object.keys(row)
	lib.concerns(row, input)
]

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
	lib.answered(input, demand)
}

approved if {
	input.approval.kind == "objective"
	needs_own == false
	lib.answered(input, demand)
}
