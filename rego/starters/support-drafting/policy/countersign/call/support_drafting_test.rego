package countersign.support_drafting_test

import data.countersign.call_test
import data.countersign.sample

ticket := sample.changed(sample.call, {
	"task": {"intent": {"tools": ["desk.*", "crm.*", "llm.*"], "resources": ["customer:42"]}},
	"sequence": {"steps": {"desk.ticket.read": [1, 1]}},
})

draft := sample.changed(ticket, {"tool": {"name": "desk.draft.create", "effect": "write", "risk": "medium", "data": [], "resource": null}})

test_a_draft_of_a_ticket_that_was_read_is_allowed if {
	call_test.denied(draft) == set()
	call_test.asked(draft) == set()
}

test_a_draft_of_nothing_is_refused if {
	call_test.denied(sample.without(draft, "/sequence/steps")) == {"support.read-first"}
	call_test.denied(sample.changed(draft, {"tool": {"name": "desk.draft.update"}})) == set()
}

test_nothing_is_sent_but_to_a_model if {
	send := sample.changed(draft, {"tool": {"name": "desk.reply.send", "effect": "send"}})
	call_test.denied(send) == {"support.sends-nothing"}
	call_test.denied(sample.changed(send, {"tool": {"name": "llm.complete", "prompt": true}})) == set()
}

test_a_task_names_its_customer if {
	call_test.denied(ticket) == set()
	call_test.denied(sample.changed(ticket, {"task": {"intent": {"resources": ["customer:*"]}}})) == {"support.one-customer"}
	call_test.denied(sample.changed(ticket, {"task": {"intent": {"resources": ["*"]}}})) == {"support.one-customer"}
	call_test.denied(sample.changed(draft, {"task": {"intent": {"resources": ["customer:*"]}}})) == set()
}
