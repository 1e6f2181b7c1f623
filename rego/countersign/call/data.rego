package countersign.call

import data.countersign.lib

# A request target, a header and a query carry data as well as a body does. So what the task and the caller's earlier
# tasks have read counts for every effect; the classes of the tool itself count when the call puts something there.
default data_received := false

data_received if {
	input.tool.egress == "internal"
} else if {
	is_array(input.task.sensitivity)
	count(lib.beyond(_tainting, input.tool.accepts)) == 0
	_sent_accepted
}

_sent_accepted if input.tool.effect == "read"

_sent_accepted if {
	is_array(input.tool.data)
	count(lib.beyond(input.tool.data, input.tool.accepts)) == 0
}

# METADATA
# title: What was read goes only where it is accepted
# description: >-
#   A call that leaves for a partner or the public may follow only reads that its destination was approved to receive;
#   a destination approved for nothing receives public data only. What the call itself carries is held to the same.
# custom:
#   id: data.beyond-destination
#   severity: critical
#   level: sequence
#   effect: deny
#   observable: true
#   facts: [task.sensitivity, tool.accepts, tool.data, tool.effect, tool.egress]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L2, L5, L6]
#     mitre_atlas: [AML.T0086, AML.M0030]
#     nist_csf: [PR.DS-01, PR.DS-02, DE.CM-06]
#     nist_ai_rmf: [MEASURE 2.10, MANAGE 4.1]
#   message: this destination may not receive what was read before
#   remediation: Have the destination approved for the data class (`accepts`), or clear what the caller has read.
_data_beyond_destination := rego.metadata.rule()

deny contains lib.finding(_data_beyond_destination, {"egress": egress, "beyond": classes}) if {
	not data_received
	egress := object.get(input, ["tool", "egress"], null)
	carried := array.concat(
		[class | some class in _tainting],
		[class | input.tool.effect != "read"; some class in input.tool.data],
	)
	classes := lib.few(lib.beyond(carried, object.get(input, ["tool", "accepts"], null)))
}

# What was read and counts. A class may have been read by mistake, or long ago: `decide.settings.taint` heals it.
_tainting := input.task.sensitivity if not data.countersign.settings.taint

_tainting := [class | some class in input.task.sensitivity; not class in _healed] if data.countersign.settings.taint

_healed contains healing.class if some healing in _healings

_healings contains {"class": class, "why": sprintf("%v faded after %v ms", [class, after])} if {
	some class, after in data.countersign.settings.taint.decay
	class in input.task.sensitivity
	lib.faded(input, class, after)
}

_healings contains {"class": override.class, "why": why} if {
	some override in data.countersign.settings.taint.overrides
	override.class in input.task.sensitivity
	input.context.now < override.until
	lib.matches(override.tool, input.tool.name)
	_from_source(override)
	why := sprintf("%v by %v until %v %v", [override.class, override.by, override.until, override.reason])
}

_from_source(override) if override.source == null

_from_source(override) if lib.read_only_by(input, override.class, override.source)

# METADATA
# description: What the record shows beside a decision. A class that would have stood in the way was healed, by whom and until when.
default labels := {}

labels := {"taint.healed": substring(concat("; ", sort(whys)), 0, 128)} if {
	data.countersign.settings.taint
	lib.leaves(input)
	beyond := lib.beyond(input.task.sensitivity, input.tool.accepts)
	whys := [healing.why | some healing in _healings; healing.class in beyond]
	count(whys) > 0
}
