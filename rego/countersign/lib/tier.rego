package countersign.lib

# METADATA
# description: >-
#   True unless the call is surely none that `row` is about. A row names any of `tools` (patterns), `effects`, `risks`, `egress`,
#   `autonomy` and `environments`; what it does not name may be anything. `call` is the input.
#   In a rule of your own: `lib.concerns({"autonomy": ["autonomous"], "effects": ["delete"]}, input)`.
concerns(row, call) if not _spares(row, call)

_spares(row, call) if {
	is_array(row.tools)
	is_string(call.tool.name)
	not any_matches(row.tools, call.tool.name)
}

_spares(row, call) if _another(row.effects, call.tool.effect)

_spares(row, call) if _another(row.risks, call.tool.risk)

_spares(row, call) if _another(row.egress, call.tool.egress)

_spares(row, call) if _another(row.autonomy, call.agent.autonomy)

_spares(row, call) if _another(row.environments, call.context.environment)

_another(named, one) if {
	is_array(named)
	is_string(one)
	not one in named
}
