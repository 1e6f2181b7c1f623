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
#   remediation: Approve it (`countersign approvals`), resume the task with `countersign task resume`, or open a new one.
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

# METADATA
# title: A task is opened only after a person has looked
# description: >-
#   The setting names who opens it (`self`, `implicit`, `orchestrator`, `person`, or `hand-off` for one that another task hands on),
#   or the tier of its agent. A person answers, or it is refused.
# custom:
#   id: task.opened
#   severity: medium
#   effect: ask
#   observable: false
#   facts: [action, opener.kind]
#   setting: opening
#   frameworks:
#     owasp_agentic: [ASI01, ASI03, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L3, L6]
#     mitre_atlas: [AML.M0029]
#     nist_csf: [PR.AA-03, PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MANAGE 2.4]
#   message: a person must say that this task is opened
#   remediation: Approve it (`countersign approvals`), or change `decide.settings.opening`.
_task_opened := rego.metadata.rule()

deny contains lib.finding_as(_task_opened, "deny", {"opener": _opener}) if {
	some row in data.countersign.settings.opening
	row.effect == "deny"
	_opens(row)
}

ask contains lib.finding(_task_opened, {"opener": _opener}) if {
	some row in data.countersign.settings.opening
	row.effect == "ask"
	_opens(row)
}

_opens(row) if {
	input.action == "open"
	_opener in object.get(row, "openers", [_opener])
	lib.concerns(row, input)
}

default _opener := "hand-off"

_opener := input.opener.kind
