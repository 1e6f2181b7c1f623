# METADATA
# scope: package
# title: The agent
# description: Whether the agent may act at all, whatever it asks.
# schemas:
#   - input: schema.input
package countersign.agent

import data.countersign.lib

_duties := ["business", "security", "incident"]

default owned := false

owned if {
	trim_space(input.agent.owners.business) != ""
	trim_space(input.agent.owners.security) != ""
	trim_space(input.agent.owners.incident) != ""
}

default live := false

live if input.agent.lifecycle == "live"

# METADATA
# title: An agent has three owners
# description: No call and no task for an agent that lacks a business owner, a security owner or an incident owner.
# custom:
#   id: owners.missing
#   severity: high
#   effect: deny
#   observable: false
#   facts: [agent.owners]
#   frameworks:
#     owasp_agentic: [ASI03, ASI10]
#     owasp_nhi: [NHI1, NHI9]
#     csa_maestro: [L6]
#     nist_csf: [GV.RR-02, ID.AM-02]
#     nist_ai_rmf: [GOVERN 2.1]
#   message: this agent may not act until people answer for it
#   remediation: Name a business, a security and an incident owner in the agent's registration.
_owners_missing := rego.metadata.rule()

deny contains lib.finding(_owners_missing, {"missing": missing}) if {
	not owned
	missing := [duty | some duty in _duties; not input.agent.owners[duty]]
}

# METADATA
# title: Only a live agent acts
# description: Proposed, approved, suspended and retired agents are refused.
# custom:
#   id: agent.not-live
#   severity: high
#   effect: deny
#   observable: false
#   facts: [agent.lifecycle]
#   frameworks:
#     owasp_agentic: [ASI03, ASI10]
#     owasp_nhi: [NHI1]
#     csa_maestro: [L6]
#     nist_csf: [ID.AM-08]
#     nist_ai_rmf: [GOVERN 1.7]
#   message: this agent is not live
#   remediation: Set the agent's lifecycle to live once its owners have approved it.
_agent_not_live := rego.metadata.rule()

deny contains lib.finding(_agent_not_live, {"lifecycle": object.get(input, ["agent", "lifecycle"], null)}) if not live
