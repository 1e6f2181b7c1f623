package countersign.call

import data.countersign.lib

# What an agent that answers questions about data may never do, on top of the default policy.

# METADATA
# title: An analyst changes no data
# description: >-
#   Whatever has to do with the warehouse is a read, whatever its query says.
# custom:
#   id: analyst.reads-only
#   severity: high
#   effect: deny
#   observable: true
#   facts: [tool.effect, tool.name]
#   frameworks:
#     owasp_agentic: [ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0101, AML.M0026]
#     nist_csf: [PR.AA-05, PR.DS-01]
#     nist_ai_rmf: [MAP 3.3, MANAGE 1.3]
#   message: this agent reads the warehouse and changes nothing in it
#   remediation: Have somebody who owns the data change it.
_analyst_reads_only := rego.metadata.rule()

_reads if input.tool.effect == "read"

deny contains lib.finding(_analyst_reads_only, {"effect": object.get(input, ["tool", "effect"], null)}) if {
	lib.matches("warehouse.*", input.tool.name)
	not _reads
}

# METADATA
# title: A query says how much it wants
# description: >-
#   A query has a limit of at most 10,000 rows, so that an answer is an answer and no export.
# custom:
#   id: analyst.bounded-query
#   severity: medium
#   effect: deny
#   observable: true
#   facts: [request.body.parsed, tool.name]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0085.001, AML.M0033]
#     nist_csf: [PR.DS-10, DE.CM-06]
#     nist_ai_rmf: [MEASURE 2.10]
#   message: a query needs a limit of at most 10000 rows
#   remediation: Add a limit to the query.
_analyst_bounded_query := rego.metadata.rule()

_most_rows := 10000

_bounded if {
	is_number(input.request.body.parsed.limit)
	input.request.body.parsed.limit >= 0
	input.request.body.parsed.limit <= _most_rows
}

deny contains lib.finding(_analyst_bounded_query, {"most": _most_rows}) if {
	lib.matches("warehouse.query", input.tool.name)
	not _bounded
}

# METADATA
# title: A report after personal data needs a person
# description: >-
#   A report that is published after personal data was read may hold some of it, so a person looks first. Inside the
#   house too, where the default policy asks nobody.
# custom:
#   id: analyst.report-needs-person
#   severity: high
#   effect: ask
#   observable: true
#   facts: [task.sensitivity, tool.name]
#   frameworks:
#     owasp_agentic: [ASI02, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0086, AML.M0029]
#     nist_csf: [PR.DS-01, PR.DS-02]
#     nist_ai_rmf: [MEASURE 2.10, MAP 3.5]
#   message: a person must see this report before it is published
#   remediation: Have a person approve it, or publish from a task that read no personal data.
_analyst_report_needs_person := rego.metadata.rule()

_nothing_personal if {
	is_array(input.task.sensitivity)
	not "personal" in input.task.sensitivity
}

ask contains lib.finding(_analyst_report_needs_person, {}) if {
	lib.matches("report.*", input.tool.name)
	not _nothing_personal
}
