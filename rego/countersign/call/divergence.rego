package countersign.call

import data.countersign.lib

# METADATA
# title: A task that keeps leaving its intent is taken to a person
# description: >-
#   The divergence score of the task has come to what the setting names, or policy refused it a number of times because
#   it left its intent; from then on a person answers what it does, until it ends. Asks, or denies if the setting says so.
#   Only refusals that were enforced count.
# custom:
#   id: divergence.escalates
#   severity: high
#   level: sequence
#   effect: ask
#   observable: true
#   facts: [sequence.denials, sequence.diverged, sequence.divergence]
#   setting: divergence
#   frameworks:
#     owasp_agentic: [ASI01, ASI09, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0051, AML.M0029]
#     nist_csf: [DE.AE-02, RS.MA-01]
#     nist_ai_rmf: [GOVERN 3.2, MAP 3.5]
#   message: this task kept asking for what it did not declare, and a person must look
#   remediation: Look at what the task was refused; open a new task with the intent it needs, or none.
_divergence_escalates := rego.metadata.rule()

_strays := sum([times | some rule, times in input.sequence.denials; _stray(rule)])

_stray(rule) if startswith(rule, "intent.")

_stray("*")

_on_course(_) if input.sequence.diverged == false

_on_course(most) if {
	is_object(input.sequence.denials)
	_strays < most
}

# What a setting of a bundle leaves out is not silent: it then holds from the first refusal on.
_astray(wanted) if {
	not _scored(wanted)
	not _on_course(object.get(wanted, "denials", 0))
}

_astray(wanted) if {
	is_number(wanted.denials)
	not _on_course(wanted.denials)
}

_astray(wanted) if {
	is_number(wanted.score)
	not _below(wanted.score)
}

_scored(wanted) if is_number(wanted.score)

_below(most) if {
	is_number(input.sequence.divergence.score)
	input.sequence.divergence.score < most
}

_divergence := object.get(input, ["sequence", "divergence", "reasons"], null)

deny contains lib.finding_as(_divergence_escalates, "deny", {"denials": _strays, "reasons": _divergence}) if {
	wanted := data.countersign.settings.divergence
	not _asks(wanted)
	lib.concerns(wanted, input)
	_astray(wanted)
}

ask contains lib.finding_as(_divergence_escalates, "ask", {"denials": _strays, "reasons": _divergence}) if {
	wanted := data.countersign.settings.divergence
	_asks(wanted)
	lib.concerns(wanted, input)
	_astray(wanted)
}
