package countersign.lib

# The fixed order of what rules say: forbidden, sequence, defer, context, ask, and what nothing allowed. Written out in docs/defer.md.

# METADATA
# description: >-
#   The effect of `{"deny": …, "defer": …, "ask": …}`, three sets of findings. `holds` is the conjunction of every positive condition:
#   without it there is no allow and no ask. Whatever is not in the table denies.
default precedence(_, _) := "deny"

precedence(found, holds) := "allow" if {
	holds == true
	count(found.deny) == 0
	count(found.defer) == 0
	count(found.ask) == 0
} else := "ask" if {
	holds == true
	count(found.deny) == 0
	count(found.defer) == 0
	count(found.ask) > 0
} else := "defer" if {
	count(found.defer) > 0
	not _some_final(found.deny)
}

_some_final(denials) if {
	some denial in denials
	not contextual(denial)
}

# METADATA
# description: >-
#   True of a denial that waits for a fact, and that an exception may lift: of a rule that may be watched and says no `level: sequence`.
contextual(denial) if {
	denial.observable == true
	not denial.level
}

# METADATA
# description: >-
#   Holds denials against exceptions `{lifts, priority}`: `lifted` are those that an exception of higher priority lifts, `conflicting`
#   those that one of the same priority speaks against. What is not contextual is in neither.
weighed(denials, exceptions) := {
	"lifted": {denial | some denial in denials; _rank(denial, exceptions) > _priority(denial)},
	"conflicting": {denial | some denial in denials; _rank(denial, exceptions) == _priority(denial)},
}

_priority(denial) := object.get(denial, "priority", 0)

_rank(denial, exceptions) := max(ranks) if {
	contextual(denial)
	ranks := {exception.priority | some exception in exceptions; any_matches(exception.lifts, denial.rule)}
}

# METADATA
# description: >-
#   The paths that a rule declares as needed (`custom.requires`, such as `signals.malware-scan.value`) and that are not there. False and
#   0 are there; what is null is not. `call` is the input.
missing(meta, call) := [path |
	some path in object.get(meta, ["custom", "requires"], [])
	absent(path, call)
]

# METADATA
# description: True when nothing stands at a path such as `signals.malware-scan.value`. `call` is the input.
absent(path, call) if object.get(call, split(path, "."), null) == null

# METADATA
# description: >-
#   What a rule says that cannot judge yet. Add it to `defer`, and only where the rule concerns the call and `missing` is not empty.
waiting(meta, missing_paths) := finding_as(meta, "defer", {"missing": missing_paths})
