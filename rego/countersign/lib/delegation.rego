package countersign.lib

# METADATA
# description: >-
#   True when one intent is surely within another: tools, resources, data classes and egress. Whoever hands a task on gives away no
#   more than it has.
narrows(inner, outer) if {
	_all_covered(inner.tools, outer.tools)
	_all_covered(inner.resources, outer.resources)
	is_array(inner.data)
	count(beyond(inner.data, outer.data)) == 0
	is_array(inner.egress)
	every egress in inner.egress {
		egress in outer.egress
	}
}

_all_covered(names, patterns) if {
	is_array(names)
	granted := taken_apart(patterns)
	every name in names {
		covers(granted, name)
	}
}

# METADATA
# description: >-
#   True when every link of the delegation chain of a call, and at last its task, is surely within the one before. A link carries the `intent`
#   it handed on, save a party that a token names as an actor: that one handed on no task. A chain without links is narrow. `call` is the input.
narrowing(call) if {
	chain := call.delegation.chain
	is_array(chain)
	handed := [link | some link in chain; not _of_a_token(link)]
	intents := array.concat([link.intent | some link in handed], [call.task.intent])
	count(intents) == count(handed) + 1
	every index, _ in handed {
		narrows(intents[index + 1], intents[index])
	}
}

_of_a_token(link) if {
	link.task == null
	link.intent == null
}
