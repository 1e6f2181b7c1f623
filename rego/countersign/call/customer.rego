package countersign.call

import data.countersign.lib

# METADATA
# title: What a customer sees is seen by a person first
# description: >-
#   A tool that was named as facing customers is called by an agent of a tier that was named (by default `autonomous`).
# custom:
#   id: customer.needs-person
#   severity: medium
#   effect: ask
#   observable: true
#   facts: [agent.autonomy, tool.name]
#   setting: customer_facing
#   frameworks:
#     owasp_agentic: [ASI02, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     mitre_atlas: [AML.M0029]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MAP 3.5]
#   message: a person must see this before a customer does
#   remediation: Have a person approve it, or change `decide.settings.customer_facing`.
_customer_needs_person := rego.metadata.rule()

ask contains lib.finding(_customer_needs_person, {"autonomy": autonomy}) if {
	lib.concerns(data.countersign.settings.customer_facing, input)
	autonomy := object.get(input, ["agent", "autonomy"], null)
}
