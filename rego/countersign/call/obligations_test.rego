package countersign.call_test

import data.countersign
import data.countersign.call
import data.countersign.lib
import data.countersign.sample

test_there_are_no_obligations_by_default if call.obligations == set()

test_an_obligation_comes_out_in_the_decision if {
	audit := lib.obligation("acme.audit", "notify", {"to": "ledger", "message": "m"})
	countersign.decision.obligations == [audit] with input as sample.call with data.countersign.call._obligations as {audit}
}

test_an_ask_and_a_denial_carry_them_too if {
	audit := lib.obligation("acme.audit", "notify", {"to": "ledger", "message": "m"})
	every risk in ["high", "none"] {
		document := sample.changed(sample.call, {"tool": {"risk": risk}})
		countersign.decision.obligations == [audit] with input as document with data.countersign.call._obligations as {audit}
	}
}
