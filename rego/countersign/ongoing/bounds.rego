package countersign.ongoing

import data.countersign.call
import data.countersign.lib

# METADATA
# title: What was put out of bounds is not gone on with
# description: Reviewers changed what is out of bounds, or a tool was labelled anew; streams and leases that fall under it end.
# custom:
#   id: agent.out-of-bounds
#   severity: critical
#   effect: deny
#   observable: false
#   facts: [agent.bounds, tool.data, tool.effect, tool.name]
#   frameworks:
#     owasp_agentic: [ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     nist_csf: [PR.AA-05, GV.RR-02]
#     nist_ai_rmf: [GOVERN 2.1, MAP 3.3]
#   message: this is out of bounds for this agent
#   remediation: Ask the reviewer that the record names; the bounds stand under `reviewers` in the agent's registration.
_agent_out_of_bounds := rego.metadata.rule()

deny contains lib.finding(_agent_out_of_bounds, call.bounds_detail) if not call.within_bounds
