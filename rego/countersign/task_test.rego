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

_going_on(cause) := sample.changed(sample.opening, {"action": "resume", "cause": cause, "task": {"id": "t_1"}})

test_a_task_goes_on_when_no_setting_asks_a_person if {
	every cause in ["session", "idle", "policy"] {
		countersign.task.effect == "allow" with input as _going_on(cause)
	}
}

test_a_person_says_whether_a_task_goes_on_where_the_setting_says_so if {
	settings := {"reauthorise": [{"causes": ["session"], "effect": "ask"}, {"causes": ["idle"], "autonomy": ["bounded"], "effect": "deny"}]}
	asked := countersign.task with input as _going_on("session") with data.countersign.settings as settings
	asked.effect == "ask"
	sample.rules(asked) == {"task.reauthorised"}
	denied := countersign.task with input as _going_on("idle") with data.countersign.settings as settings
	denied.effect == "deny"
	sample.rules(denied) == {"task.reauthorised"}
	countersign.task.effect == "allow" with input as _going_on("policy") with data.countersign.settings as settings
}

test_a_resume_that_the_agent_asks_for_has_no_cause if {
	settings := {"reauthorise": [{"causes": ["session", "idle", "policy"], "effect": "deny"}]}
	document := sample.changed(sample.opening, {"action": "resume", "task": {"id": "t_1"}})
	countersign.task.effect == "allow" with input as document with data.countersign.settings as settings
}
