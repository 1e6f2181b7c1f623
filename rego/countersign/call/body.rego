package countersign.call

import data.countersign.lib

# A tool that streams has a body nobody reads, and its labels speak for it. A tool that judges its body has none of
# kind `stream`: what could not be read whole is `json` and not judged. A person can only be asked about what was judged.
default body_judged := false

body_judged if {
	input.request.body.kind == "none"
} else if {
	input.request.body.size == 0
} else if {
	input.request.body.judged == true
} else if {
	input.request.body.kind == "stream"
	count(ask) == 0
}

# METADATA
# title: A body that counts was judged whole
# description: >-
#   Past a cap a body is marked as not judged and the call is refused. So is a call that a person would have to answer
#   while its body streams: what was not judged cannot be asked for.
# custom:
#   id: body.not-judged
#   severity: high
#   effect: deny
#   observable: true
#   facts: [request.body.judged, request.body.kind, request.body.size]
#   frameworks:
#     owasp_agentic: [ASI02]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L3, L6]
#     mitre_atlas: [AML.T0053, AML.M0033]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MANAGE 1.3]
#   message: the body of this call could not be judged
#   remediation: Send a smaller body, or catalogue the operation as one that is judged (`args json`).
_body_not_judged := rego.metadata.rule()

deny contains lib.finding(_body_not_judged, {"size": size}) if {
	not body_judged
	size := object.get(input, ["request", "body", "size"], null)
}
