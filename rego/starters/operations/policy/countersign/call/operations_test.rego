package countersign.operations_test

import data.countersign.call_test
import data.countersign.sample

restart := sample.changed(sample.call, {
	"task": {"intent": {"tools": ["infra.*"], "resources": ["service:*"]}},
	"tool": {"name": "infra.service.restart", "effect": "execute", "risk": "medium", "data": [], "resource": "service:web"},
	"sequence": {"step": 4, "counts": {"infra.service.read": 3}, "steps": {"infra.service.read": [1, 4]}},
})

test_a_service_that_was_looked_at_is_restarted if {
	call_test.denied(restart) == set()
	call_test.asked(restart) == set()
}

test_a_service_that_nobody_looked_at_is_not if {
	call_test.denied(sample.changed(restart, {"sequence": {"step": 14}})) == {"operations.look-first"}
	call_test.denied(sample.without(restart, "/sequence/steps")) == {"operations.look-first"}
	call_test.denied(sample.changed(restart, {"sequence": {"step": 14}, "tool": {"name": "infra.service.read", "effect": "read"}})) == set()
}

test_nothing_is_deleted_in_production if {
	delete := sample.changed(restart, {"tool": {"name": "infra.service.delete", "effect": "delete"}})
	call_test.denied(sample.changed(delete, {"context": {"environment": "production"}})) == {"operations.never-deletes"}
	call_test.denied(delete) == set()
}

test_the_third_change_is_asked_about if {
	call_test.asked(sample.changed(restart, {"sequence": {"counts": {"infra.service.scale": 1}}})) == set()
	call_test.asked(sample.changed(restart, {"sequence": {"counts": {"infra.service.scale": 1, "infra.service.restart": 1}}})) == {"operations.blast-radius"}
	call_test.asked(sample.changed(restart, {"sequence": {"counts": {"*": 2}}})) == {"operations.blast-radius"}
	call_test.asked(sample.without(restart, "/sequence/counts")) == {"operations.blast-radius"}
}
