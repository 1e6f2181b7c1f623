package countersign.call_test

import data.countersign.sample

_summed(kind, name, resource, amount, hour) := {
	"kind": kind, "name": name, "resource": resource,
	"amount": amount, "hour": hour, "day": hour + 10,
}

_refund(amount, hour) := sample.changed(sample.call, {
	"tool": {"name": "payments.refund.create", "effect": "write", "resource": "order:7"},
	"task": {"budget": {"debit": {"calls": 1, "eur": amount}}},
	"sequence": {"sums": [_summed("meter", "eur", null, amount, hour), _summed("meter", "eur", "order:7", amount, hour - 20)]},
})

_eur(row) := {"split": [object.union({"meter": "eur", "above": 50, "within": "hour", "per": "caller", "effect": "deny"}, row)]}

test_small_amounts_are_refused_once_they_come_to_a_large_one if {
	said(_eur({}), _refund(10, 40)) == set()
	said(_eur({}), _refund(11, 40)) == {"deny sequence.split"}
	said(_eur({"effect": "ask"}), _refund(11, 40)) == {"ask sequence.split"}
	said(_eur({"within": "day"}), _refund(5, 40)) == {"deny sequence.split"}
	said({}, _refund(11, 40)) == set()
}

test_one_resource_may_be_held_to_less if {
	said(_eur({"per": "resource", "above": 30}), _refund(10, 40)) == set()
	said(_eur({"per": "resource", "above": 29}), _refund(10, 40)) == {"deny sequence.split"}
}

test_calls_that_spend_nothing_of_it_are_none_of_its_business if {
	said(_eur({"above": 0}), sample.call) == set()
	said(_eur({"above": 0}), sample.mail) == set()
}

_upload(size, hour) := sample.changed(sample.mail, {
	"request": {"body": {"kind": "stream", "size": size, "judged": false}},
	"task": {"sensitivity": ["internal"]},
	"sequence": {"sums": [_summed("class", "internal", null, size, hour)]},
})

_bytes := {"split": [{"class": "internal", "above": 100, "within": "hour", "per": "resource", "effect": "deny"}]}

test_pieces_of_what_was_read_are_refused_once_they_come_to_much if {
	said(_bytes, _upload(50, 50)) == set()
	said(_bytes, _upload(51, 50)) == {"deny sequence.split"}
	said(_bytes, sample.changed(_upload(51, 50), {"task": {"sensitivity": ["public"]}})) == set()
	said(_bytes, sample.changed(_upload(51, 50), {"tool": {"egress": "internal"}})) == set()
	said(_bytes, sample.changed(_upload(51, 50), {"request": {"body": {"kind": "none"}}})) == set()
}

test_what_nobody_added_up_is_too_much if {
	said(_bytes, _upload(null, 0)) == {"deny sequence.split"}
	said(_bytes, sample.changed(_upload(1, 0), {"sequence": {"sums": []}})) == {"deny sequence.split"}
	said(_eur({}), sample.without(_refund(1, 0), "/sequence/sums")) == {"deny sequence.split"}
	"deny sequence.split" in said(_eur({}), sample.without(_refund(60, 0), "/task/budget/debit"))
	said({"split": [{}]}, sample.call) == {"deny sequence.split"}
	said({"split": [{"meter": "eur"}]}, _refund(1, 0)) == {"deny sequence.split"}
	said({"split": [{"meter": "eur", "above": 11}]}, _refund(1, 0)) == set()
	said({"split": [{"meter": "eur", "above": 10}]}, _refund(1, 0)) == {"deny sequence.split"}
}
