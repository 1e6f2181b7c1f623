# METADATA
# scope: package
# title: An answer
# description: What an answer must satisfy before the agent gets it, and what it obliges to. All of it comes from upstream.
# schemas:
#   - input: schema.response
package countersign.answer

# METADATA
# title: Every positive condition of an answer
# description: Each condition but the first two has a rule that says why it failed; when only those fail, the rule `default` speaks.
default holds := false

holds if {
	input.v == 1
	is_number(input.response.status)
	seen
}
