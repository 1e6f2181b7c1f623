package countersign.ongoing

import data.countersign.call
import data.countersign.lib

# METADATA
# title: The tool stays within the intent
# description: Work goes on with the tools that its task declared and no other.
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
#   remediation: Open a task whose intent names the tool.
_intent_tool := rego.metadata.rule()

deny contains lib.finding(_intent_tool, {"tool": object.get(input, ["tool", "name"], null)}) if not call.tool_intended

# METADATA
# title: The resource stays within the intent
# description: A stream that touches a named resource touches only those that its task declared.
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
# title: The data stays within the intent
# description: A tool that was labelled anew answers with no data class beyond those the task declared.
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
	not call.data_intended
	classes := lib.few(lib.beyond(input.tool.data, input.task.intent.data))
}

# METADATA
# title: The destination stays within the intent
# description: A tool that was labelled anew reaches only the kinds of destination that the task declared.
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

deny contains lib.finding(_intent_egress, {"egress": object.get(input, ["tool", "egress"], null)}) if not call.egress_intended
