package countersign.call

import data.countersign.lib

# METADATA
# title: A large amount needs a person
# description: >-
#   One call would spend more of a meter than the setting lets an agent spend at once.
# custom:
#   id: budget.large
#   severity: medium
#   effect: ask
#   observable: true
#   facts: [task.budget]
#   setting: budgets
#   frameworks:
#     owasp_agentic: [ASI02, ASI08, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0034.002, AML.M0029]
#     nist_csf: [DE.CM-06, DE.AE-03]
#     nist_ai_rmf: [MEASURE 2.4, GOVERN 3.2]
#   message: a call that spends this much at once needs a person
#   remediation: Have a person approve it, split it if that is meant, or change `decide.settings.budgets`.
_budget_large := rego.metadata.rule()

ask contains lib.finding(_budget_large, {"meter": row.meter}) if {
	some row in data.countersign.settings.budgets
	is_number(row.above)
	lib.large(input, row.meter, row.above)
}

# METADATA
# title: The end of a budget needs a person
# description: >-
#   After this call more of a meter would be spent than the share that the setting names.
# custom:
#   id: budget.nearly-spent
#   severity: medium
#   effect: ask
#   observable: true
#   facts: [task.budget]
#   setting: budgets
#   frameworks:
#     owasp_agentic: [ASI02, ASI08, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0034.002, AML.M0029]
#     nist_csf: [DE.CM-06, DE.AE-03]
#     nist_ai_rmf: [MEASURE 2.4, GOVERN 3.2]
#   message: a budget of the task is nearly spent, and a person must look
#   remediation: Have a person approve it, open a task with a larger budget, or change `decide.settings.budgets`.
_budget_nearly_spent := rego.metadata.rule()

ask contains lib.finding(_budget_nearly_spent, {"meter": row.meter}) if {
	some row in data.countersign.settings.budgets
	is_number(row.share)
	lib.nearly_spent(input, row.meter, row.share)
}
