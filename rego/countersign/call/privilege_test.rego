package countersign.call_test

import data.countersign.call
import data.countersign.sample

# The task found out who may do what, and was opened before.
_knowing := {"task": {"sensitivity": ["internal", "kind:discovery"]}}

_grant := sample.changed(sample.call, {
	"tool": {"name": "crm.roles.grant", "kind": "privilege", "effect": "write", "risk": "medium", "data": [], "resource": null},
	"request": {"method": "POST", "body": {"kind": "json", "sha256": "ab", "size": 12, "parsed": {}}},
})

_rule := {"sequence.discovery-then-privilege"}

test_a_privilege_is_allowed_while_nothing_was_found_out if {
	denied(_grant) == set()
}

test_a_privilege_is_refused_after_a_discovery_or_a_secret if {
	denied(sample.changed(_grant, _knowing)) == {"sequence.discovery-then-privilege"}
	denied(sample.changed(_grant, {"task": {"sensitivity": ["secret"]}})) == _rule
	some finding in call.deny with input as sample.changed(_grant, _knowing)
	finding.detail == {"tool": "crm.roles.grant", "known": ["kind:discovery"]}
	finding.effect == "deny"
}

test_low_risk_steps_and_further_discovery_go_on_after_a_discovery if {
	denied(sample.changed(sample.call, _knowing)) == set()
	denied(sample.changed(sample.call, sample.changed(_knowing, {"tool": {"kind": "discovery"}}))) == set()
	denied(sample.changed(sample.mail, _knowing)) == set()
	denied(sample.changed(sample.changed(_grant, _knowing), {"tool": {"kind": "routine"}})) == set()
}

test_a_privilege_that_the_task_used_before_goes_on if {
	denied(sample.changed(sample.changed(_grant, _knowing), {"sequence": {"counts": {"crm.roles.grant": 1}}})) == set()
}

_first := {"intent": {"tools": ["crm.roles.grant", "crm.*"]}}

test_a_privilege_that_was_declared_first_before_anything_was_found_out_is_what_the_task_is_for if {
	first := sample.changed(_grant, {"task": object.union(_first, _knowing.task)})
	denied(first) == set()
	denied(sample.changed(first, {"sequence": {"brought": ["kind:discovery"]}})) == _rule
	denied(sample.changed(first, {"sequence": {"brought": ["secret"]}})) == _rule
	denied(sample.changed(first, {"delegation": {"depth": 1}})) == _rule
	denied(sample.without(first, "/sequence/brought")) == _rule
	last := {"task": {"intent": {"tools": ["a", "b", "c", "crm.roles.grant"]}}}
	denied(sample.changed(first, last)) == _rule
}

test_the_order_of_an_implicit_task_is_its_operators if {
	first := sample.changed(_grant, {"task": object.union(_first, _knowing.task), "sequence": {"brought": ["kind:discovery"]}})
	denied(sample.changed(first, {"task": {"implicit": true}})) == set()
}

test_what_is_not_known_opens_no_way if {
	denied(sample.changed(sample.without(_grant, "/tool/kind"), _knowing)) == _rule
	denied(sample.without(_grant, "/task/sensitivity")) == _rule
	denied(sample.changed(sample.without(_grant, "/sequence/counts"), _knowing)) == _rule
	_rule & denied(sample.changed(sample.without(_grant, "/tool/name"), _knowing)) == _rule
}

test_a_discovery_fades_as_data_does if {
	old := sample.changed(_grant, sample.changed(_knowing, {"task": {"inherited": {"kind:discovery": 60}}}))
	denied(old) == set() with data.countersign.settings as {"taint": {"decay": {"kind:discovery": 50}, "overrides": []}}
	denied(old) == _rule with data.countersign.settings as {"taint": {"decay": {"kind:discovery": 70}, "overrides": []}}
}
