# METADATA
# scope: package
# title: Open work
# description: >-
#   What a stream or a lease must satisfy to go on when a fact that it rests on changed. The conditions are those of a call, on the
#   facts as they are now: nothing goes on that would not be begun.
# schemas:
#   - input: schema.continue
package countersign.ongoing

import data.countersign.call
import data.countersign.lib

_kinds := {"stream", "lease"}

# A paused task makes no call, so its streams end; it keeps its leases, for it may be resumed.
default task_live := false

task_live if call.task_active

task_live if {
	input.kind == "lease"
	input.task.state == "paused"
	input.context.now < input.task.expires
}

default lease_live := false

lease_live if input.kind == "stream"

lease_live if input.context.now < input.lease.expires

# Which resource a lease is used for, each call says anew.
default resource_intended := false

resource_intended if input.kind == "lease"

resource_intended if call.resource_intended

# What was read can leave only where something is yet to be written: on a stream whose request is not all here, and with a lease
# that is used for more than reading.
default data_received := false

data_received if {
	input.kind == "stream"
	input.work.sending == false
}

data_received if {
	input.kind == "lease"
	input.tool.effect == "read"
}

data_received if call.data_received

# How its caller proved itself, a lease does not say; each call that uses it does.
default caller_bound := false

caller_bound if input.kind == "lease"

caller_bound if call.caller_bound

# METADATA
# title: Every positive condition of open work
# description: What must be true for a stream or a lease to go on.
default holds := false

holds if {
	input.v == 1
	input.kind in _kinds
	task_live
	lease_live
	call.delegated
	call.catalogued
	call.tool_intended
	resource_intended
	call.data_intended
	call.egress_intended
	data_received
	caller_bound
	call.within_bounds
}

# METADATA
# title: Work ends with its task
# description: A stream goes on while its task is active, a lease while its task is active or paused, and neither past its expiry.
# custom:
#   id: task.not-active
#   severity: high
#   effect: deny
#   observable: false
#   facts: [task.state, task.expires, context.now]
#   frameworks:
#     owasp_agentic: [ASI01, ASI03]
#     owasp_nhi: [NHI1]
#     csa_maestro: [L3, L6]
#     nist_csf: [PR.AA-04]
#     nist_ai_rmf: [MAP 3.3]
#   message: the task of this call is not active
#   remediation: Open a new task, or resume the paused one and make the call again.
_task_not_active := rego.metadata.rule()

deny contains lib.finding(_task_not_active, {"state": object.get(input, ["task", "state"], null)}) if not task_live

# METADATA
# title: A lease ends with its time
# description: A lease that has expired is taken back, whoever still holds it.
# custom:
#   id: lease.expired
#   severity: medium
#   effect: deny
#   observable: false
#   facts: [lease.expires, context.now]
#   frameworks:
#     owasp_agentic: [ASI03]
#     owasp_nhi: [NHI7]
#     csa_maestro: [L6]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MANAGE 4.1]
#   message: the credential of this call has expired
#   remediation: Nothing has to be done; the next call is lent a fresh one.
_lease_expired := rego.metadata.rule()

deny contains lib.finding(_lease_expired, {"expires": object.get(input, ["lease", "expires"], null)}) if {
	input.kind == "lease"
	not lease_live
}

# METADATA
# title: A delegation stays proven
# description: Whoever handed the task on did so in a chain that was verified.
# custom:
#   id: delegation.unverified
#   severity: high
#   effect: deny
#   observable: false
#   facts: [delegation.verified]
#   frameworks:
#     owasp_agentic: [ASI03, ASI07]
#     owasp_nhi: [NHI9]
#     csa_maestro: [L7]
#     mitre_atlas: [AML.T0053]
#     nist_csf: [PR.AA-04, PR.AA-05]
#     nist_ai_rmf: [GOVERN 3.2]
#   message: the delegation of this task is not proven
#   remediation: Hand the task on through Countersign, so that each step of the chain is signed.
_delegation_unverified := rego.metadata.rule()

deny contains lib.finding(_delegation_unverified, {"root": object.get(input, ["delegation", "root"], null)}) if {
	not call.delegated
}

# METADATA
# title: Work goes on while its tool is catalogued
# description: A tool that was taken from the catalogue is worked with no longer.
# custom:
#   id: tool.uncatalogued
#   severity: high
#   effect: deny
#   observable: true
#   facts: [tool.catalogued]
#   frameworks:
#     owasp_agentic: [ASI02]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L3, L7]
#     mitre_atlas: [AML.T0053, AML.M0028]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MAP 3.3]
#   message: this operation is not in the catalogue
#   remediation: Describe the operation as a tool of its route.
_tool_uncatalogued := rego.metadata.rule()

deny contains lib.finding(_tool_uncatalogued, {"route": object.get(input, ["tool", "route"], null)}) if not call.catalogued

# METADATA
# title: Nothing let it go on
# description: Open work that no rule refused but whose input does not meet every condition, such as an unknown kind.
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
#   message: no rule lets this go on
#   remediation: Compare the input of the open work with rego/schemas/continue.json.
_default_deny := rego.metadata.rule()

unexplained := {lib.finding(_default_deny, {})}
