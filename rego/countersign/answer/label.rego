package countersign.answer

import data.countersign.lib

# Headers that name the classes of an answer, of those that the route shows to policy (`answer_headers`).
_label_headers := {"data-classification", "x-data-classification", "x-classification"}

# METADATA
# title: The classes that an answer names count as read
# description: >-
#   An upstream that labels its answers in a header knows best. Of a label that is no name, or of more than sixteen of them,
#   nobody can tell what it means: such an answer counts as unclassified.
# custom:
#   id: answer.label
#   severity: medium
#   effect: obligate
#   observable: false
#   facts: [response.headers]
#   frameworks:
#     owasp_agentic: [ASI02]
#     owasp_nhi: [NHI2]
#     csa_maestro: [L2, L6]
#     mitre_atlas: [AML.T0085.001, AML.T0086, AML.M0033]
#     nist_csf: [PR.DS-01, PR.DS-02, PR.DS-10]
#     nist_ai_rmf: [MEASURE 2.10]
#   message: the answer is classified
#   remediation: Have destinations approved for the class (`accepts`), or have the upstream label what it sends.
_answer_label := rego.metadata.rule()

obligations contains lib.raise(_answer_label.custom.id, sort(_classes)) if count(_classes) > 0

_labels := {label |
	some name in _label_headers
	value := input.response.headers[name]
	some piece in split(value, ",")
	label := lower(trim_space(piece))
	label != ""
}

_classes := _labels if _legible

_classes := {"unclassified"} if not _legible

_legible if {
	count(_labels) <= 16
	every label in _labels {
		regex.match(`^[a-z0-9][a-z0-9._-]{0,63}$`, label)
	}
}
