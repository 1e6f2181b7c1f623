package countersign.call_test

import data.countersign.call
import data.countersign.sample

# What the rules say under some settings.
said(settings, document) := {sprintf("%s %s", [finding.effect, finding.rule]) |
	some finding in (call.deny | call.ask) with input as document with data.countersign.settings as settings
}

steps(done) := {"sequence": {"step": 20, "steps": done}}

test_without_settings_every_rule_that_needs_one_is_off if {
	count(call.deny | call.ask) == 0 with input as sample.call with data.countersign.settings as {}
	count(call.deny | call.ask) == 0 with input as sample.call
}

# Settings of a bundle, which nobody has looked at.

test_a_row_that_leaves_something_out_denies if {
	called := sample.changed(sample.mail, steps({"crm.list": [2, 9], "vault.read": [1, 1]}))
	said({"chains": [{"steps": ["crm.*", "mail.*"]}]}, called) == {"deny sequence.chain"}
	said({"after": [{"tool": "mail.*", "needs": ["orders.check"]}]}, called) == {"deny sequence.needs"}
	said({"after": [{"tool": "mail.*", "forbids": ["vault.*"]}]}, called) == {"deny sequence.forbids"}
	said({"freeze": [{"effects": ["send"]}]}, called) == {"deny change.freeze"}
	said({"freeze": [{"effects": ["send"], "effect": "ask"}]}, called) == {"ask change.freeze"}
	said({"hours": [{"tools": ["mail.*"]}]}, called) == {"deny hours.closed"}
	said({"tiers": [{"effects": ["send"], "effect": "block"}]}, called) == {"deny autonomy.tier"}
	said({"divergence": {}}, strayed({})) == {"deny divergence.escalates"}
	said({"first_seen": {}}, called) == {"ask sequence.first-seen"}
	secret := sample.changed(sample.mail, {"task": {"sensitivity": ["secret"]}, "tool": {"accepts": ["secret"]}})
	said({"secrets": {"tools": ["vault.*"]}}, secret) == {"deny secrets.egress"}
	said({"secrets": {"classes": ["secret"]}}, secret) == {"deny secrets.egress"}
}

# Order

chains(effect) := {"chains": [{"id": "export", "steps": ["crm.*", "files.export", "mail.*"], "within": null, "effect": effect}]}

test_a_chain_is_refused_at_its_last_step if {
	document := sample.changed(sample.mail, steps({"crm.list": [2, 9], "files.export": [5, 5]}))
	said(chains("deny"), document) == {"deny sequence.chain"}
	said(chains("ask"), document) == {"ask sequence.chain"}
	said(chains("deny"), sample.changed(document, {"tool": {"name": "crm.list"}})) == set()
}

test_the_parts_of_a_chain_in_another_order_are_allowed if {
	said(chains("deny"), sample.changed(sample.mail, steps({"crm.list": [6, 9], "files.export": [5, 5]}))) == set()
	said(chains("deny"), sample.changed(sample.mail, steps({"crm.list": [6, 9]}))) == set()
	said(chains("deny"), sample.mail) == set()
}

test_a_chain_of_which_not_all_is_known_is_refused if {
	said(chains("deny"), sample.changed(sample.mail, steps({"crm.list": [6, 9], "*": [1, 20]}))) == {"deny sequence.chain"}
	said(chains("deny"), sample.without(sample.mail, "/sequence/steps")) == {"deny sequence.chain"}
	said(chains("deny"), sample.without(sample.mail, "/sequence/step")) == {"deny sequence.chain"}
}

needs(within, effect) := {"after": [{
	"id": "checked", "tool": "mail.*", "needs": ["orders.check"], "within": within, "forbids": [], "effect": effect,
}]}

test_what_must_come_first_must_have_come if {
	said(needs(null, "deny"), sample.mail) == {"deny sequence.needs"}
	said(needs(null, "ask"), sample.mail) == {"ask sequence.needs"}
	said(needs(null, "deny"), sample.without(sample.mail, "/sequence/steps")) == {"deny sequence.needs"}
	said(needs(null, "deny"), sample.changed(sample.mail, steps({"*": [1, 20]}))) == {"deny sequence.needs"}
	said(needs(null, "deny"), sample.changed(sample.mail, steps({"orders.check": [3, 3]}))) == set()
	said(needs(null, "deny"), sample.call) == set()
}

test_what_must_come_first_must_not_be_long_ago if {
	document := sample.changed(sample.mail, steps({"orders.check": [3, 18]}))
	said(needs(3, "deny"), document) == set()
	said(needs(2, "deny"), document) == {"deny sequence.needs"}
}

forbids(effect) := {"after": [{
	"id": "no-mail", "tool": "mail.*", "needs": [], "within": null, "forbids": ["vault.*"], "effect": effect,
}]}

test_what_must_not_come_after_does_not if {
	said(forbids("deny"), sample.mail) == set()
	said(forbids("deny"), sample.changed(sample.mail, steps({"vault.read": [1, 1]}))) == {"deny sequence.forbids"}
	said(forbids("ask"), sample.changed(sample.mail, steps({"vault.read": [1, 1]}))) == {"ask sequence.forbids"}
	said(forbids("deny"), sample.changed(sample.mail, steps({"*": [1, 1]}))) == {"deny sequence.forbids"}
	said(forbids("deny"), sample.without(sample.mail, "/sequence/steps")) == {"deny sequence.forbids"}
}

test_a_new_kind_of_call_late_in_a_task_is_asked_about if {
	settings := {"first_seen": {"after": 20, "effects": ["send", "write"]}}
	late := sample.changed(sample.mail, {"sequence": {"step": 20}})
	said(settings, late) == {"ask sequence.first-seen"}
	said(settings, sample.changed(late, {"sequence": {"counts": {"mail.send": 2}}})) == set()
	said(settings, sample.changed(late, {"sequence": {"step": 19}})) == set()
	said(settings, sample.changed(late, {"tool": {"effect": "read"}})) == set()
	said(settings, sample.without(late, "/sequence/step")) == {"ask sequence.first-seen"}
	said(settings, sample.without(late, "/sequence/counts")) == {"ask sequence.first-seen"}
}

# Divergence

divergence(effect) := {"divergence": {"denials": 3, "effect": effect}}

strayed(denials) := sample.changed(sample.call, {"sequence": {"denials": denials, "diverged": true}})

test_a_task_that_keeps_leaving_its_intent_is_taken_to_a_person if {
	said(divergence("ask"), strayed({"intent.tool": 2, "intent.data": 1})) == {"ask divergence.escalates"}
	said(divergence("deny"), strayed({"intent.tool": 3})) == {"deny divergence.escalates"}
	said(divergence("ask"), strayed({"intent.tool": 1, "*": 2})) == {"ask divergence.escalates"}
	said(divergence("ask"), sample.without(strayed({}), "/sequence/denials")) == {"ask divergence.escalates"}
}

test_a_task_that_strays_less_or_is_refused_for_something_else_goes_on if {
	said(divergence("ask"), strayed({"intent.tool": 2})) == set()
	said(divergence("ask"), strayed({"intent.tool": 2, "budget.exceeded": 9})) == set()
	said(divergence("ask"), sample.changed(sample.call, {"sequence": {"denials": {"*": 9}}})) == set()
}

_scored(score) := sample.changed(sample.call, {"sequence": {"divergence": {"score": score, "reasons": []}}})

test_a_score_takes_a_task_to_a_person if {
	at_forty := {"divergence": {"score": 40, "effect": "ask"}}
	said(at_forty, _scored(39)) == set()
	said(at_forty, _scored(40)) == {"ask divergence.escalates"}
	said({"divergence": {"score": 40, "effect": "deny"}}, _scored(99)) == {"deny divergence.escalates"}
	said(at_forty, strayed({"intent.tool": 9})) == set()
	said({"divergence": {"score": 40, "denials": 3, "effect": "ask"}}, strayed({"intent.tool": 3})) == {"ask divergence.escalates"}
	said(at_forty, sample.without(sample.call, "/sequence/divergence")) == {"ask divergence.escalates"}
	said({"divergence": {"score": "40", "effect": "ask"}}, strayed({})) == {"ask divergence.escalates"}
}

# Windows

frozen(effect) := {"freeze": [{
	"from": 500, "until": 1500, "effects": ["write", "send"], "environments": ["test"],
	"reason": "year end", "effect": effect,
}]}

test_nothing_is_changed_during_a_freeze if {
	said(frozen("deny"), sample.mail) == {"deny change.freeze"}
	said(frozen("ask"), sample.mail) == {"ask change.freeze"}
	said(frozen("deny"), sample.without(sample.mail, "/context/now")) == {"deny change.freeze", "deny task.not-active"}
}

test_before_and_after_a_freeze_and_elsewhere_changes_are_allowed if {
	said(frozen("deny"), sample.changed(sample.mail, {"context": {"now": 499}})) == set()
	said(frozen("deny"), sample.changed(sample.mail, {"context": {"now": 1500}})) == set()
	said(frozen("deny"), sample.changed(sample.mail, {"context": {"environment": "staging"}})) == set()
	said(frozen("deny"), sample.call) == set()
}

# The time of the sample is in the first minute of Thursday, the first of January 1970.
hours(days, from, until, effect) := {"hours": [{
	"tools": ["mail.*"], "days": days, "from": from, "until": until, "zone": [[0, 0]], "effect": effect,
}]}

test_a_call_with_hours_is_made_in_them if {
	said(hours([4], 0, 60, "deny"), sample.mail) == set()
	said(hours([4], 60, 120, "deny"), sample.mail) == {"deny hours.closed"}
	said(hours([5], 0, 60, "ask"), sample.mail) == {"ask hours.closed"}
	said(hours([5], 0, 60, "deny"), sample.call) == set()
}

# Customers, tiers

test_an_autonomous_agent_shows_a_person_what_a_customer_will_see if {
	settings := {"customer_facing": {"tools": ["mail.*"], "autonomy": ["autonomous"]}}
	said(settings, sample.changed(sample.mail, {"agent": {"autonomy": "autonomous"}})) == {"ask customer.needs-person"}
	said(settings, sample.mail) == set()
	said(settings, sample.changed(sample.call, {"agent": {"autonomy": "autonomous"}})) == set()
	said(settings, sample.without(sample.mail, "/agent/autonomy")) == {"ask customer.needs-person"}
}

test_a_tier_of_your_own_asks_or_denies_beyond_the_table if {
	tiers := [
		{"autonomy": ["bounded"], "risks": ["medium"], "egress": ["partner"], "effect": "ask"},
		{"autonomy": ["bounded"], "effects": ["delete"], "effect": "deny"},
	]
	said({"tiers": tiers}, sample.mail) == {"ask autonomy.tier"}
	said({"tiers": tiers}, sample.call) == set()
	said({"tiers": tiers}, sample.changed(sample.call, {"tool": {"effect": "delete"}})) == {"deny autonomy.tier"}
	said({"tiers": tiers}, sample.changed(sample.mail, {"agent": {"autonomy": "autonomous"}})) == set()
}

# Secrets

secrets := {"secrets": {
	"tools": ["vault.*"], "routes": ["vault"], "paths": ["/v1/secret/*"],
	"classes": ["secret"], "bound": true,
}}

vault := sample.changed(sample.call, {
	"tool": {"name": "vault.read", "route": "vault", "data": [], "resource": null},
	"task": {"intent": {"tools": ["vault.read", "mail.send"]}},
	"caller": {"confirmed": "mtls"},
})

test_a_secret_is_read_by_a_caller_that_holds_a_key if {
	said(secrets, vault) == set()
	said(secrets, sample.changed(vault, {"caller": {"confirmed": "bearer"}})) == {"deny secrets.bound"}
	said({"secrets": object.union(secrets.secrets, {"bound": false})}, sample.changed(vault, {"caller": {"confirmed": "bearer"}})) == set()
	labelled := sample.changed(sample.call, {"tool": {"data": ["secret"]}, "task": {"intent": {"data": ["secret"]}}})
	said(secrets, labelled) == {"deny secrets.bound"}
}

test_a_place_of_secrets_is_catalogued_as_one if {
	said(secrets, sample.changed(vault, {"tool": {"name": "crm.customer.read"}, "task": {"intent": {"tools": ["crm.*"]}}})) == {"deny secrets.unlabelled"}
	every request in [{"path": "/V1/Secret/a", "segments": []}, {"path": "/v1/%73ecret/a", "segments": ["v1", "secret", "a"]}] {
		document := sample.changed(sample.call, {"request": request, "caller": {"confirmed": "dpop"}})
		said(secrets, document) == {"deny secrets.unlabelled"}
	}
}

test_after_a_secret_nothing_leaves if {
	read := sample.changed(sample.mail, {"tool": {"accepts": ["secret"]}, "task": {"sensitivity": ["secret"]}})
	said(secrets, read) == {"deny secrets.egress"}
	said(secrets, sample.changed(sample.mail, steps({"vault.read": [1, 1]}))) == {"deny secrets.egress"}
	said(secrets, sample.changed(sample.mail, steps({"*": [1, 1]}))) == {"deny secrets.egress"}
	said(secrets, sample.without(sample.mail, "/sequence/steps")) == {"deny secrets.egress"}
	said(secrets, sample.mail) == set()
}

test_after_a_secret_another_may_be_read_and_work_goes_on_inside if {
	said(secrets, sample.changed(vault, {"task": {"sensitivity": ["secret"]}})) == set()
	outside := {"tool": {"egress": "partner", "accepts": ["secret"]}, "task": {"sensitivity": ["secret"]}}
	said(secrets, sample.changed(vault, outside)) == set()
	said(secrets, sample.changed(sample.changed(vault, outside), {"tool": {"effect": "write"}})) == {"deny secrets.egress"}
}

# Delegation

test_a_task_is_handed_on_so_often_and_no_more if {
	said({"delegation": {"depth": 1}}, sample.changed(sample.call, {"delegation": {"depth": 1}})) == set()
	said({"delegation": {"depth": 1}}, sample.changed(sample.call, {"delegation": {"depth": 2}})) == {"deny delegation.too-deep"}
	said({"delegation": {"depth": 1}}, sample.without(sample.call, "/delegation/depth")) == {"deny delegation.too-deep"}
}

test_whoever_hands_a_task_on_gives_away_no_more_than_it_has if {
	wide := {"intent": {"tools": ["*"], "resources": ["*"], "data": ["internal", "personal"], "egress": ["internal", "partner"]}}
	narrow := {"intent": object.union(wide.intent, {"tools": ["crm.customer.read"]})}
	denied(sample.changed(sample.call, {"delegation": {"depth": 1, "chain": [wide]}})) == set()
	denied(sample.changed(sample.call, {"delegation": {"depth": 1, "chain": [narrow]}})) == {"delegation.widened"}
	denied(sample.changed(sample.call, {"delegation": {"depth": 2, "chain": [narrow, wide]}})) == {"delegation.widened"}
	denied(sample.changed(sample.call, {"delegation": {"depth": 2, "chain": [{"party": "gateway", "task": null, "issuer": null, "intent": null}, wide]}})) == set()
	denied(sample.changed(sample.call, {"delegation": {"chain": [{}]}})) == {"delegation.widened"}
	denied(sample.changed(sample.call, {"delegation": {"chain": [{"task": null}]}})) == {"delegation.widened"}
	denied(sample.without(sample.call, "/delegation/chain")) == {"delegation.widened"}
}

# Budgets

test_a_large_amount_is_asked_about if {
	settings := {"budgets": [{"meter": "eur", "above": 50}]}
	said(settings, sample.changed(sample.call, {"task": {"budget": {"debit": {"eur": 50}}}})) == set()
	said(settings, sample.changed(sample.call, {"task": {"budget": {"debit": {"eur": 51}}}})) == {"ask budget.large"}
	said(settings, sample.call) == set()
}

test_the_end_of_a_budget_is_asked_about if {
	settings := {"budgets": [{"meter": "calls", "share": 0.8}]}
	said(settings, sample.call) == set()
	said(settings, sample.changed(sample.call, {"task": {"budget": {"spent": {"calls": 4}}}})) == {"ask budget.nearly-spent"}
	said(settings, sample.without(sample.call, "/task/budget/limit/calls")) == set()
}
