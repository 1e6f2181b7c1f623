package countersign.call

import data.countersign.lib

# Every call is counted in `calls`, whether or not anybody set a limit on it. Any other meter is debited because a tool
# says so, and then a limit must be there. A negative amount would refill a budget, so it is beyond every limit.
default affordable := false

affordable if {
	is_object(input.task.budget.debit)
	every meter, amount in input.task.budget.debit {
		_within(meter, amount)
	}
}

_within(meter, amount) if {
	is_number(amount)
	amount >= 0
	object.get(input.task.budget.spent, meter, 0) + amount <= input.task.budget.limit[meter]
} else if {
	meter == "calls"
	amount == 1
	is_object(input.task.budget.limit)
	not "calls" in object.keys(input.task.budget.limit)
}

# METADATA
# title: A budget is kept
# description: No call that would spend more of a meter than the task's intent allows, or spend a meter nobody limited.
# custom:
#   id: budget.exceeded
#   severity: high
#   effect: deny
#   observable: false
#   facts: [task.budget]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0034.002, AML.M0004]
#     nist_csf: [DE.CM-06, DE.AE-03]
#     nist_ai_rmf: [MEASURE 2.4, MANAGE 4.1]
#   message: a budget of the task would be exceeded
#   remediation: Open a task with a larger budget, within the agent's declared intent.
_budget_exceeded := rego.metadata.rule()

deny contains lib.finding(_budget_exceeded, {"meters": meters}) if {
	not affordable
	meters := lib.few([meter | some meter, amount in input.task.budget.debit; not _within(meter, amount)])
}
