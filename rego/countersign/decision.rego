# METADATA
# scope: package
# title: Countersign
# description: The entrypoints of the default policy. Default deny; docs/defer.md has the order of what rules say.
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
decision := object.union(_decision, _more) if {
	_more
} else := _decision

_decision := lib.labelled(lib.obliging(_effect, _findings, call.obligations), _labels)

# What only some effects have.
_more := {"approval": _approval} if _effect == "ask"

_more := {"deferral": _deferral} if _effect == "defer"

_findings := (_denials | _defers) | _asks

_effect := lib.precedence({"deny": _denials, "defer": _defers, "ask": _asks}, _holds)

# What a person still has to answer. An answer never stands against a denial.
_asks := call.ask if call.approved == false

_asks := set() if call.approved == true

default _holds := false

_holds if {
	agent.owned
	agent.live
	call.holds
}

_denials := _standing | _unexplained

_all_denials := agent.deny | call.deny

_standing := _all_denials - _weighed.lifted if {
	_excepted
} else := _all_denials

# No exception widens what a task is for. False is looked up, undefined is worked out again.
default _excepted := false

_excepted if {
	count(call.excepting) > 0
	_holds
}

_weighed := lib.weighed(_all_denials, call.excepting)

_defers := call.defer | _conflicts

# METADATA
# title: Two rules of the same priority disagree
# description: >-
#   An exception that counts for the call and a rule that denies it have the same priority: neither wins, and the call waits until the facts
#   or the policy say more. `priority` in the exception, or in the annotation of the rule, decides it.
# custom:
#   id: conflict.equal
#   severity: high
#   effect: defer
#   observable: true
#   facts: [context.now, sequence.steps, tool.name]
#   setting: exceptions
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MANAGE 1.3]
#   message: two rules disagree about this call
#   remediation: Give the exception, or the rule, a higher priority.
_conflict_equal := rego.metadata.rule()

_conflicts contains lib.finding_as(_conflict_equal, "defer", {"rules": lib.few({denial.rule | some denial in _weighed.conflicting})}) if {
	_excepted
	count(_weighed.conflicting) > 0
}

# What is waited for, and the most that policy waits, ms.
_deferral := object.union(
	{
		"missing": sort({path | some finding in _defers; some path in finding.detail.missing}),
		"conflicts": sort({rule | some finding in _defers; some rule in finding.detail.rules}),
	},
	{"ttl": min(ttls) | ttls := {finding.detail.ttl | some finding in _defers}; count(ttls) > 0},
)

_labels := object.union(call.labels, {"exception.lifted": substring(concat("; ", _lifted), 0, 128)}) if {
	_excepted
	_lifted
} else := call.labels

_lifted := sort({why |
	some denial in _weighed.lifted
	some row in call.excepting
	lib.any_matches(row.lifts, denial.rule)
	why := sprintf("%v by %v until %v %v", [denial.rule, row.by, row.until, row.reason])
}) if {
	_excepted
	count(_weighed.lifted) > 0
}

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
	count(_all_denials) == 0
	count(_defers) == 0
}
