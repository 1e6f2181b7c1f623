package countersign.call_test

import data.countersign.call
import data.countersign.sample

_bounded(bound) := sample.changed(sample.call, {"agent": {"bounds": [
	{"by": "compliance", "data": ["health"], "tools": ["erp.*"], "effects": ["execute"]},
	object.union({"by": "legal", "data": [], "tools": [], "effects": []}, bound),
]}})

test_what_nobody_put_out_of_bounds_is_let_through if {
	document := _bounded({"data": ["health"], "tools": ["crm.customer.delete", "mail.*"], "effects": ["delete", "send"]})
	denied(document) == set()
	allowed(document)
}

test_a_data_class_a_tool_and_an_action_can_be_out_of_bounds if {
	every bound in [{"data": ["personal"]}, {"tools": ["crm.customer.read"]}, {"tools": ["crm.*"]}, {"effects": ["read"]}] {
		document := _bounded(bound)
		denied(document) == {"agent.out-of-bounds"}
		some finding in call.deny with input as document
		finding.detail == {"by": ["legal"], "tool": "crm.customer.read"}
		finding.observable == false
	}
}

test_bounds_that_cannot_be_read_refuse_every_call if {
	denied(sample.without(sample.call, "/agent/bounds")) == {"agent.out-of-bounds"}
	denied(sample.changed(sample.call, {"agent": {"bounds": null}})) == {"agent.out-of-bounds"}
	denied(sample.changed(sample.call, {"agent": {"bounds": [{"by": "legal"}]}})) == {"agent.out-of-bounds"}
	denied(_bounded({"effects": "delete"})) == {"agent.out-of-bounds"}
}
