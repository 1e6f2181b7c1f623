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

_asking := {"reauthorise": [{"causes": ["session"], "effect": "ask"}], "opening": [{"openers": ["self"], "effect": "ask"}]}

_self := sample.changed(sample.opening, {"opener": {"kind": "self", "name": "spiffe://acme.example/a"}})

test_who_is_asked_about_a_task_stands_in_the_decision if {
	asked := countersign.task with input as _going_on("session") with data.countersign.settings as _asking
	asked.approval.approvers == []
	asked.approval.quorum == 1
	asked.approval.objective == false
	"/task/intent" in asked.approval.bind
	not "approval" in object.keys(countersign.task) with input as sample.opening
}

test_a_task_is_allowed_once_a_person_has_answered if {
	every document in [_going_on("session"), _self] {
		answered := sample.changed(document, {"approval": sample.approval})
		countersign.task.effect == "allow" with input as answered with data.countersign.settings as _asking
		objective := sample.changed(answered, {"approval": {"kind": "objective"}})
		countersign.task.effect == "ask" with input as objective with data.countersign.settings as _asking
		late := sample.changed(answered, {"approval": {"expires": 1000}})
		countersign.task.effect == "ask" with input as late with data.countersign.settings as _asking
	}
}

test_an_answer_widens_no_task if {
	wider := sample.changed(_self, {"approval": sample.approval, "task": {"ttl": 60001}})
	decision := countersign.task with input as wider with data.countersign.settings as _asking
	decision.effect == "deny"
	sample.rules(decision) == {"intent.ttl"}
}

test_the_settings_say_who_answers_for_tasks if {
	finance := {"tools": ["crm.*"], "approvers": ["group:finance"]}
	everybody := {"approvers": ["group:everybody"]}
	people := {"tasks": ["resume"], "approvers": ["group:approvers"], "quorum": 2, "ttl": 60000}
	rows := [finance, people, everybody]
	settings := object.union(_asking, {"approvals": {"who": rows}})
	resumed := countersign.task with input as _going_on("session") with data.countersign.settings as settings
	object.subset(resumed.approval, {"approvers": ["group:approvers"], "quorum": 2, "ttl": 60000})
	opened := countersign.task with input as _self with data.countersign.settings as settings
	opened.approval.approvers == ["group:everybody"]
	one := sample.changed(_going_on("session"), {"approval": sample.approval})
	countersign.task.effect == "ask" with input as one with data.countersign.settings as settings
}

test_a_person_says_whether_a_task_is_opened_where_the_setting_says_so if {
	settings := {"opening": [{"openers": ["hand-off"], "effect": "deny"}, {"openers": ["self"], "autonomy": ["bounded"], "effect": "ask"}]}
	asked := countersign.task with input as _self with data.countersign.settings as settings
	asked.effect == "ask"
	sample.rules(asked) == {"task.opened"}
	handed := countersign.task with input as sample.opening with data.countersign.settings as settings
	handed.effect == "deny"
	orchestrated := sample.changed(_self, {"opener": {"kind": "orchestrator"}})
	countersign.task.effect == "allow" with input as orchestrated with data.countersign.settings as settings
	countersign.task.effect == "allow" with input as _going_on("session") with data.countersign.settings as settings
	all := {"opening": [{"effect": "ask"}]}
	countersign.task.effect == "ask" with input as orchestrated with data.countersign.settings as all
	countersign.task.effect == "ask" with input as sample.opening with data.countersign.settings as all
}

test_a_resume_that_the_agent_asks_for_has_no_cause if {
	settings := {"reauthorise": [{"causes": ["session", "idle", "policy"], "effect": "deny"}]}
	document := sample.changed(sample.opening, {"action": "resume", "task": {"id": "t_1"}})
	countersign.task.effect == "allow" with input as document with data.countersign.settings as settings
}
