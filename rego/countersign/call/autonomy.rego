package countersign.call

import data.countersign.lib

# Word by word: the engine would build a set of them anew for every call.

_autonomy("supervised")

_autonomy("bounded")

_autonomy("autonomous")

_risk("low")

_risk("medium")

_risk("high")

_risk("critical")

_effect("read")

_effect("write")

_effect("send")

_effect("delete")

_effect("execute")

_effect("unknown")

# METADATA
# title: When a person is asked
# description: |
#   The one table. A row is the agent's autonomy, a column the tool's risk; "unless read" asks for every effect but `read`.
#
#                | low   | medium          | high            | critical
#     supervised | allow | ask unless read | ask             | ask
#     bounded    | allow | allow           | ask             | ask
#     autonomous | allow | allow           | ask unless read | ask
#
#   `autonomy.needs-person` is the cell supervised/medium, `risk.high-needs-person` the two right columns.
#   A row or column that is not in the table allows nothing.
default rated := false

rated if {
	_autonomy(input.agent.autonomy)
	_risk(input.tool.risk)
	_effect(input.tool.effect)
}

_high_needs_person if input.tool.risk == "critical"

_high_needs_person if {
	input.tool.risk == "high"
	not _autonomous_read
}

_autonomous_read if {
	input.agent.autonomy == "autonomous"
	input.tool.effect == "read"
}

# METADATA
# title: A supervised agent changes nothing of note alone
# description: For a supervised agent a person answers every call of medium risk that is not a read.
# custom:
#   id: autonomy.needs-person
#   severity: medium
#   effect: ask
#   observable: true
#   facts: [agent.autonomy, tool.effect, tool.risk]
#   frameworks:
#     owasp_agentic: [ASI02, ASI03, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     mitre_atlas: [AML.M0029]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MAP 3.5]
#   message: this agent needs a person for this kind of call
#   remediation: Have a person approve it, or raise the agent's autonomy.
_autonomy_needs_person := rego.metadata.rule()

ask contains lib.finding(_autonomy_needs_person, {"autonomy": input.agent.autonomy, "risk": input.tool.risk}) if {
	input.agent.autonomy == "supervised"
	input.tool.risk == "medium"
	input.tool.effect != "read"
}

# METADATA
# title: High risk needs a person
# description: A person answers every call of high or critical risk, save what an autonomous agent only reads at high risk.
# custom:
#   id: risk.high-needs-person
#   severity: high
#   effect: ask
#   observable: true
#   facts: [agent.autonomy, tool.effect, tool.risk]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI03, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     mitre_atlas: [AML.T0101, AML.M0029]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MAP 3.5]
#   message: a call of this risk needs a person
#   remediation: Have a person approve it.
_risk_high_needs_person := rego.metadata.rule()

ask contains lib.finding(_risk_high_needs_person, {"autonomy": autonomy, "risk": input.tool.risk}) if {
	_high_needs_person
	autonomy := object.get(input, ["agent", "autonomy"], null)
}
