package countersign.answer_test

import data.countersign.answer
import data.countersign.sample

denied(document) := {finding.rule | some finding in answer.deny with input as document}

obliged(document) := {obligation.id: obligation.properties | some obligation in answer.obligations with input as document}

body(change) := sample.changed(sample.answer, {"response": {"body": change}})

test_a_whole_document_passes if {
	answer.holds with input as sample.answer
	denied(sample.answer) == set()
	obliged(sample.answer) == {}
}

test_an_answer_without_a_body_passes if denied(body({"kind": "none", "size": 0})) == set()

test_what_was_not_read_whole_is_refused if {
	denied(body({"judged": false, "truncated": true})) == {"answer.not-judged"}
	denied(body({"judged": false})) == {"answer.not-judged"}
	denied(body({"judged": false, "kind": "stream"})) == {"answer.not-judged"}
	denied(body({"judged": false, "kind": "other", "sample": "<html>"})) == {"answer.not-judged"}
	denied(sample.without(sample.answer, "/response/body")) == {"answer.not-judged"}
	some finding in answer.deny with input as body({"judged": false, "kind": "other"})
	finding.detail == {"status": 200, "kind": "other"}
}

test_a_tool_judged_by_its_head_answers_with_whatever_it_likes if {
	denied(sample.changed(body({"judged": false, "kind": "stream"}), {"tool": {"answer": "head"}})) == set()
}

test_the_text_of_an_error_passes_when_all_of_it_was_seen if {
	error := {"response": {"status": 404, "body": {"judged": false, "kind": "other", "sample": "no such customer", "truncated": false}}}
	denied(sample.changed(sample.answer, error)) == set()
	denied(sample.changed(sample.changed(sample.answer, error), {"response": {"status": 399}})) == {"answer.not-judged"}
	denied(sample.changed(sample.changed(sample.answer, error), {"response": {"body": {"truncated": true}}})) == {"answer.not-judged"}
	denied(sample.changed(sample.changed(sample.answer, error), {"response": {"body": {"kind": "json"}}})) == {"answer.not-judged"}
	denied(sample.without(sample.changed(sample.answer, error), "/response/body/sample")) == {"answer.not-judged"}
}

labelled(headers) := obliged(sample.changed(sample.answer, {"response": {"headers": headers}}))

test_classes_in_a_header_count_as_read if {
	labelled({"x-classification": "Personal, health"}) == {"answer.label": {"classes": ["health", "personal"]}}
	labelled({"data-classification": "internal", "x-data-classification": "personal"}) == {"answer.label": {"classes": ["internal", "personal"]}}
	labelled({"x-classification": "public"}) == {"answer.label": {"classes": ["public"]}}
	labelled({"x-other": "personal"}) == {}
	labelled({"x-classification": " , "}) == {}
}

test_a_label_that_nobody_can_read_is_the_worst_one if {
	labelled({"x-classification": "top secret"}) == {"answer.label": {"classes": ["unclassified"]}}
	many := concat(",", [name | some number in numbers.range(1, 17); name := sprintf("c%d", [number])])
	labelled({"x-classification": many}) == {"answer.label": {"classes": ["unclassified"]}}
}

test_what_looks_like_a_secret_counts_as_one if {
	every text in [
		`{"key":"-----BEGIN PRIVATE KEY-----\nMII"}`,
		"-----BEGIN OPENSSH PRIVATE KEY-----",
		concat("", [`{"id":"AKIA`, `QWERTYUIOPASDFGH"}`]),
		concat("", ["authorization: Bearer ", "abcdefghijklmnopqrstuvwxyz"]),
	] {
		obliged(body({"sample": text})) == {"answer.secret": {"classes": ["secret"]}}
	}
	every text in ["-----BEGIN CERTIFICATE-----", "AKIA", "bearer of news", "the PRIVATE KEY"] {
		obliged(body({"sample": text})) == {}
	}
}
