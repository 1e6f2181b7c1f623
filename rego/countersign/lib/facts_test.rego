package countersign.lib_test

import data.countersign.lib

past := {
	"tool": {"name": "z"},
	"sequence": {"step": 9, "steps": {"a.x": [1, 8], "b": [3, 3], "c": [5, 5]}, "counts": {"a.x": 2}, "repeats": 2},
}

of(tool) := object.union(past, {"tool": {"name": tool}})

folded := {"tool": {"name": "z"}, "sequence": {"step": 9, "steps": {"*": [1, 9]}}}

test_what_surely_came_before_came_before if {
	lib.after(past, "a.*")
	lib.after_within(past, "a.*", 2)
	not lib.after_within(past, "b", 6)
	lib.after_within(past, "b", 7)
	not lib.after(past, "d")
	not lib.after(folded, "*")
	not lib.after_within(folded, "*", 9)
	not lib.after({}, "a.*")
}

test_what_surely_did_not_come_yet_did_not if {
	lib.before(past, "d")
	not lib.before(past, "a.x")
	not lib.before(folded, "d")
	not lib.before({}, "d")
}

test_a_chain_of_four_is_never_missed if {
	lib.chain(past, ["a.*", "b", "c", "z"], null)
	lib.chain(past, ["b", "a.*", "z"], null)
	lib.chain(folded, ["b", "a.*", "z"], null)
	not lib.chain(past, ["c", "b", "z"], null)
	not lib.chain(of("y"), ["a.*", "z"], null)
}

test_a_chain_within_so_many_calls if {
	lib.chain(past, ["b", "c", "z"], 8)
	not lib.chain(past, ["b", "c", "z"], 7)
}

test_a_chain_of_which_nothing_is_known_is_one if {
	lib.chain({"tool": {"name": "z"}}, ["b", "z"], null)
	lib.chain({"tool": {"name": "z"}, "sequence": {"steps": {}}}, ["b", "z"], null)
	lib.chain({"tool": {"name": "z"}, "sequence": {"steps": {}}}, ["b", "z"], 3)
}

test_first_calls_and_repeats if {
	lib.first_seen(of("b"))
	not lib.first_seen(of("a.x"))
	lib.first_seen({})
	lib.repeats(past, 2)
	not lib.repeats(past, 3)
	lib.repeats({}, 3)
}

test_the_age_of_a_class_is_that_of_its_latest_read if {
	call := {"sequence": {"sources": {"a": {"tool": "t", "ago": 5, "step": 1, "only": true}}}, "task": {"inherited": {}}}
	lib.age(object.union(call, {"task": {"inherited": {"a": 3}}}), "a") == 3
	lib.age(call, "a") == 5
	not lib.age(call, "b")
}

test_what_stays_in_the_house_is_known_to_stay if {
	not lib.leaves({"tool": {"egress": "internal"}})
	lib.leaves({"tool": {"egress": "partner"}})
	lib.leaves({})
}

at(now) := {"context": {"now": now}}

test_during_a_span if {
	not lib.during(at(4), 5, 9)
	lib.during(at(5), 5, 9)
	lib.during(at(8), 5, 9)
	not lib.during(at(9), 5, 9)
	lib.during(at(null), 5, 9)
	lib.during({}, 5, 9)
}

# Sunday, 25 October 2026, when the clocks of Berlin go back at 01:00 UTC.
berlin := [[1774746000000, 120], [1792890000000, 60]]

test_a_zone_keeps_summer_time if {
	lib.offset(berlin, 1792889999999) == 120
	lib.offset(berlin, 1792890000000) == 60
	not lib.offset(berlin, 0)
	lib.minute_of_day(1792889999999, 120) == 179
	lib.minute_of_day(1792890000000, 60) == 120
	lib.weekday(1792890000000, 60) == 7
	lib.weekday(0, 0) == 4
}

test_hours_are_kept_on_the_clocks_of_the_zone if {
	eight_to_six := {"days": [1, 2, 3, 4, 5], "from": 480, "until": 1080, "zone": berlin}

	# Monday 07:00 and 06:59 UTC, at winter time
	not lib.closed(at(1792998000000), eight_to_six)
	lib.closed(at(1792997940000), eight_to_six)

	# Sunday at noon
	lib.closed(at(1792929600000), eight_to_six)
	lib.closed(at(0), eight_to_six)
}

test_hours_over_midnight_belong_to_the_day_they_began if {
	night := {"days": [7], "from": 1320, "until": 360, "zone": [[0, 0]]}

	# Sunday 23:00, Monday 05:00, Monday 23:00, Sunday 05:00
	not lib.closed(at(1792969200000), night)
	not lib.closed(at(1792990800000), night)
	lib.closed(at(1793055600000), night)
	lib.closed(at(1792904400000), night)
}

test_a_row_is_about_every_call_that_it_does_not_surely_spare if {
	call := {"tool": {"name": "a.b", "effect": "read", "risk": "low", "egress": "internal"}, "agent": {"autonomy": "bounded"}, "context": {"environment": "test"}}
	lib.concerns({}, call)
	lib.concerns({"tools": ["a.*"], "effects": ["read"], "environments": ["test"]}, call)
	every row in [{"tools": ["b"]}, {"effects": ["send"]}, {"risks": ["high"]}, {"egress": ["public"]}, {"autonomy": ["autonomous"]}, {"environments": ["x"]}] {
		not lib.concerns(row, call)
		lib.concerns(row, {})
	}
}

test_shares_of_a_budget if {
	call := {"task": {"budget": {"limit": {"eur": 10, "none": 0}, "spent": {"eur": 5}, "debit": {"eur": 3, "none": 1}}}}
	lib.share(call, "eur") == 0.8
	lib.nearly_spent(call, "eur", 0.7)
	not lib.nearly_spent(call, "eur", 0.8)
	lib.nearly_spent(call, "none", 0.5)
	not lib.nearly_spent(call, "calls", 0.5)
	lib.large(call, "eur", 2)
	lib.large({}, "eur", 2)
}

test_an_intent_narrows_another_in_everything if {
	outer := {"tools": ["a.*"], "resources": ["r:*"], "data": ["internal"], "egress": ["internal"]}
	lib.narrows({"tools": ["a.b"], "resources": [], "data": ["public"], "egress": []}, outer)
	every change in [{"tools": ["b"]}, {"resources": ["*"]}, {"data": ["secret"]}, {"egress": ["public"]}, {"tools": null}, {"data": null}, {"egress": null}] {
		not lib.narrows(object.union(outer, change), outer)
	}
}
