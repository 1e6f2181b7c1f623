# METADATA
# scope: package
# title: One call
# description: What one call must satisfy. Every file names its positive conditions; `holds` is all of them together.
# schemas:
#   - input: schema.input
#   - data.countersign.settings: schema.settings
package countersign.call

import data.countersign.lib

default task_active := false

task_active if {
	input.task.state == "active"
	input.context.now < input.task.expires
}

default delegated := false

delegated if input.delegation.verified == true

# METADATA
# title: Only an active task carries calls
# description: A call rides on a task that is active and has not expired by the clock of this call.
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
#   remediation: Open a new task, or resume the paused one.
_task_not_active := rego.metadata.rule()

deny contains lib.finding(_task_not_active, {"state": object.get(input, ["task", "state"], null)}) if not task_active

# METADATA
# title: A delegation is proven
# description: Whoever handed the task on did so in a chain that was verified before policy.
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

deny contains lib.finding(_delegation_unverified, {"root": object.get(input, ["delegation", "root"], null)}) if not delegated
