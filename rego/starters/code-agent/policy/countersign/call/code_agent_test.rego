package countersign.code_agent_test

import data.countersign.call_test
import data.countersign.sample

push := sample.changed(sample.call, {
	"task": {"intent": {"tools": ["git.*", "ci.*"], "resources": ["branch:*"]}},
	"tool": {"name": "git.branch.push", "effect": "write", "risk": "medium", "data": [], "resource": "branch:fix-7"},
})

merge := sample.changed(push, {
	"tool": {"name": "git.pull.merge", "resource": "branch:fix-7"},
	"sequence": {"step": 9, "steps": {"ci.checks.read": [2, 8]}},
})

test_a_branch_of_its_own_is_pushed if call_test.denied(push) == set()

test_a_protected_branch_is_read_and_never_written if {
	every branch in ["main", "master", "release-2"] {
		document := sample.changed(push, {"tool": {"resource": concat(":", ["branch", branch])}})
		call_test.denied(document) == {"code.protected-branch"}
		call_test.denied(sample.changed(document, {"tool": {"effect": "read"}})) == set()
	}
}

test_a_merge_is_asked_about_after_its_checks if {
	call_test.denied(merge) == set()
	call_test.asked(merge) == {"code.merge-needs-person"}
	call_test.asked(push) == set()
}

test_a_merge_without_checks_or_long_after_them_is_refused if {
	call_test.denied(sample.changed(merge, {"sequence": {"step": 14}})) == {"code.checks-first"}
	call_test.denied(sample.without(merge, "/sequence/steps")) == {"code.checks-first"}
}
