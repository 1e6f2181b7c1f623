package countersign

import data.countersign.agent
import data.countersign.lib
import data.countersign.opening

# METADATA
# title: The decision on a task
# description: Takes the input of a task that is opened or resumed and gives decision v1.
# entrypoint: true
task := object.union(
	lib.decision(_task_effect, _task_denials | _task_asks),
	{"approval": approval | approval := _task_approval},
)

_task_effect := lib.effect(_task_denials, _task_asks, _task_holds)

# What a person still has to answer. An answer never stands against a denial.
_task_asks := opening.ask if opening.approved == false

_task_asks := set() if opening.approved == true

# Who must answer, and what the answer is bound to. A change of any of it is another question.
_task_approval := object.union(opening.demand, {"objective": false, "bind": _task_bound}) if _task_effect == "ask"

_task_bound := [
	"/action",
	"/agent/id",
	"/caller/spiffe_id",
	"/cause",
	"/delegation/chain",
	"/delegation/root",
	"/opener",
	"/task/id",
	"/task/intent",
]

default _task_holds := false

_task_holds if {
	agent.owned
	agent.live
	opening.holds
}

_task_denials := (agent.deny | opening.deny) | _task_unexplained

# METADATA
# title: Nothing allowed the task
# description: A task that no rule refused but whose input does not meet every condition, such as an unknown action.
# custom:
#   id: default
#   severity: high
#   effect: deny
#   observable: false
#   facts: []
#   frameworks:
#     owasp_agentic: [ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L6]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MANAGE 1.3]
#   message: no rule allows this task
#   remediation: Compare the input of the task with rego/schemas/task.json.
_default_task_deny := rego.metadata.rule()

_task_unexplained contains lib.finding(_default_task_deny, {}) if {
	not _task_holds
	count(agent.deny) == 0
	count(opening.deny) == 0
}
