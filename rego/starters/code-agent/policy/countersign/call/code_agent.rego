package countersign.call

import data.countersign.lib

# What an agent that writes code may never do, on top of the default policy.

# METADATA
# title: Protected branches change by pull requests
# description: >-
#   The agent never writes to a protected branch, whatever its task declares. Everything else goes through a pull
#   request.
# custom:
#   id: code.protected-branch
#   severity: high
#   effect: deny
#   observable: true
#   facts: [tool.effect, tool.resource]
#   frameworks:
#     owasp_agentic: [ASI02, ASI05]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L4, L6]
#     mitre_atlas: [AML.T0053, AML.M0026]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MAP 3.3, MANAGE 1.3]
#   message: this branch changes by pull requests only
#   remediation: Push to a branch of your own and open a pull request.
_code_protected_branch := rego.metadata.rule()

_protected := ["branch:main", "branch:master", "branch:release*"]

deny contains lib.finding(_code_protected_branch, {"resource": input.tool.resource}) if {
	input.tool.effect != "read"
	lib.any_matches(_protected, input.tool.resource)
}

# METADATA
# title: A person merges
# description: >-
#   A pull request is merged by an answer of a person, however low its risk is labelled.
# custom:
#   id: code.merge-needs-person
#   severity: high
#   effect: ask
#   observable: true
#   facts: [tool.name]
#   frameworks:
#     owasp_agentic: [ASI02, ASI05, ASI09]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     mitre_atlas: [AML.M0029]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MAP 3.5]
#   message: a person must merge this
#   remediation: Have a person approve it.
_code_merge_needs_person := rego.metadata.rule()

ask contains lib.finding(_code_merge_needs_person, {}) if lib.matches("git.pull.merge", input.tool.name)

# METADATA
# title: A merge comes after its checks
# description: >-
#   A merge comes within five calls after the checks were read in the same task.
# custom:
#   id: code.checks-first
#   severity: medium
#   effect: deny
#   observable: true
#   facts: [sequence.step, sequence.steps, tool.name]
#   frameworks:
#     owasp_agentic: [ASI02, ASI05]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0053]
#     nist_csf: [DE.CM-06, DE.AE-02]
#     nist_ai_rmf: [MEASURE 2.4]
#   message: read the checks before you merge
#   remediation: Call ci.checks.read in the same task first.
_code_checks_first := rego.metadata.rule()

deny contains lib.finding(_code_checks_first, {}) if {
	lib.matches("git.pull.merge", input.tool.name)
	not lib.after_within(input, "ci.checks.read", 5)
}
