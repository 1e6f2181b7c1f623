package countersign_test

import data.countersign
import data.countersign.lib
import data.countersign.sample

test_an_answer_that_was_judged_whole_is_allowed if {
	countersign.response == {"v": 1, "effect": "allow", "reasons": [], "obligations": [], "labels": {}} with input as sample.answer
}

test_an_answer_that_says_nothing_is_denied if {
	countersign.response.effect == "deny" with input as {}
	countersign.response.effect == "deny" with input as null
}

test_another_version_of_an_answer_is_denied_by_default if {
	verdict := countersign.response with input as sample.changed(sample.answer, {"v": 2})
	verdict.effect == "deny"
	sample.rules(verdict) == {"default"}
}

test_an_answer_obliges_to_the_same_whether_it_passes_or_not if {
	labelled := sample.changed(sample.answer, {"response": {"headers": {"x-classification": "personal"}}})
	passed := countersign.response with input as labelled
	passed.effect == "allow"
	passed.obligations == [{"id": "answer.label", "type": "raise_sensitivity", "properties": {"classes": ["personal"]}}]
	refused := countersign.response with input as sample.changed(labelled, {"response": {"body": {"judged": false}}})
	refused.effect == "deny"
	refused.obligations == passed.obligations
}

test_places_are_found_by_tool_and_put_into_obligations if {
	table := {"crm.*": ["/ssn"], "crm.customer.read": ["/iban", "/ssn"], "mail.send": ["/to"]}
	lib.places(table, "crm.customer.read") == ["/iban", "/ssn"]
	lib.places(table, "erp.read") == []
	lib.mask("acme.mask", ["/ssn"]) == {"id": "acme.mask", "type": "mask_response", "properties": {"paths": ["/ssn"]}}
	lib.drop("acme.drop", ["/ssn"]).type == "drop_response_fields"
}
