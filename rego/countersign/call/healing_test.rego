package countersign.call_test

import data.countersign
import data.countersign.sample

override := {
	"class": "personal", "tool": "mail.*", "source": null, "until": 1500,
	"by": "appsec@acme.example", "reason": "test data",
}

healing(decay, overrides) := {"taint": {"decay": decay, "overrides": overrides}}

tainted := sample.changed(sample.mail, {
	"task": {"sensitivity": ["personal"]},
	"sequence": {"sources": {"personal": {"tool": "crm.customer.read", "ago": 100, "step": 2, "only": true}}},
})

test_taint_fades_after_its_time if {
	said(healing({"personal": 100}, []), tainted) == set()
	said(healing({"personal": 101}, []), tainted) == {"deny data.beyond-destination"}
	said(healing({"internal": 1}, []), tainted) == {"deny data.beyond-destination"}
}

test_taint_of_an_unknown_age_does_not_fade if {
	said(healing({"personal": 1}, []), sample.without(tainted, "/sequence/sources")) == {"deny data.beyond-destination"}
}

test_the_latest_read_counts_whoever_made_it if {
	document := sample.changed(tainted, {"task": {"inherited": {"personal": 99}}})
	said(healing({"personal": 100}, []), document) == {"deny data.beyond-destination"}
	said(healing({"personal": 99}, []), document) == set()
}

test_an_override_heals_for_a_tool_until_its_end if {
	said(healing({}, [override]), tainted) == set()
	said(healing({}, [override]), sample.changed(tainted, {"context": {"now": 1500}})) == {"deny data.beyond-destination"}
	said(healing({}, [override]), sample.changed(tainted, {"tool": {"name": "crm.mail"}})) == {"deny data.beyond-destination"}
	said(healing({}, [object.union(override, {"class": "internal"})]), tainted) == {"deny data.beyond-destination"}
}

test_an_override_of_a_source_heals_what_it_alone_has_read if {
	sourced := object.union(override, {"source": "crm.customer.*"})
	said(healing({}, [sourced]), tainted) == set()
	every change in [
		{"sequence": {"sources": {"personal": {"only": false}}}},
		{"sequence": {"sources": {"personal": {"tool": "hr.read"}}}},
		{"task": {"inherited": {"personal": 200}}},
	] {
		said(healing({}, [sourced]), sample.changed(tainted, change)) == {"deny data.beyond-destination"}
	}
}

test_what_was_healed_stands_in_the_labels_and_only_then if {
	healed := countersign.decision with input as tainted with data.countersign.settings as healing({"personal": 100}, [override])
	healed.effect == "allow"
	healed.labels == {"taint.healed": "personal by appsec@acme.example until 1500 test data; personal faded after 100 ms"}
	plain := countersign.decision with input as sample.mail with data.countersign.settings as healing({"personal": 100}, [override])
	plain.labels == {}
	inside := sample.changed(tainted, {"tool": {"egress": "internal"}})
	kept := countersign.decision with input as inside with data.countersign.settings as healing({"personal": 100}, [override])
	kept.labels == {}
}

test_a_label_of_an_ask_stands_too if {
	document := sample.changed(tainted, {"tool": {"risk": "high"}})
	decision := countersign.decision with input as document with data.countersign.settings as healing({}, [override])
	decision.effect == "ask"
	startswith(decision.labels["taint.healed"], "personal by")
	decision.approval.quorum == 1
}
