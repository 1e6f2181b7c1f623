package countersign.call

import data.countersign.lib

# METADATA
# title: Exceptions that count for this call
# description: >-
#   Rows of `decide.settings.exceptions` that are in time, concern the call, and whose `after` was called before in its task. One lifts
#   denials of the rules it names; it never lifts a rule that cannot be watched only, nor one on sequences and data, and never widens a
#   task: it counts only where every positive condition holds.
excepting contains row if {
	some row in data.countersign.settings.exceptions
	lib.concerns(row, input)
	input.context.now < row.until
	count([pattern | some pattern in object.get(row, "after", []); not lib.after(input, pattern)]) == 0
}
