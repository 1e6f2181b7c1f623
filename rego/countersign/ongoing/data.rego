package countersign.ongoing

import data.countersign.lib

# METADATA
# title: Nothing more goes out once more was read than may
# description: >-
#   An upload that was begun in innocence could carry what its agent read since. While its agent writes on to a partner or the
#   public, what the task or its caller has read by now must be accepted there. So must it for a lease that writes or sends.
# custom:
#   id: data.beyond-destination
#   severity: critical
#   effect: deny
#   observable: true
#   facts: [task.sensitivity, tool.accepts, tool.data, tool.effect, tool.egress, work.sending]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L2, L5, L6]
#     mitre_atlas: [AML.T0086, AML.M0030]
#     nist_csf: [PR.DS-01, PR.DS-02, DE.CM-06]
#     nist_ai_rmf: [MEASURE 2.10, MANAGE 4.1]
#   message: this destination may not receive what was read since
#   remediation: Have the destination approved for the data class (`accepts`), or send before anything is read that it may not have.
_data_beyond_destination := rego.metadata.rule()

deny contains lib.finding(_data_beyond_destination, {"egress": egress, "beyond": classes}) if {
	not data_received
	egress := object.get(input, ["tool", "egress"], null)
	carried := array.concat(
		[class | some class in input.task.sensitivity],
		[class | input.tool.effect != "read"; some class in input.tool.data],
	)
	classes := lib.few(lib.beyond(carried, object.get(input, ["tool", "accepts"], null)))
}

# METADATA
# title: A sensitive tool keeps asking for a caller that holds a key
# description: A tool that became `bound` goes on with callers that proved a key when they called.
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

deny contains lib.finding(_caller_bound, {"confirmed": object.get(input, ["caller", "confirmed"], null)}) if {
	not caller_bound
}
