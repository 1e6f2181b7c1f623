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

handed(chain) := sample.changed(sample.opening, {"delegation": {"depth": count(chain), "chain": chain}})

link(intent) := {"party": "spiffe://acme.example/a", "task": "t_0", "issuer": null, "intent": intent}

wide := {"tools": ["*"], "resources": ["*"], "data": ["personal"], "egress": ["internal"]}

actor := {"party": "gateway", "task": null, "issuer": "https://login.acme.example", "intent": null}

test_a_task_that_was_handed_on_within_its_parent_holds if {
	every chain in [[link(wide)], [actor], [actor, link(wide)], [actor, link(wide), link(sample.opening.task.intent)]] {
		denied(handed(chain)) == set()
		opening.holds with input as handed(chain)
	}
}

test_a_task_that_was_handed_on_beyond_its_parent_is_refused if {
	narrow := object.union(wide, {"tools": ["crm.customer.read"]})
	every chain in [[link(narrow)], [link(narrow), link(wide)], [{}], [object.union(actor, {"intent": {}})], null] {
		denied(sample.changed(sample.opening, {"delegation": {"chain": chain}})) == {"delegation.widened"}
		not opening.holds with input as sample.changed(sample.opening, {"delegation": {"chain": chain}})
	}
}

test_a_delegation_that_was_not_verified_opens_no_task if {
	every document in [sample.changed(sample.opening, {"delegation": {"verified": false}}), sample.without(sample.opening, "/delegation")] {
		denied(document) == {"delegation.unverified"}
		not opening.holds with input as document
	}
}

test_a_task_is_opened_so_deep_and_no_deeper if {
	shallow := denied(handed([link(wide)])) with data.countersign.settings as {"delegation": {"depth": 1}}
	shallow == set()
	deep := denied(handed([link(wide), link(wide)])) with data.countersign.settings as {"delegation": {"depth": 1}}
	deep == {"delegation.too-deep"}
	unknown := denied(sample.without(sample.opening, "/delegation/depth")) with data.countersign.settings as {"delegation": {"depth": 1}}
	unknown == {"delegation.too-deep"}
}
