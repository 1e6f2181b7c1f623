package countersign.call_test

import data.countersign.sample

body(change) := sample.changed(sample.call, {"request": {"body": change}})

test_a_body_past_a_cap_is_refused if {
	denied(body({"kind": "json", "size": 300000, "judged": false})) == {"body.not-judged"}
	denied(body({"kind": "json", "size": null, "judged": false})) == {"body.not-judged"}
	denied(body({"kind": "json", "size": 0, "judged": false})) == set()
	denied(body({"kind": "json", "size": 30, "judged": true})) == set()
}

test_a_tool_that_streams_is_allowed if {
	denied(body({"kind": "stream", "size": null, "judged": false})) == set()
}

test_nobody_can_be_asked_about_a_body_that_streams if {
	document := sample.changed(body({"kind": "stream", "size": null, "judged": false}), {"tool": {"risk": "high"}})
	denied(document) == {"body.not-judged"}
	asked(document) == {"risk.high-needs-person"}
}

test_a_body_must_be_known if {
	denied(sample.without(sample.call, "/request/body")) == {"body.not-judged"}
}
