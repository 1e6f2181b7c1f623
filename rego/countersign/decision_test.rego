package countersign_test

import data.countersign
import data.countersign.sample

test_a_call_that_meets_every_condition_is_allowed if {
	countersign.decision == {"v": 1, "effect": "allow", "reasons": [], "obligations": [], "labels": {}} with input as sample.call
}

test_an_input_that_says_nothing_is_denied if {
	countersign.decision.effect == "deny" with input as {}
}

test_no_input_is_denied if {
	countersign.decision.effect == "deny" with input as null
}

test_another_version_of_input_is_denied_by_default if {
	decision := countersign.decision with input as sample.changed(sample.call, {"v": 2})
	decision.effect == "deny"
	[reason] := decision.reasons
	reason.rule == "default"
	not reason.observable
}

test_a_risk_outside_the_table_is_denied_by_default if {
	decision := countersign.decision with input as sample.changed(sample.call, {"tool": {"risk": "none"}})
	decision.effect == "deny"
	sample.rules(decision) == {"default"}
}

test_an_ask_says_what_an_answer_is_bound_to if {
	decision := countersign.decision with input as sample.changed(sample.call, {"tool": {"risk": "high"}})
	decision.effect == "ask"
	sample.rules(decision) == {"risk.high-needs-person"}
	decision.approval.quorum == 1
	decision.approval.approvers == []
	decision.approval.objective
	not "ttl" in object.keys(decision.approval)
	every pointer in ["/caller/spiffe_id", "/request/body/sha256", "/request/query", "/task/id", "/tool/name"] {
		pointer in decision.approval.bind
	}
}

test_a_deny_beats_an_ask_and_both_are_told if {
	decision := countersign.decision with input as sample.changed(sample.call, {"tool": {"risk": "high", "name": "other"}})
	decision.effect == "deny"
	not "approval" in object.keys(decision)
	sample.rules(decision) == {"intent.tool", "risk.high-needs-person"}
}

test_an_ask_without_every_condition_is_denied if {
	decision := countersign.decision with input as sample.changed(sample.call, {"tool": {"risk": "high"}, "v": 2})
	decision.effect == "deny"
	sample.rules(decision) == {"default", "risk.high-needs-person"}
}

test_a_reason_carries_controls_and_keeps_its_detail_apart if {
	decision := countersign.decision with input as sample.changed(sample.call, {"tool": {"name": "secret.tool"}})
	[reason] := decision.reasons
	reason.severity == "high"
	reason.effect == "deny"
	reason.observable
	reason.detail == {"tool": "secret.tool"}
	not contains(reason.message_agent, "secret.tool")
	reason.controls == [
		"ASI01", "ASI02", "ASI03", "NHI5", "AML.T0053", "AML.M0028",
		"PR.AA-05", "MAP 3.3", "MANAGE 1.3", "MAESTRO L3", "MAESTRO L6",
	]
}

test_an_ask_that_people_answered_is_allowed_and_a_deny_is_not if {
	asked := sample.changed(sample.call, {"tool": {"risk": "high"}})
	countersign.decision.effect == "allow" with input as sample.changed(asked, {"approval": sample.approval})
	refused := countersign.decision with input as sample.changed(asked, {"approval": sample.approval, "tool": {"name": "other"}})
	refused.effect == "deny"
	sample.rules(refused) == {"intent.tool"}
}

test_an_answer_that_does_not_reach_is_asked_again_and_says_for_what if {
	asked := sample.changed(sample.call, {"tool": {"risk": "critical"}, "approval": sample.changed(sample.approval, {"kind": "objective"})})
	decision := countersign.decision with input as asked
	decision.effect == "ask"
	decision.approval.objective == false
}
