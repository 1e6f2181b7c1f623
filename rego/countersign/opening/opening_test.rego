package countersign.opening_test

import data.countersign.opening
import data.countersign.sample

asking(change) := sample.changed(sample.opening, {"task": {"intent": change}})

denied(document) := {finding.rule | some finding in opening.deny with input as document}

detail(document) := {finding.rule: finding.detail | some finding in opening.deny with input as document}

test_a_task_within_its_agent_holds if {
	opening.holds with input as sample.opening
	denied(sample.opening) == set()
}

test_tools_beyond_the_agent_are_refused if {
	detail(asking({"tools": ["crm.order.read", "erp.*"]})) == {"intent.tool": {"tools": ["erp.*"]}}
	denied(asking({"tools": ["*"]})) == {"intent.tool"}
	denied(asking({"tools": null})) == {"intent.tool"}
	denied(sample.without(sample.opening, "/agent/intent/tools")) == {"intent.tool"}
}

test_resources_beyond_the_agent_are_refused if {
	detail(asking({"resources": ["customer:1", "order:*"]})) == {"intent.resource": {"resources": ["order:*"]}}
	denied(asking({"resources": null})) == {"intent.resource"}
}

test_data_beyond_the_agent_is_refused if {
	detail(asking({"data": ["secret", "public"]})) == {"intent.data": {"data": ["secret"]}}
	not opening.holds with input as asking({"data": null})
	not opening.holds with input as sample.without(sample.opening, "/agent/intent/data")
}

test_destinations_beyond_the_agent_are_refused if {
	detail(asking({"egress": ["internal", "public"]})) == {"intent.egress": {"egress": ["public"]}}
	denied(asking({"egress": null})) == {"intent.egress"}
}

test_a_budget_beyond_the_agent_is_refused if {
	detail(asking({"budget": {"eur": 101}})) == {"intent.budget": {"meters": ["eur"]}}
	detail(asking({"budget": {"tokens": 1}})) == {"intent.budget": {"meters": ["tokens"]}}
	denied(asking({"budget": {"eur": -1}})) == {"intent.budget"}
	denied(asking({"budget": null})) == {"intent.budget"}
	denied(sample.without(sample.opening, "/agent/intent/budget")) == {"intent.budget"}
}

test_a_task_may_limit_calls_where_its_agent_does_not if {
	denied(sample.without(sample.opening, "/agent/intent/budget/calls")) == set()
}

test_a_life_beyond_the_agent_is_refused if {
	denied(sample.changed(sample.opening, {"task": {"ttl": 60001}})) == {"intent.ttl"}
	denied(sample.changed(sample.opening, {"task": {"ttl": 0}})) == {"intent.ttl"}
	denied(sample.without(sample.opening, "/agent/ttl")) == {"intent.ttl"}
}

test_a_detail_shows_some_of_a_long_list if {
	tools := [name | some number in numbers.range(1, 20); name := sprintf("erp.%d", [number])]
	count(detail(asking({"tools": tools}))["intent.tool"].tools) == 8
}

test_a_task_may_limit_what_it_sends_where_its_agent_does_not if {
	denied(sample.changed(sample.opening, {"task": {"intent": {"budget": {"bytes_out": 1}}}})) == set()
}
