package countersign

import data.countersign.agent
import data.countersign.lib
import data.countersign.opening

# METADATA
# title: The decision on a task
# description: Takes the input of a task that is opened or resumed and gives decision v1.
# entrypoint: true
task := lib.decision(_task_effect, _task_denials | opening.ask)

_task_effect := lib.effect(_task_denials, opening.ask, _task_holds)

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
