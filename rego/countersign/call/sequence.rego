package countersign.call

import data.countersign.lib

default fresh := false

# The same tool, target and body this often in one task is a loop, not work.
fresh if input.sequence.repeats < 10

# METADATA
# title: The same call is not made for ever
# description: The same tool, target and body may be asked ten times in a task; the eleventh is refused.
# custom:
#   id: sequence.repeats
#   severity: medium
#   level: sequence
#   effect: deny
#   observable: true
#   facts: [sequence.repeats]
#   frameworks:
#     owasp_agentic: [ASI02, ASI08, ASI10]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.T0034.002, AML.M0004]
#     nist_csf: [DE.CM-06, DE.AE-02]
#     nist_ai_rmf: [MEASURE 2.4, MANAGE 4.1]
#   message: this very call was made too often in this task
#   remediation: Look for a loop in the agent; a new task starts the count again.
_sequence_repeats := rego.metadata.rule()

deny contains lib.finding(_sequence_repeats, {"repeats": object.get(input, ["sequence", "repeats"], null)}) if not fresh
