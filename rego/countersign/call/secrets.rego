package countersign.call

import data.countersign.lib

# Where secrets are read. `decide.settings.secrets` names such places; what is read there is secret for as long as anybody remembers it.

# METADATA
# title: A place of secrets is catalogued as one
# description: >-
#   A call goes to a route or path of secrets by a tool that is neither named as one of secrets nor labelled with one
#   of their data classes, so that nobody would know afterwards that a secret was read.
# custom:
#   id: secrets.unlabelled
#   severity: high
#   effect: deny
#   observable: true
#   facts: [request.path, tool.data, tool.name, tool.route]
#   setting: secrets
#   frameworks:
#     owasp_agentic: [ASI02, ASI03]
#     owasp_nhi: [NHI2, NHI5]
#     csa_maestro: [L2, L4, L6]
#     mitre_atlas: [AML.T0055, AML.T0098, AML.M0028]
#     nist_csf: [PR.AA-05, PR.DS-10]
#     nist_ai_rmf: [MAP 3.3]
#   message: this operation reads secrets and is not catalogued so
#   remediation: Give the tool the data class `secret`, or name it in `decide.settings.secrets.tools`.
_secrets_unlabelled := rego.metadata.rule()

deny contains lib.finding(_secrets_unlabelled, {"tool": object.get(input, ["tool", "name"], null)}) if {
	secrets := data.countersign.settings.secrets
	lib.secret_endpoint(secrets, input)
	not lib.secret_labelled(secrets, input)
}

# METADATA
# title: Secrets are for callers that hold a key
# description: >-
#   Whatever reads secrets is called by mTLS, or with a proof of possession (DPoP), also where its tool does not say
#   `bound`.
# custom:
#   id: secrets.bound
#   severity: high
#   effect: deny
#   observable: false
#   facts: [caller.confirmed, request.path, tool.data, tool.name, tool.route]
#   setting: secrets
#   frameworks:
#     owasp_agentic: [ASI03, ASI07]
#     owasp_nhi: [NHI2, NHI4, NHI7]
#     csa_maestro: [L6, L7]
#     mitre_atlas: [AML.T0055, AML.T0091, AML.M0019]
#     nist_csf: [PR.AA-01, PR.AA-03]
#     nist_ai_rmf: [MAP 4.2]
#   message: secrets are read by callers that prove that they hold a key, by mTLS or DPoP
#   remediation: Give the agent a certificate or a DPoP-bound token.
_secrets_bound := rego.metadata.rule()

deny contains lib.finding(_secrets_bound, {"confirmed": object.get(input, ["caller", "confirmed"], null)}) if {
	secrets := data.countersign.settings.secrets
	secrets.bound == true
	_of_secrets(secrets)
	not _holds_key
}

_holds_key if lib.bound(input.caller)

_of_secrets(secrets) if lib.secret_endpoint(secrets, input)

_of_secrets(secrets) if lib.secret_labelled(secrets, input)

# METADATA
# title: After a secret nothing leaves
# description: >-
#   This task, or what its caller remembers, has read a secret, and the call leaves the house, whatever its destination
#   accepts. Only a further read of a place of secrets may.
# custom:
#   id: secrets.egress
#   severity: critical
#   level: sequence
#   effect: deny
#   observable: true
#   facts: [sequence.steps, task.sensitivity, tool.effect, tool.egress]
#   setting: secrets
#   frameworks:
#     owasp_agentic: [ASI02, ASI03]
#     owasp_nhi: [NHI2, NHI5]
#     csa_maestro: [L2, L4, L6]
#     mitre_atlas: [AML.T0055, AML.T0086, AML.M0030]
#     nist_csf: [PR.DS-01, PR.DS-02, DE.CM-06]
#     nist_ai_rmf: [MEASURE 2.10, MANAGE 4.1]
#   message: nothing leaves after a secret was read
#   remediation: Send it from a task of a caller that reads no secrets, or have a person clear what the caller has read.
_secrets_egress := rego.metadata.rule()

deny contains lib.finding(_secrets_egress, {"egress": egress}) if {
	secrets := data.countersign.settings.secrets
	lib.leaves(input)
	not lib.secret_free(secrets, input)
	not _reads_secret(secrets)
	egress := object.get(input, ["tool", "egress"], null)
}

_reads_secret(secrets) if {
	input.tool.effect == "read"
	_of_secrets(secrets)
}
