# METADATA
# scope: package
# title: Countersign
# description: The entrypoints of the default policy. Default deny; deny beats ask beats allow.
# schemas:
#   - input: schema.input
package countersign

import data.countersign.agent
import data.countersign.call
import data.countersign.lib

# METADATA
# title: The decision on one call
# description: Takes input v1 of one call and gives decision v1.
# entrypoint: true
decision := _decision(_effect) if _effect != "ask"

decision := object.union(_decision("ask"), {"approval": _approval}) if _effect == "ask"

_decision(effect) := lib.labelled(lib.obliging(effect, _findings, call.obligations), call.labels)

_findings := _denials | _asks

_effect := lib.effect(_denials, _asks, _holds)

# What a person still has to answer. An answer never stands against a denial.
_asks := call.ask if call.approved == false

_asks := set() if call.approved == true

default _holds := false

_holds if {
	agent.owned
	agent.live
	call.holds
}

_denials := (agent.deny | call.deny) | _unexplained

# Who must answer, and what the answer is bound to. A change of any of it is another call.
_approval := object.union(call.demand, {"objective": call.needs_own == false, "bind": _bound})

_bound := [
	"/caller/spiffe_id",
	"/delegation/root",
	"/request/body/sha256",
	"/request/host",
	"/request/method",
	"/request/path",
	"/request/query",
	"/task/id",
	"/tool/name",
	"/tool/resource",
	"/tool/route",
]

# METADATA
# title: Nothing allowed it
# description: A call that no rule refused but whose input does not meet every condition, such as an unknown risk.
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
#   message: no rule allows this call
#   remediation: Compare the input of the call with rego/schemas/input.json.
_default_deny := rego.metadata.rule()

_unexplained contains lib.finding(_default_deny, {}) if {
	not _holds
	count(agent.deny) == 0
	count(call.deny) == 0
}
