package countersign

import data.countersign.answer
import data.countersign.lib

# METADATA
# title: The verdict on an answer
# description: >-
#   Takes the input of an answer that came back (rego/schemas/response.json) and gives decision v1: allow or deny, and what it obliges to.
#   There is nobody to ask about an answer that is there already. One that is refused obliges to the same: where observe mode lets
#   it pass, what it holds counts as read.
# entrypoint: true
response := object.union(lib.decision(_response_effect, _response_denials), {"obligations": sort(answer.obligations)})

_response_effect := lib.effect(_response_denials, set(), _response_holds)

default _response_holds := false

_response_holds if answer.holds

_response_denials := answer.deny | _response_unexplained

# METADATA
# title: Nothing allowed the answer
# description: An answer that no rule refused but whose input does not meet every condition, such as another version.
# custom:
#   id: default
#   severity: high
#   effect: deny
#   observable: false
#   facts: []
#   frameworks:
#     owasp_agentic: [ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MANAGE 1.3]
#   message: no rule allows this answer
#   remediation: Compare the input of the answer with rego/schemas/response.json.
_default_response_deny := rego.metadata.rule()

_response_unexplained contains lib.finding(_default_response_deny, {}) if {
	not _response_holds
	count(answer.deny) == 0
}
