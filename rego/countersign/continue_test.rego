package countersign_test

import data.countersign
import data.countersign.sample

test_open_work_whose_facts_still_hold_goes_on if {
	every document in [sample.upload, sample.lease] {
		countersign.continue == {"v": 1, "effect": "allow", "reasons": [], "obligations": [], "labels": {}} with input as document
	}
}

test_open_work_of_which_nothing_is_known_ends if {
	countersign.continue.effect == "deny" with input as {}
	countersign.continue.effect == "deny" with input as {"v": 1}
}

test_another_kind_of_work_ends_by_default if {
	every document in [sample.changed(sample.upload, {"v": 2}), sample.changed(sample.upload, {"kind": "socket", "work": {"sending": true}})] {
		decision := countersign.continue with input as document
		decision.effect == "deny"
		sample.rules(decision) == {"default"}
	}
}

test_no_work_goes_on_for_an_agent_that_is_not_live_or_not_owned if {
	every document in [sample.upload, sample.lease] {
		decision := countersign.continue with input as sample.changed(document, {"agent": {"lifecycle": "suspended", "owners": null}})
		decision.effect == "deny"
		sample.rules(decision) == {"agent.not-live", "owners.missing"}
	}
}
