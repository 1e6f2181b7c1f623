package countersign.call

# METADATA
# title: Every positive condition of a call
# description: >-
#   What must be true for a call to be allowed, or asked for. Each condition but the first two has a rule that says why it failed;
#   when only those fail, the rule `default` speaks.
default holds := false

holds if {
	input.v == 1
	rated
	task_active
	delegated
	catalogued
	tool_intended
	resource_intended
	data_intended
	egress_intended
	data_received
	fresh
	affordable
	body_judged
	caller_bound
	within_bounds
}
