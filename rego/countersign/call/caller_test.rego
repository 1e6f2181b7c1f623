package countersign.call_test

import data.countersign.call
import data.countersign.sample

test_a_bound_tool_is_for_callers_that_prove_their_key if {
	every confirmed in ["mtls", "dpop"] {
		document := sample.changed(sample.call, {"tool": {"bound": true}, "caller": {"confirmed": confirmed}})
		denied(document) == set()
		allowed(document)
	}
}

test_a_bound_tool_refuses_bearer_tokens_ambient_callers_and_what_it_does_not_know if {
	every confirmed in ["bearer", "none", "wpt", "", null] {
		document := sample.changed(sample.call, {"tool": {"bound": true}, "caller": {"confirmed": confirmed}})
		denied(document) == {"caller.bound"}
		some finding in call.deny with input as document
		finding.detail == {"confirmed": confirmed}
		finding.observable == false
	}
	bound := sample.changed(sample.call, {"tool": {"bound": true}})
	denied(sample.without(bound, "/caller/confirmed")) == {"caller.bound"}
	denied(sample.without(bound, "/caller")) == {"caller.bound"}
}

test_a_tool_that_does_not_say_asks_for_a_bound_caller if {
	denied(sample.without(sample.call, "/tool/bound")) == {"caller.bound"}
	denied(sample.changed(sample.call, {"tool": {"bound": "false"}})) == {"caller.bound"}
}
