package countersign

import data.countersign.agent
import data.countersign.lib
import data.countersign.ongoing

# METADATA
# title: The decision on open work
# description: >-
#   Takes the input of a stream or a lease whose facts changed and gives decision v1. Allow means that it goes on; there is nothing
#   to ask about.
# entrypoint: true
continue := lib.decision(_continue_effect, _continue_denials)

_continue_effect := lib.effect(_continue_denials, set(), _continue_holds)

default _continue_holds := false

_continue_holds if {
	agent.owned
	agent.live
	ongoing.holds
}

_continue_denials := (agent.deny | ongoing.deny) | _continue_unexplained

default _continue_unexplained := set()

_continue_unexplained := ongoing.unexplained if {
	not _continue_holds
	count(agent.deny) == 0
	count(ongoing.deny) == 0
}
