package countersign.call

import data.countersign.lib

# What an agent that runs services may never do, on top of the default policy.

# METADATA
# title: Who changes a service has just looked at it
# description: >-
#   A change of infrastructure comes within ten calls after its state was read in the same task.
# custom:
#   id: operations.look-first
#   severity: medium
#   effect: deny
#   observable: true
#   facts: [sequence.step, sequence.steps, tool.effect, tool.name]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L4, L6]
#     mitre_atlas: [AML.T0053]
#     nist_csf: [DE.CM-06, DE.AE-02]
#     nist_ai_rmf: [MEASURE 2.4]
#   message: look at the service before you change it
#   remediation: Call infra.service.read in the same task first.
_operations_look_first := rego.metadata.rule()

_only_looks if input.tool.effect == "read"

_changes if {
	lib.matches("infra.*", input.tool.name)
	not _only_looks
}

deny contains lib.finding(_operations_look_first, {}) if {
	_changes
	not lib.after_within(input, "infra.service.read", 10)
}

# METADATA
# title: Nothing is deleted in production
# description: >-
#   Whatever deletes is for people, in the environment `production`.
# custom:
#   id: operations.never-deletes
#   severity: critical
#   effect: deny
#   observable: false
#   facts: [context.environment, tool.effect]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L4, L6]
#     mitre_atlas: [AML.T0101, AML.M0026]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MANAGE 1.3, MANAGE 2.4]
#   message: nothing is deleted in production by an agent
#   remediation: Have a person delete it.
_operations_never_deletes := rego.metadata.rule()

deny contains lib.finding(_operations_never_deletes, {}) if {
	lib.concerns({"effects": ["delete"], "environments": ["production"]}, input)
}

# METADATA
# title: The third change of a task needs a person
# description: >-
#   After two changes of infrastructure in one task a person answers each further one: an incident is not mended by
#   ever more restarts.
# custom:
#   id: operations.blast-radius
#   severity: high
#   effect: ask
#   observable: true
#   facts: [sequence.counts, tool.effect, tool.name]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L4, L6]
#     mitre_atlas: [AML.M0029]
#     nist_csf: [PR.AA-05, RS.MA-01]
#     nist_ai_rmf: [GOVERN 3.2, MANAGE 4.1]
#   message: a person must see what this task changed so far
#   remediation: Have a person approve it.
_operations_blast_radius := rego.metadata.rule()

_looking := {"infra.service.read", "infra.service.list"}

_changed := sum([times |
	some tool, times in input.sequence.counts
	not tool in _looking
	_counts_as_change(tool)
])

_counts_as_change("*")

_counts_as_change(tool) if lib.matches("infra.*", tool)

_few_changes if {
	is_object(input.sequence.counts)
	_changed < 2
}

ask contains lib.finding(_operations_blast_radius, {"changes": _changed}) if {
	_changes
	not _few_changes
}
