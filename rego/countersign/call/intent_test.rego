package countersign.call_test

import data.countersign.sample

test_a_tool_beyond_the_intent_is_refused if {
	denied(sample.changed(sample.call, {"tool": {"name": "erp.order.read"}})) == {"intent.tool"}
	denied(sample.changed(sample.call, {"task": {"intent": {"tools": []}}})) == {"intent.tool"}
	denied(sample.without(sample.call, "/task/intent/tools")) == {"intent.tool"}
	denied(sample.without(sample.call, "/tool/name")) == {"intent.tool"}
}

test_an_operation_that_nobody_catalogued_is_refused if {
	denied(sample.changed(sample.call, {"tool": {"catalogued": false}})) == {"tool.uncatalogued"}
	denied(sample.without(sample.call, "/tool/catalogued")) == {"tool.uncatalogued"}
}

test_a_tool_that_names_no_resource_needs_none if {
	denied(sample.changed(sample.call, {"tool": {"resource": null}, "task": {"intent": {"resources": []}}})) == set()
}

test_a_resource_beyond_the_intent_is_refused if {
	denied(sample.changed(sample.call, {"tool": {"resource": "order:7"}})) == set()
	denied(sample.changed(sample.call, {"tool": {"resource": "order:71"}})) == {"intent.resource"}
	denied(sample.changed(sample.call, {"tool": {"resource": "customer"}})) == {"intent.resource"}
	denied(sample.without(sample.call, "/tool/resource")) == {"intent.resource"}
	denied(sample.without(sample.call, "/task/intent/resources")) == {"intent.resource"}
}

test_a_data_class_beyond_the_intent_is_refused if {
	denied(sample.changed(sample.call, {"tool": {"data": ["public", "internal"]}})) == set()
	denied(sample.changed(sample.call, {"tool": {"data": ["public", "secret"]}})) == {"intent.data"}
}

test_data_nobody_labelled_or_declared_is_never_allowed if {
	not allowed(sample.without(sample.call, "/tool/data"))
	not allowed(sample.changed(sample.call, {"tool": {"data": null}}))
	not allowed(sample.without(sample.call, "/task/intent/data"))
}

test_a_destination_beyond_the_intent_is_refused if {
	denied(sample.changed(sample.call, {"tool": {"egress": "public"}})) == {"intent.egress"}
	denied(sample.changed(sample.call, {"task": {"intent": {"egress": ["partner"]}}})) == {"intent.egress"}
	denied(sample.without(sample.call, "/task/intent/egress")) == {"intent.egress"}
}

allowed(document) if {
	data.countersign.decision.effect == "allow" with input as document
}
