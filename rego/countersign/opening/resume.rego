package countersign.opening

import data.countersign.lib

# METADATA
# title: An active task goes on only after a person has looked
# description: >-
#   A task is used by another session, after a silence or under another policy, and the setting names that cause. A person
#   answers, or it is refused. A resume that the agent asks for after a pause of its own has no cause.
# custom:
#   id: task.reauthorised
#   severity: medium
#   effect: ask
#   observable: false
#   facts: [cause]
#   setting: reauthorise
#   frameworks:
#     owasp_agentic: [ASI03, ASI06, ASI09]
#     owasp_nhi: [NHI7, NHI9]
#     csa_maestro: [L3, L6]
#     mitre_atlas: [AML.M0029]
#     nist_csf: [PR.AA-03, PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MANAGE 2.4]
#   message: a person must say that this task goes on
#   remediation: Resume the task with `countersign task resume`, or open a new one.
_task_reauthorised := rego.metadata.rule()

deny contains lib.finding_as(_task_reauthorised, "deny", {"cause": input.cause}) if {
	some row in data.countersign.settings.reauthorise
	row.effect == "deny"
	_concerns(row)
}

ask contains lib.finding(_task_reauthorised, {"cause": input.cause}) if {
	some row in data.countersign.settings.reauthorise
	row.effect == "ask"
	_concerns(row)
}

_concerns(row) if {
	input.cause in row.causes
	lib.concerns(row, input)
}
