package countersign.call_test

import data.countersign.call
import data.countersign.sample

budget(change) := sample.changed(sample.call, {"task": {"budget": change}})

test_a_budget_is_spent_to_its_limit_and_no_further if {
	denied(budget({"spent": {"calls": 4}})) == set()
	denied(budget({"spent": {"calls": 5}})) == {"budget.exceeded"}
	denied(budget({"debit": {"eur": 100}})) == set()
	denied(budget({"debit": {"eur": 100.01}})) == {"budget.exceeded"}
	denied(budget({"debit": {"eur": 60}, "spent": {"eur": 41}})) == {"budget.exceeded"}
}

test_the_meters_that_are_beyond_are_told if {
	some finding in call.deny with input as budget({"debit": {"eur": 101, "tokens": 1}})
	finding.detail == {"meters": ["eur", "tokens"]}
}

test_a_meter_that_nobody_limited_is_not_spent if {
	denied(budget({"debit": {"tokens": 1}})) == {"budget.exceeded"}
}

test_calls_are_counted_whether_or_not_they_are_limited if {
	document := sample.without(sample.call, "/task/budget/limit/calls")
	denied(document) == set()
	denied(sample.changed(document, {"task": {"budget": {"debit": {"calls": 2}}}})) == {"budget.exceeded"}
}

test_a_negative_amount_does_not_refill_a_budget if {
	denied(budget({"debit": {"eur": -1}})) == {"budget.exceeded"}
	denied(budget({"debit": {"eur": "1"}})) == {"budget.exceeded"}
}

test_a_budget_must_be_known if {
	denied(sample.without(sample.call, "/task/budget")) == {"budget.exceeded"}
	denied(sample.without(sample.call, "/task/budget/limit")) == {"budget.exceeded"}
	denied(sample.without(sample.call, "/task/budget/spent")) == {"budget.exceeded"}
}
