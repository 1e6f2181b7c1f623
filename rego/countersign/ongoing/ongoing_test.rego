package countersign.ongoing_test

import data.countersign.ongoing
import data.countersign.sample

denied(document) := {finding.rule | some finding in ongoing.deny with input as document}

detail(document) := {finding.rule: finding.detail | some finding in ongoing.deny with input as document}

both := [sample.upload, sample.lease]

test_the_samples_meet_every_condition if {
	every document in both {
		ongoing.holds with input as document
		denied(document) == set()
	}
}

test_work_ends_with_its_task if {
	every state in ["pending", "completed", "revoked", "expired"] {
		every document in both {
			detail(sample.changed(document, {"task": {"state": state}})) == {"task.not-active": {"state": state}}
		}
	}
}

test_a_paused_task_keeps_its_leases_and_loses_its_streams if {
	denied(sample.changed(sample.lease, {"task": {"state": "paused"}})) == set()
	denied(sample.changed(sample.upload, {"task": {"state": "paused"}})) == {"task.not-active"}
}

test_work_ends_when_the_time_of_its_task_has_passed if {
	late := {"context": {"now": 2000}, "lease": {"expires": 3000}}
	denied(sample.changed(sample.upload, {"context": {"now": 2000}})) == {"task.not-active"}
	denied(sample.changed(sample.lease, late)) == {"task.not-active"}
	denied(sample.changed(sample.changed(sample.lease, late), {"task": {"state": "paused"}})) == {"task.not-active"}
	denied(sample.without(sample.lease, "/task/expires")) == {"task.not-active"}
}

test_a_lease_ends_with_its_time if {
	detail(sample.changed(sample.lease, {"context": {"now": 1500}})) == {"lease.expired": {"expires": 1500}}
	denied(sample.without(sample.lease, "/lease")) == {"lease.expired"}
}

test_a_delegation_stays_verified if {
	every document in both {
		denied(sample.changed(document, {"delegation": {"verified": false}})) == {"delegation.unverified"}
	}
}

test_a_tool_that_left_the_catalogue_is_worked_with_no_longer if {
	every document in both {
		detail(sample.changed(document, {"tool": {"catalogued": false}})) == {"tool.uncatalogued": {"route": "mail"}}
	}
}

test_a_tool_that_the_task_did_not_declare_is_worked_with_no_longer if {
	every document in both {
		detail(sample.changed(document, {"tool": {"name": "erp.send"}})) == {"intent.tool": {"tool": "erp.send"}}
	}
}

test_a_stream_stays_within_its_resources_and_a_lease_names_none if {
	detail(sample.changed(sample.upload, {"tool": {"resource": "order:8"}})) == {"intent.resource": {"resource": "order:8"}}
	denied(sample.changed(sample.upload, {"tool": {"resource": "order:7"}})) == set()
	denied(sample.changed(sample.lease, {"tool": {"resource": "order:8"}})) == set()
}

test_a_tool_that_was_labelled_anew_stays_within_the_intent if {
	labelled := {"tool": {"data": ["secret"], "effect": "read"}}
	every document in both {
		detail(sample.changed(document, labelled)) == {"intent.data": {"data": ["secret"]}}
		detail(sample.changed(document, {"tool": {"egress": "public"}})) == {"intent.egress": {"egress": "public"}}
	}
}

test_what_was_read_since_stays_out_of_an_upload_and_of_a_lease_that_sends if {
	every document in both {
		read := sample.changed(document, {"task": {"sensitivity": ["internal", "personal"]}})
		detail(read) == {"data.beyond-destination": {"egress": "partner", "beyond": ["personal"]}}
		denied(sample.changed(read, {"tool": {"accepts": ["internal", "personal"]}})) == set()
		denied(sample.changed(read, {"tool": {"egress": "internal"}})) == set()
		denied(sample.without(document, "/task/sensitivity")) == {"data.beyond-destination"}
	}
}

test_what_is_healed_for_a_call_is_healed_for_open_work if {
	read := {"task": {"sensitivity": ["personal"]}, "sequence": {"sources": {"personal": {"tool": "crm.read", "ago": 100, "step": 2, "only": true}}}}
	every document in both {
		denied(sample.changed(document, read)) == set() with data.countersign.settings as {"taint": {"decay": {"personal": 100}, "overrides": []}}
		denied(sample.changed(document, read)) == {"data.beyond-destination"} with data.countersign.settings as {"taint": {"decay": {"personal": 101}, "overrides": []}}
	}
}

test_what_the_tool_carries_by_now_is_held_to_the_same if {
	detail(sample.changed(sample.upload, {"tool": {"data": ["personal"]}})) == {"data.beyond-destination": {
		"egress": "partner",
		"beyond": ["personal"],
	}}
}

test_a_stream_that_has_sent_all_it_had_goes_on if {
	read := sample.changed(sample.upload, {"task": {"sensitivity": ["personal"]}})
	denied(sample.changed(read, {"work": {"sending": false}})) == set()
	denied(sample.without(read, "/work")) == {"data.beyond-destination"}
}

test_a_lease_that_only_reads_goes_on if {
	read := sample.changed(sample.lease, {"task": {"sensitivity": ["personal"]}})
	denied(sample.changed(read, {"tool": {"effect": "read"}})) == set()
}

test_a_tool_that_became_bound_asks_for_a_caller_that_proved_a_key if {
	bound := sample.changed(sample.upload, {"tool": {"bound": true}})
	detail(bound) == {"caller.bound": {"confirmed": "bearer"}}
	denied(sample.changed(bound, {"caller": {"confirmed": "mtls"}})) == set()
	denied(sample.changed(sample.lease, {"tool": {"bound": true}})) == set()
}

test_what_was_put_out_of_bounds_is_worked_with_no_longer if {
	bound := {"by": "legal", "data": [], "tools": ["mail.*"], "effects": []}
	every document in both {
		detail(sample.changed(document, {"agent": {"bounds": [bound]}})) == {"agent.out-of-bounds": {"by": ["legal"], "tool": "mail.send"}}
		denied(sample.without(document, "/agent/bounds")) == {"agent.out-of-bounds"}
	}
}
