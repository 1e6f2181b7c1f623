package countersign_test

import data.countersign
import data.countersign.sample

test_a_task_within_its_agent_is_allowed if {
	countersign.task == {"v": 1, "effect": "allow", "reasons": [], "obligations": [], "labels": {}} with input as sample.opening
}

test_a_task_within_its_agent_is_resumed if {
	countersign.task.effect == "allow" with input as sample.changed(sample.opening, {"action": "resume", "task": {"id": "t_1"}})
}

test_a_task_of_which_nothing_is_known_is_denied if {
	countersign.task.effect == "deny" with input as {}
}

test_another_action_is_denied_by_default if {
	decision := countersign.task with input as sample.changed(sample.opening, {"action": "extend"})
	decision.effect == "deny"
	sample.rules(decision) == {"default"}
}

test_no_task_for_an_agent_that_is_not_live_or_not_owned if {
	decision := countersign.task with input as sample.changed(sample.opening, {"agent": {"lifecycle": "retired", "owners": null}})
	decision.effect == "deny"
	sample.rules(decision) == {"agent.not-live", "owners.missing"}
}
