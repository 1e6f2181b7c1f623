package countersign.lib_test

import data.countersign.lib

_said(observable, more) := object.union({"rule": "a.b", "observable": observable}, more)

_forbidden := _said(false, {})

_in_sequence := _said(true, {"level": "sequence"})

_in_context := _said(true, {})

_ruled(deny, defer, ask, holds) := lib.precedence({"deny": deny, "defer": defer, "ask": ask}, holds)

# The table of docs/defer.md, from the strongest on: what is said, whether every condition holds, and what comes of it.
_table := [
	[{_forbidden, _in_context}, {_in_context}, {_in_context}, true, "deny"],
	[{_forbidden}, {_in_context}, set(), false, "deny"],
	[{_in_sequence}, {_in_context}, {_in_context}, true, "deny"],
	[{_in_sequence, _in_context}, set(), set(), true, "deny"],
	[{_in_context}, {_in_context}, {_in_context}, true, "defer"],
	[{_in_context}, {_in_context}, set(), false, "defer"],
	[set(), {_in_context}, {_in_context}, true, "defer"],
	[set(), {_in_context}, set(), false, "defer"],
	[{_in_context}, set(), {_in_context}, true, "deny"],
	[{_in_context}, set(), set(), false, "deny"],
	[set(), set(), {_in_context}, true, "ask"],
	[set(), set(), {_in_context}, false, "deny"],
	[set(), set(), set(), true, "allow"],
	[set(), set(), set(), false, "deny"],
	[set(), set(), set(), "yes", "deny"],
]

test_forbidden_then_sequence_then_defer_then_context_then_ask_then_what_nothing_allowed if {
	every row in _table {
		_ruled(row[0], row[1], row[2], row[3]) == row[4]
	}
}

test_findings_that_are_no_sets_deny if {
	lib.precedence({}, true) == "deny"
	lib.precedence({"deny": set(), "defer": {_in_context}}, true) == "defer"
	lib.precedence({"defer": {_in_context}}, true) == "deny"
}

test_a_finding_says_its_level_and_its_priority_where_its_rule_does if {
	lib.finding({"custom": {"level": "sequence", "priority": 2}}, {}).level == "sequence"
	lib.finding({"custom": {"level": "sequence", "priority": 2}}, {}).priority == 2
	plain := lib.finding({"custom": {"priority": "high"}}, {})
	not plain.level
	not plain.priority
}

_ranked(denial, priorities) := lib.weighed({denial}, [{"lifts": ["a.*"], "priority": priority} | some priority in priorities])

test_the_higher_priority_lifts_the_same_conflicts_and_a_lower_one_does_nothing if {
	_ranked(_in_context, [1]) == {"lifted": {_in_context}, "conflicting": set()}
	_ranked(_in_context, [0, -1]) == {"lifted": set(), "conflicting": {_in_context}}
	_ranked(_in_context, [0, 1]) == {"lifted": {_in_context}, "conflicting": set()}
	_ranked(_in_context, [-1]) == {"lifted": set(), "conflicting": set()}
	_ranked(_in_context, []) == {"lifted": set(), "conflicting": set()}
	high := _said(true, {"priority": 5})
	_ranked(high, [5]) == {"lifted": set(), "conflicting": {high}}
}

test_nothing_lifts_what_is_forbidden_or_about_a_sequence_or_another_rule if {
	_ranked(_forbidden, [9]) == {"lifted": set(), "conflicting": set()}
	_ranked(_in_sequence, [9]) == {"lifted": set(), "conflicting": set()}
	_ranked(_said(true, {"rule": "b.a"}), [9]) == {"lifted": set(), "conflicting": set()}
}

test_a_rule_waits_for_what_it_declares_and_false_is_there if {
	meta := {"custom": {"id": "acme.scanned", "requires": ["signals.scan.value", "tool.name", "approval.at"]}}
	given := {"signals": {"scan": {"value": false}}, "tool": {"name": "a"}, "approval": {"at": 0}}
	lib.missing(meta, given) == []
	lib.missing(meta, {"signals": {}, "tool": {"name": null}, "approval": null}) == ["signals.scan.value", "tool.name", "approval.at"]
	lib.missing({"custom": {}}, {}) == []
	waiting := lib.waiting(meta, ["signals.scan.value"])
	waiting.effect == "defer"
	waiting.rule == "acme.scanned"
	waiting.detail == {"missing": ["signals.scan.value"]}
}
