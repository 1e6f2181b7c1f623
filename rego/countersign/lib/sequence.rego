package countersign.lib

# What a task did before the call at hand. `call` is the whole input: an argument that is undefined, such as `input.sequence` of an
# input without one, would make a `not` around the function undefined too, and the rule would not hold. `sequence.steps` has the first
# and the last step of each tool; past a bound the rest stands together under `*`, which then may be any tool. Nothing here
# mistakes "not known" for "did not happen".

# METADATA
# description: >-
#   True when the task has surely called a tool that matches `pattern`.
#   A rule that wants a check first: `not lib.after(input, "orders.check")`.
after(call, pattern) if {
	some tool, _ in call.sequence.steps
	tool != "*"
	matches(pattern, tool)
}

# METADATA
# description: The same within the last `calls` calls.
after_within(call, pattern, calls) if {
	some tool, span in call.sequence.steps
	tool != "*"
	matches(pattern, tool)
	span[1] > call.sequence.step - calls
}

# METADATA
# description: >-
#   True when the task has surely not called a tool that matches `pattern` yet.
#   A rule that forbids what follows: `not lib.before(input, "vault.*")`.
before(call, pattern) if {
	is_object(call.sequence.steps)
	not call.sequence.steps["*"]
	not after(call, pattern)
}

# METADATA
# description: >-
#   True when the call at hand may end a chain: the last of `patterns` matches its tool and the others were called before it in this
#   order, all within `within` calls, this one included (null: within the task). Exact for chains of up to three patterns; a longer
#   one may be seen where its parts were called several times in another order, and is never missed.
chain(call, patterns, within) if {
	matches(patterns[count(patterns) - 1], call.tool.name)
	not _unchained(call, patterns, within)
}

_unchained(call, patterns, within) if {
	is_object(call.sequence.steps)
	horizon := _horizon(call.sequence.step, within)
	earlier := array.slice(patterns, 0, count(patterns) - 1)
	spans := [span | some pattern in earlier; span := _span(call.sequence.steps, pattern, horizon)]
	_broken(spans, count(earlier))
}

# The first step that counts.
_horizon(step, within) := 1 if {
	is_number(step)
	within == null
}

_horizon(step, within) := max([1, (step + 2) - within])

_broken(spans, length) if count(spans) < length

_broken(spans, _) if {
	some index, span in spans
	some later in array.slice(spans, index + 1, count(spans))
	span.first >= later.last
}

# Undefined when nothing matched.
_span(steps, pattern, horizon) := {"first": min(firsts), "last": max(lasts)} if {
	found := [span | some tool, span in steps; _may_match(pattern, tool); span[1] >= horizon]
	firsts := [max([span[0], horizon]) | some span in found]
	lasts := [span[1] | some span in found]
}

_may_match(_, "*")

_may_match(pattern, tool) if matches(pattern, tool)

# METADATA
# description: True when the task has not called the tool of this call before, or nobody knows.
first_seen(call) if not _seen(call)

_seen(call) if call.sequence.counts[call.tool.name] > 0

# METADATA
# description: True when this very call (tool, target and body) was made `most` times before, or nobody knows how often.
repeats(call, most) if not _fewer(call, most)

_fewer(call, most) if call.sequence.repeats < most
