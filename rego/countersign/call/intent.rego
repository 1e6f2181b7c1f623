package countersign.call

import data.countersign.lib

default catalogued := false

catalogued if input.tool.catalogued == true

default tool_intended := false

tool_intended if lib.any_matches(input.task.intent.tools, input.tool.name)

default resource_intended := false

resource_intended if {
	input.tool.resource == null
} else if {
	lib.any_matches(input.task.intent.resources, input.tool.resource)
}

default data_intended := false

data_intended if {
	is_array(input.tool.data)
	count(lib.beyond(input.tool.data, input.task.intent.data)) == 0
}

default egress_intended := false

egress_intended if input.tool.egress in input.task.intent.egress

# METADATA
# title: A call is a catalogued tool
# description: An operation nobody described has no known effect, so it is refused, even where the intent would match its name.
# custom:
#   id: tool.uncatalogued
#   severity: high
#   effect: deny
#   observable: true
#   facts: [tool.catalogued]
#   frameworks:
#     owasp_agentic: [ASI02]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L3, L7]
#     mitre_atlas: [AML.T0053, AML.M0028]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MAP 3.3]
#   message: this operation is not in the catalogue
#   remediation: Describe the operation as a tool of its route.
_tool_uncatalogued := rego.metadata.rule()

deny contains lib.finding(_tool_uncatalogued, {"route": object.get(input, ["tool", "route"], null)}) if not catalogued

# METADATA
# title: The tool is within the intent
# description: A task may use the tools it declared and no other.
# custom:
#   id: intent.tool
#   severity: high
#   effect: deny
#   observable: true
#   facts: [task.intent.tools, tool.name]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L3, L6]
#     mitre_atlas: [AML.T0053, AML.M0028]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MAP 3.3, MANAGE 1.3]
#   message: the task did not declare this tool
#   remediation: Open a task whose intent names the tool, or widen the agent's declared intent.
_intent_tool := rego.metadata.rule()

deny contains lib.finding(_intent_tool, {"tool": object.get(input, ["tool", "name"], null)}) if not tool_intended

# METADATA
# title: The resource is within the intent
# description: A tool that touches a named resource touches only those the task declared.
# custom:
#   id: intent.resource
#   severity: high
#   effect: deny
#   observable: true
#   facts: [task.intent.resources, tool.resource]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L3, L6]
#     mitre_atlas: [AML.T0053, AML.M0026]
#     nist_csf: [PR.AA-05]
#     nist_ai_rmf: [MAP 3.3, MANAGE 1.3]
#   message: the task did not declare this resource
#   remediation: Open a task whose intent names the resource.
_intent_resource := rego.metadata.rule()

deny contains lib.finding(_intent_resource, {"resource": object.get(input, ["tool", "resource"], null)}) if {
	not resource_intended
}

# METADATA
# title: The data is within the intent
# description: A tool answers with no data class beyond those the task declared; public data is always within.
# custom:
#   id: intent.data
#   severity: high
#   effect: deny
#   observable: true
#   facts: [task.intent.data, tool.data]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI03]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0085.001, AML.M0026]
#     nist_csf: [PR.AA-05, PR.DS-10]
#     nist_ai_rmf: [MAP 3.3, MEASURE 2.10]
#   message: the task did not declare this kind of data
#   remediation: Open a task whose intent names the data class.
_intent_data := rego.metadata.rule()

deny contains lib.finding(_intent_data, {"data": classes}) if {
	not data_intended
	classes := lib.few(lib.beyond(input.tool.data, input.task.intent.data))
}

# METADATA
# title: The destination is within the intent
# description: A task reaches only the kinds of destination it declared; internal ones are declared too.
# custom:
#   id: intent.egress
#   severity: high
#   effect: deny
#   observable: true
#   facts: [task.intent.egress, tool.egress]
#   frameworks:
#     owasp_agentic: [ASI01, ASI02]
#     owasp_nhi: [NHI5, NHI8]
#     csa_maestro: [L4, L6]
#     mitre_atlas: [AML.T0086, AML.M0032]
#     nist_csf: [PR.IR-01, ID.AM-03]
#     nist_ai_rmf: [MANAGE 2.4]
#   message: the task did not declare this kind of destination
#   remediation: Open a task whose intent names the egress.
_intent_egress := rego.metadata.rule()

deny contains lib.finding(_intent_egress, {"egress": object.get(input, ["tool", "egress"], null)}) if not egress_intended
