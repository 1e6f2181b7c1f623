package countersign.opening

import data.countersign.lib

# METADATA
# title: What a person must answer of a task, and who
# description: >-
#   Who answers whether a task is opened or goes on: the first row of `decide.settings.approvals.who` that names this in `tasks`, or that
#   names nothing of a call either; else one approver of this Countersign, whoever that is.
demand := lib.demanded([row |
	some row in data.countersign.settings.approvals.who
	_about_tasks(row)
	lib.concerns(row, input)
])

_about_tasks(row) if input.action in row.tasks

_about_tasks(row) if count({"tasks", "tools", "effects", "risks", "egress"} & object.keys(row)) == 0

# METADATA
# title: A person has answered about a task
# description: >-
#   True when the answer is in time and that of people who may give it as policy stands now. No objective answers for a task. What is asked
#   is then allowed; what is denied stays denied.
default approved := false

approved if {
	input.approval.kind == "action"
	lib.answered(input, demand)
}
