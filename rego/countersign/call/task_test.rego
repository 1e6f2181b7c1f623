package countersign.call_test

import data.countersign.call
import data.countersign.sample

denied(document) := {finding.rule | some finding in call.deny with input as document}

asked(document) := {finding.rule | some finding in call.ask with input as document}

test_the_sample_meets_every_condition if {
	call.holds with input as sample.call
	allowed(sample.call)
	denied(sample.call) == set()
	asked(sample.call) == set()
}

test_a_task_that_is_not_active_is_refused if {
	every state in ["pending", "paused", "completed", "revoked", "expired"] {
		denied(sample.changed(sample.call, {"task": {"state": state}})) == {"task.not-active"}
	}
}

test_a_task_that_expired_by_the_clock_of_the_call_is_refused if {
	denied(sample.changed(sample.call, {"context": {"now": 2000}})) == {"task.not-active"}
	denied(sample.without(sample.call, "/task/expires")) == {"task.not-active"}
}

test_a_delegation_that_was_not_verified_is_refused if {
	denied(sample.changed(sample.call, {"delegation": {"verified": false}})) == {"delegation.unverified"}
	denied(sample.without(sample.call, "/delegation")) == {"delegation.unverified"}
}
