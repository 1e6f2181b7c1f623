package countersign.call

import data.countersign.lib

# METADATA
# title: Tiers of your own, on top of the table
# description: >-
#   A row of the settings names agents by autonomy and calls by risk, effect, tool or egress, and asks about them or
#   denies them. The table stays as it is: a row can only add to it.
# custom:
#   id: autonomy.tier
#   severity: high
#   effect: ask
#   observable: true
#   facts: [agent.autonomy, tool.effect, tool.egress, tool.name, tool.risk]
#   setting: tiers
#   frameworks:
#     owasp_agentic: [ASI02, ASI03, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     mitre_atlas: [AML.M0026, AML.M0029]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MAP 3.5]
#   message: an agent of this autonomy may not make this call alone
#   remediation: Have a person approve it, or change `decide.settings.tiers`.
_autonomy_tier := rego.metadata.rule()

deny contains lib.finding_as(_autonomy_tier, "deny", {"autonomy": object.get(input, ["agent", "autonomy"], null)}) if {
	some row in data.countersign.settings.tiers
	not _asks(row)
	lib.concerns(row, input)
}

ask contains lib.finding_as(_autonomy_tier, "ask", {"autonomy": object.get(input, ["agent", "autonomy"], null)}) if {
	some row in data.countersign.settings.tiers
	_asks(row)
	lib.concerns(row, input)
}
