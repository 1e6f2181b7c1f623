package countersign.call

import data.countersign.lib

# A tool that does not say whether it asks for a bound caller asks for one.
default caller_bound := false

caller_bound if {
	input.tool.bound == false
} else if {
	lib.bound(input.caller)
}

# METADATA
# title: A sensitive tool needs a caller that holds a key
# description: >-
#   A bearer token serves whoever holds it. A tool that is `bound` is called by mTLS, or with a proof of possession (DPoP)
#   of the key that the token was issued to, so that a token that leaked is worth nothing there.
# custom:
#   id: caller.bound
#   severity: high
#   effect: deny
#   observable: false
#   facts: [caller.confirmed, tool.bound]
#   frameworks:
#     owasp_agentic: [ASI03, ASI07]
#     owasp_nhi: [NHI2, NHI4]
#     csa_maestro: [L6, L7]
#     mitre_atlas: [AML.T0012, AML.T0091, AML.M0019]
#     nist_csf: [PR.AA-03, PR.AA-04]
#     nist_ai_rmf: [MAP 4.2]
#   message: this tool needs a caller that proves that it holds a key, by mTLS or DPoP
#   remediation: Give the agent a certificate or a DPoP-bound token, or take `bound` from the tool.
_caller_bound := rego.metadata.rule()

deny contains lib.finding(_caller_bound, {"confirmed": object.get(input, ["caller", "confirmed"], null)}) if not caller_bound
