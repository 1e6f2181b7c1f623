package countersign.call

import data.countersign.lib

# METADATA
# title: A fact must be there first
# description: >-
#   The call needs a signal that somebody outside gives (`decide.settings.requires`). While it is not there, the call waits; when it says
#   something else than the setting asks for, the call is denied, or asked about if the setting says so.
# custom:
#   id: signals.required
#   severity: high
#   effect: defer
#   observable: true
#   facts: [signals, tool.effect, tool.name]
#   setting: requires
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.M0026]
#     nist_csf: [PR.AA-05, DE.AE-02]
#     nist_ai_rmf: [MANAGE 1.3, MANAGE 4.1]
#   message: this call waits for a fact that is not there yet, or is not as it must be
#   remediation: Give the signal (`countersign signal set`), or change `decide.settings.requires`.
_signals_required := rego.metadata.rule()

_requiring contains row if {
	some row in data.countersign.settings.requires
	lib.concerns(row, input)
}

_signal(row) := concat(".", ["signals", object.get(row, "signal", ""), "value"])

defer contains lib.finding_as(_signals_required, "defer", _waited(row)) if {
	some row in _requiring
	lib.absent(_signal(row), input)
}

_waited(row) := object.union(
	{"required": _named(row, "id"), "missing": [_signal(row)]},
	{"ttl": ttl | ttl := row.hold},
)

_other contains row if {
	some row in _requiring
	value := input.signals[row.signal].value
	value != object.get(row, "equals", value)
}

deny contains lib.finding_as(_signals_required, "deny", {"required": id}) if some id in contradicted

# METADATA
# description: Ids of the settings that a signal speaks against so that the call is denied; open work ends by them, too.
contradicted contains _named(row, "id") if {
	some row in _other
	not _asks_otherwise(row)
}

_asks_otherwise(row) if row.otherwise == "ask"

ask contains lib.finding_as(_signals_required, "ask", {"required": _named(row, "id")}) if {
	some row in _other
	row.otherwise == "ask"
}
