package countersign.call

import data.countersign.lib

# METADATA
# title: A task is handed on so often and no more
# description: >-
#   The task was handed on more often than the setting allows; 0 allows no handing on.
# custom:
#   id: delegation.too-deep
#   severity: high
#   effect: deny
#   observable: true
#   facts: [delegation.depth]
#   setting: delegation
#   frameworks:
#     owasp_agentic: [ASI03, ASI07, ASI08]
#     owasp_nhi: [NHI9]
#     csa_maestro: [L7]
#     mitre_atlas: [AML.T0053, AML.M0026]
#     nist_csf: [PR.AA-04, PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2]
#   message: this task was handed on too often
#   remediation: Let an agent nearer to its root do it, or change `decide.settings.delegation`.
_delegation_too_deep := rego.metadata.rule()

_shallow(most) if input.delegation.depth <= most

deny contains lib.finding(_delegation_too_deep, {"depth": object.get(input, ["delegation", "depth"], null)}) if {
	most := data.countersign.settings.delegation.depth
	not _shallow(most)
}

# METADATA
# title: Who hands a task on gives away no more than it has
# description: >-
#   A link of the delegation chain, or the task at its end, reaches beyond the link before it: in tools, resources,
#   data classes or egress.
# custom:
#   id: delegation.widened
#   severity: high
#   effect: deny
#   observable: false
#   facts: [delegation.chain, task.intent]
#   frameworks:
#     owasp_agentic: [ASI03, ASI07, ASI08]
#     owasp_nhi: [NHI5, NHI9]
#     csa_maestro: [L7]
#     mitre_atlas: [AML.T0053, AML.M0026]
#     nist_csf: [PR.AA-04, PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MAP 3.3]
#   message: this task was handed on with more than its parent has
#   remediation: Hand the task on with an intent within its own.
_delegation_widened := rego.metadata.rule()

deny contains lib.finding(_delegation_widened, {}) if {
	input.delegation.verified == true
	not _unlinked
	not lib.narrowing(input)
}

_unlinked if input.delegation.chain == []
