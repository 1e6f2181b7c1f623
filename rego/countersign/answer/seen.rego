package countersign.answer

import data.countersign.lib

# Where the tool has its answers read (`answer json`), nothing passes that was not read: not a larger document, no event stream, nothing
# that only calls itself JSON. What an upstream says of an error is mostly text: it passes when all of it is in the sample.
default seen := false

seen if input.tool.answer == "head"

seen if input.response.body.judged == true

seen if {
	input.response.status >= 400
	input.response.body.kind == "other"
	is_string(input.response.body.sample)
	input.response.body.truncated == false
}

# METADATA
# title: An answer that counts was judged whole
# description: >-
#   A tool that has its answers read as JSON answered with something that is not one whole, strict JSON document within the bound.
#   Text passes where the status says that the call failed.
# custom:
#   id: answer.not-judged
#   severity: high
#   effect: deny
#   observable: true
#   facts: [response.body.judged, response.body.kind, response.body.truncated, response.status, tool.answer]
#   frameworks:
#     owasp_agentic: [ASI02]
#     owasp_nhi: [NHI2]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0085.001, AML.M0033]
#     nist_csf: [PR.DS-02, PR.DS-10]
#     nist_ai_rmf: [MEASURE 2.10]
#   message: the answer to this call could not be judged
#   remediation: Ask for less at once, raise `listen.limits.judged_answer`, or catalogue the tool as one that is judged by its head.
_answer_not_judged := rego.metadata.rule()

deny contains lib.finding(_answer_not_judged, {"status": status, "kind": kind}) if {
	not seen
	status := object.get(input, ["response", "status"], null)
	kind := object.get(input, ["response", "body", "kind"], null)
}
