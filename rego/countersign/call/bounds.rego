package countersign.call

import data.countersign.lib

default within_bounds := false

within_bounds if {
	is_array(input.agent.bounds)
	every bound in input.agent.bounds {
		_kept(bound)
	}
}

_kept(bound) if {
	every listed in [bound.data, bound.tools, bound.effects] {
		is_array(listed)
	}
	not lib.any_matches(bound.tools, input.tool.name)
	not input.tool.effect in bound.effects
	every class in input.tool.data {
		not class in bound.data
	}
}

# Who put out of bounds what this call is or touches.
bounded_by := [object.get(bound, "by", null) | some bound in input.agent.bounds; not _kept(bound)]

# METADATA
# title: What legal or compliance put out of bounds is refused
# description: >-
#   The reviewers of an agent say which data classes, tools and kinds of action it may never touch. No intent, no approval
#   and no budget makes room for them.
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

deny contains lib.finding(_agent_out_of_bounds, bounds_detail) if not within_bounds

bounds_detail := {"by": bounded_by, "tool": object.get(input, ["tool", "name"], null)}
