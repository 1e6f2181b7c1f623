package countersign.lib

# `call` is the whole input, as in sequence.rego.

# METADATA
# description: True when a call would spend more than `most` of a meter at once, or nobody knows how much.
large(call, meter, most) if not _small(call, meter, most)

_small(call, meter, most) if object.get(call.task.budget.debit, meter, 0) <= most

# METADATA
# description: The share of a meter that is spent after this call. Undefined where there is no limit.
share(call, meter) := (object.get(budget.spent, meter, 0) + budget.debit[meter]) / budget.limit[meter] if {
	budget := call.task.budget
}

# METADATA
# description: >-
#   True when a call spends of a meter of which more than `part` (0 to 1) is spent then. A meter without a limit is never nearly spent.
nearly_spent(call, meter, part) if {
	call.task.budget.debit[meter]
	call.task.budget.limit[meter] >= 0
	not _enough_left(call, meter, part)
}

_enough_left(call, meter, part) if share(call, meter) <= part
