package countersign.call

import data.countersign.lib

# What an agent that asks models and uses APIs may never do, on top of the default policy.

# METADATA
# title: No key is shown to a model
# description: >-
#   A prompt that holds a private key, or what reads as an access key of a cloud or of GitHub, does not leave. A prompt that
#   policy cannot read does not leave either.
# custom:
#   id: first.no-keys-in-prompts
#   severity: critical
#   effect: deny
#   observable: true
#   facts: [request.body, tool.prompt]
#   frameworks:
#     owasp_agentic: [ASI02, ASI03]
#     owasp_nhi: [NHI2]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0086]
#     nist_csf: [PR.DS-10]
#     nist_ai_rmf: [MANAGE 4.1]
#   message: a prompt holds what reads as a key
#   remediation: Leave keys out of prompts; a tool that needs one is lent it.
_first_no_keys := rego.metadata.rule()

_key_pattern := `-----BEGIN [A-Z ]*PRIVATE KEY-----|\bA[KS]IA[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}`

_prompt_is_clean if not regex.match(_key_pattern, json.marshal(input.request.body.parsed))

deny contains lib.finding(_first_no_keys, {}) if {
	input.tool.prompt
	not _prompt_is_clean
}

# METADATA
# title: A person answers before anything is deleted
# description: >-
#   Whatever deletes needs a person, however small its risk is said to be.
# custom:
#   id: first.deletes-need-a-person
#   severity: high
#   effect: ask
#   observable: true
#   facts: [tool.effect]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L4, L6]
#     mitre_atlas: [AML.T0101, AML.M0029]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2, MANAGE 4.1]
#   message: a person must see what would be deleted
#   remediation: Have a person approve it.
_first_deletes := rego.metadata.rule()

ask contains lib.finding(_first_deletes, {}) if input.tool.effect == "delete"
