package countersign.call_test

import data.countersign.call
import data.countersign.sample

# Whether an approval, changed a little, is enough for a call of high risk under some settings.
enough(change, settings) if {
	document := sample.changed(sample.call, {"tool": {"risk": "high"}, "approval": sample.changed(sample.approval, change)})
	call.approved with input as document with data.countersign.settings as settings
}

who(row) := {"approvals": {"who": [row]}}

two := {"by": ["person:ada", "person:ben"], "groups": {"person:ada": ["group:approvers"], "person:ben": ["group:finance"]}}

test_one_answer_of_whoever_is_enough_by_default if enough({}, {})

test_nothing_was_answered_without_an_approval if {
	not call.approved with input as sample.call
	not call.approved with input as sample.changed(sample.call, {"approval": {}})
	not call.approved with input as {}
}

test_an_answer_that_is_late_or_used_up_counts_no_more if {
	not enough({"expires": 1000}, {})
	not enough({"used": 1}, {})
	enough({"kind": "objective", "used": 4, "calls": 5}, {})
	not enough({"kind": "objective", "used": 5, "calls": 5}, {})
	not enough({"kind": "other"}, {})
}

test_who_answers_is_held_to_who_must_as_policy_stands_now if {
	enough({}, who({"approvers": ["group:approvers"]}))
	enough({}, who({"approvers": ["person:ada"]}))
	not enough({}, who({"approvers": ["group:finance"]}))
	not enough({}, who({}))
	enough({}, who({"risks": ["critical"], "approvers": ["group:finance"]}))
}

test_as_many_people_as_must_answer_are_counted_among_those_who_may if {
	not enough({}, who({"approvers": ["group:approvers"], "quorum": 2}))
	not enough(two, who({"approvers": ["group:approvers"], "quorum": 2}))
	enough(two, who({"approvers": ["group:approvers", "group:finance"], "quorum": 2}))
	not enough(two, who({"approvers": ["group:approvers"], "quorum": 0}))
}

test_the_first_row_that_concerns_the_call_says_who if {
	rows := {"approvals": {"who": [
		{"tools": ["mail.*"], "approvers": ["group:mail"]},
		{"risks": ["high"], "approvers": ["group:finance"], "quorum": 2, "ttl": 60000},
		{"approvers": ["group:all"]},
	]}}
	demanded := call.demand with input as sample.changed(sample.call, {"tool": {"risk": "high"}})
		with data.countersign.settings as rows
	demanded == {"approvers": ["group:finance"], "quorum": 2, "ttl": 60000}
}

test_whoever_breaks_the_glass_answers_for_it if {
	enough({"break_glass": true, "by": ["person:eve"], "groups": {}}, who({"approvers": ["group:finance"], "quorum": 2}))
	not enough({"break_glass": true, "expires": 1000}, {})
}

objective(risk, settings) if {
	document := sample.changed(sample.call, {
		"tool": {"risk": risk},
		"approval": sample.changed(sample.approval, {"kind": "objective", "calls": 5}),
	})
	call.approved with input as document with data.countersign.settings as settings
}

test_no_objective_answers_what_needs_an_answer_of_its_own if {
	objective("high", {})
	not objective("critical", {})
	not objective("high", {"approvals": {"single": ["risk.high-needs-person"]}})
	objective("high", {"approvals": {"single": ["another.rule"]}})
	severe := {"rule": "acme.severe", "severity": "critical"}
	not objective_beside({severe})
	objective_beside({object.union(severe, {"severity": "high"})})
}

objective_beside(findings) if {
	document := sample.changed(sample.call, {"approval": sample.changed(sample.approval, {"kind": "objective"})})
	call.approved with input as document with call.ask as findings
}

test_a_row_about_tasks_is_about_no_call if enough({}, who({"tasks": ["open", "resume"], "approvers": ["group:finance"]}))
