package countersign.call_test

import data.countersign.call
import data.countersign.sample

test_a_mail_to_a_partner_is_allowed_while_nothing_was_read if {
	denied(sample.mail) == set()
	denied(sample.changed(sample.mail, {"task": {"sensitivity": ["internal", "public"]}})) == set()
}

test_a_mail_to_a_partner_is_refused_after_personal_data_was_read if {
	document := sample.changed(sample.mail, {"task": {"sensitivity": ["internal", "personal"]}})
	denied(document) == {"data.beyond-destination"}
	some finding in call.deny with input as document
	finding.detail == {"egress": "partner", "beyond": ["personal"]}
	finding.severity == "critical"
}

test_a_read_from_a_partner_is_held_to_the_same_for_its_target_carries_data_too if {
	read := {"tool": {"effect": "read", "data": ["personal"]}}
	denied(sample.changed(sample.mail, read)) == set()
	denied(sample.changed(sample.changed(sample.mail, read), {"task": {"sensitivity": ["personal"]}})) == {"data.beyond-destination"}
}

test_what_a_call_puts_there_is_held_to_the_same if {
	every effect in ["write", "send", "delete", "execute", "unknown"] {
		denied(sample.changed(sample.mail, {"tool": {"effect": effect, "data": ["personal"]}})) == {"data.beyond-destination"}
		denied(sample.changed(sample.mail, {"tool": {"effect": effect, "data": ["internal"]}})) == set()
	}
}

test_a_destination_approved_for_nothing_receives_public_data_only if {
	denied(sample.changed(sample.mail, {"tool": {"accepts": null}})) == set()
	denied(sample.changed(sample.mail, {"tool": {"accepts": null}, "task": {"sensitivity": ["public"]}})) == set()
	denied(sample.changed(sample.mail, {"tool": {"accepts": null}, "task": {"sensitivity": ["internal"]}})) == {"data.beyond-destination"}
}

test_internal_destinations_receive_what_was_read if {
	denied(sample.changed(sample.call, {"task": {"sensitivity": ["secret"]}})) == set()
}

test_what_was_read_must_be_known if {
	denied(sample.without(sample.mail, "/task/sensitivity")) == {"data.beyond-destination"}
	denied(sample.without(sample.mail, "/tool/data")) == {"data.beyond-destination"}
	denied(sample.without(sample.mail, "/tool/accepts")) == {"data.beyond-destination"}
}
