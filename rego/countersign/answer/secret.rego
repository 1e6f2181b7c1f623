package countersign.answer

import data.countersign.lib

# Linear patterns, and few of them: they run over the sample of every answer that is read.
_secret_patterns := {
	"private key": `-----BEGIN [A-Z ]{0,24}PRIVATE KEY`,
	"cloud key id": `\b(AKIA|ASIA)[A-Z2-7]{16}\b`,
	"bearer token": `[Bb]earer [A-Za-z0-9._~+/-]{20,}`,
}

# METADATA
# title: An answer that looks like a secret counts as one
# description: >-
#   The sample of the answer holds a private key, the id of a cloud key, or a bearer token. The agent still gets it, and from then on
#   what it sends goes only where secrets are accepted.
# custom:
#   id: answer.secret
#   severity: high
#   effect: obligate
#   observable: false
#   facts: [response.body.sample]
#   frameworks:
#     owasp_agentic: [ASI02, ASI03]
#     owasp_nhi: [NHI2]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0055, AML.T0098, AML.M0033]
#     nist_csf: [PR.DS-01, PR.DS-10]
#     nist_ai_rmf: [MEASURE 2.10]
#   message: the answer holds what looks like a secret
#   remediation: Keep secrets out of what tools answer, mask them (`lib.mask`), or clear what the caller has read.
_answer_secret := rego.metadata.rule()

obligations contains lib.raise(_answer_secret.custom.id, ["secret"]) if {
	some pattern in _secret_patterns
	regex.match(pattern, input.response.body.sample)
}
