package countersign.lib_test

import data.countersign.lib

test_a_pattern_matches_itself_and_what_its_star_stands_for if {
	lib.matches("crm.customer.read", "crm.customer.read")
	lib.matches("crm.*", "crm.customer.read")
	lib.matches("*", "crm.customer.read")
	lib.matches("customer:*", "customer:")
}

test_a_pattern_matches_nothing_else if {
	not lib.matches("crm.customer.read", "crm.customer.reader")
	not lib.matches("crm.*", "crm")
	not lib.matches("c*m.read", "crm.read")
	not lib.matches("", "crm")
	not lib.matches("x", null)
	not lib.matches("*", null)
}

test_an_asked_pattern_is_within_a_granted_one_that_is_wider if {
	lib.any_matches(["a.b.*"], "a.b.*")
	lib.any_matches(["x", "a.*"], "a.b.*")
	not lib.any_matches(["a.b.*"], "a.*")
	not lib.any_matches(["a.b"], "a.b*")
	not lib.any_matches([], "a")
}

test_patterns_taken_apart_cover_what_they_match if {
	granted := lib.taken_apart(["x", "a.*", "b*"])
	every name in ["x", "a.*", "a.b", "a.b.*", "b", "bc*", "y", "a", "a*", "*", "xx", null] {
		covered := [name | lib.covers(granted, name)]
		matched := [name | lib.any_matches(["x", "a.*", "b*"], name)]
		covered == matched
	}
}

test_classes_beyond_what_is_allowed if {
	lib.beyond(["public", "internal", "personal"], ["internal"]) == {"personal"}
	lib.beyond(["public"], null) == set()
	lib.beyond(["internal"], null) == {"internal"}
}

test_deny_beats_ask_beats_allow_and_nothing_goes_without_every_condition if {
	lib.effect(set(), set(), true) == "allow"
	lib.effect(set(), {"a"}, true) == "ask"
	lib.effect({"d"}, {"a"}, true) == "deny"
	lib.effect(set(), set(), false) == "deny"
	lib.effect(set(), {"a"}, false) == "deny"
	lib.effect(set(), set(), "true") == "deny"
}

test_a_finding_without_frameworks_has_no_controls if lib.controls({}) == []

test_a_rule_that_is_told_of_poorly_refuses_all_the_same if {
	worst := {"severity": "critical", "effect": "deny", "observable": false, "controls": [], "detail": {"a": 1}}
	said := {"rule": "policy.unnamed", "message_agent": "a rule of policy refuses this"}
	every meta in [{}, {"custom": {}}, {"title": "t"}] {
		lib.finding(meta, {"a": 1}) == object.union(worst, said)
	}
	lib.finding({"custom": {"id": "acme.mail", "effect": "ask"}}, {"a": 1}) == object.union(
		object.union(worst, said),
		{"rule": "acme.mail", "effect": "ask"},
	)
}

test_a_decision_carries_its_obligations_in_order if {
	obligations := {lib.obligation("b", "revoke_leases", {}), lib.obligation("a", "notify", {"to": "ledger", "message": "m"})}
	lib.obliging("allow", set(), obligations).obligations == [
		{"id": "a", "type": "notify", "properties": {"to": "ledger", "message": "m"}},
		{"id": "b", "type": "revoke_leases", "properties": {}},
	]
	lib.decision("allow", set()).obligations == []
}
