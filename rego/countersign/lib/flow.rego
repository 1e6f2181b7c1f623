package countersign.lib

# `call` is the whole input, as in sequence.rego.

# METADATA
# description: >-
#   Milliseconds since a data class was last read, by this task or by another of its caller. Undefined when nobody knows.
age(call, class) := min({ago | ago := call.sequence.sources[class].ago} | {ago | ago := call.task.inherited[class]})

# METADATA
# description: True when a class was surely read `after` ms ago or longer.
faded(call, class, after) if age(call, class) >= after

# METADATA
# description: True when whatever is known of a class surely came from one tool that matches `pattern`, read in this task.
read_only_by(call, class, pattern) if {
	source := call.sequence.sources[class]
	source.only == true
	matches(pattern, source.tool)
	is_object(call.task.inherited)
	not call.task.inherited[class]
}

# METADATA
# description: True when a call leaves the house, or nobody knows.
leaves(call) if not _stays(call)

_stays(call) if call.tool.egress == "internal"
