package countersign.ongoing

import data.countersign.call
import data.countersign.lib

# METADATA
# title: Open work ends with a fact that speaks against it
# description: >-
#   A signal that `decide.settings.requires` asks for says something else now. One that is late, or was withdrawn, ends nothing: it was
#   there when the work began.
# custom:
#   id: signals.required
#   severity: high
#   effect: deny
#   observable: true
#   facts: [signals, tool.effect, tool.name]
#   setting: requires
#   frameworks:
#     owasp_agentic: [ASI01, ASI02, ASI08]
#     owasp_nhi: [NHI5]
#     csa_maestro: [L5, L6]
#     mitre_atlas: [AML.M0026]
#     nist_csf: [PR.AA-05, DE.AE-02]
#     nist_ai_rmf: [MANAGE 1.3, MANAGE 4.1]
#   message: a fact about this call is not as it must be any more
#   remediation: See what the signal says (`countersign signal ls`), or change `decide.settings.requires`.
_signals_required := rego.metadata.rule()

deny contains lib.finding(_signals_required, {"required": id}) if some id in call.contradicted
