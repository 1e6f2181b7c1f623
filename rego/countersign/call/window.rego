package countersign.call

import data.countersign.lib

# Times that somebody named. `context.now` is epoch ms; the host writes zones out as offsets from UTC, with their changes of clocks.

_never := 9007199254740991

# METADATA
# title: Nothing is changed during a freeze
# description: >-
#   Between two times that were named, calls of the named effects (by default all that change something) are refused,
#   or asked about if the freeze says so.
# custom:
#   id: change.freeze
#   severity: high
#   effect: deny
#   observable: true
#   facts: [context.environment, context.now, tool.effect, tool.name]
#   setting: freeze
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L4, L6]
#     mitre_atlas: [AML.T0101, AML.M0026]
#     nist_csf: [PR.AA-05, ID.RA-07]
#     nist_ai_rmf: [MANAGE 1.3, MANAGE 2.4]
#   message: changes are frozen at this time
#   remediation: Wait until the freeze is over, or change `decide.settings.freeze`.
_change_freeze := rego.metadata.rule()

deny contains lib.finding_as(_change_freeze, "deny", {"until": _named(row, "until"), "reason": _named(row, "reason")}) if {
	some row in data.countersign.settings.freeze
	not _asks(row)
	lib.concerns(row, input)
	lib.during(input, object.get(row, "from", 0), object.get(row, "until", _never))
}

ask contains lib.finding_as(_change_freeze, "ask", {"until": _named(row, "until"), "reason": _named(row, "reason")}) if {
	some row in data.countersign.settings.freeze
	_asks(row)
	lib.concerns(row, input)
	lib.during(input, object.get(row, "from", 0), object.get(row, "until", _never))
}

# METADATA
# title: Some calls have their hours
# description: >-
#   The call is one of those that were given hours, and it comes outside of them. Denies, or asks if the row says so.
# custom:
#   id: hours.closed
#   severity: medium
#   effect: deny
#   observable: true
#   facts: [context.now, tool.effect, tool.name]
#   setting: hours
#   frameworks:
#     owasp_agentic: [ASI02, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0012, AML.M0026]
#     nist_csf: [PR.AA-05, DE.CM-06]
#     nist_ai_rmf: [MANAGE 1.3]
#   message: this call is not made at this time of the week
#   remediation: Make it within its hours, or change `decide.settings.hours`.
_hours_closed := rego.metadata.rule()

deny contains lib.finding_as(_hours_closed, "deny", {"now": object.get(input, ["context", "now"], null)}) if {
	some row in data.countersign.settings.hours
	not _asks(row)
	lib.concerns(row, input)
	lib.closed(input, row)
}

ask contains lib.finding_as(_hours_closed, "ask", {"now": object.get(input, ["context", "now"], null)}) if {
	some row in data.countersign.settings.hours
	_asks(row)
	lib.concerns(row, input)
	lib.closed(input, row)
}
