# METADATA
# title: Findings and decisions
# description: What a rule says when it holds, and how the findings of all rules become one decision.
package countersign.lib

# METADATA
# description: >-
#   What one rule found. `meta` is the rule's annotation, which stands on a constant of its own: the compiler builds
#   annotations before the body of the rule that asks for them, so every call would pay for every rule. `detail` is
#   for the operator's record only, the agent reads nothing but the `message` of the annotation. What an annotation
#   does not say is taken at its worst: a rule that is told of poorly refuses all the same.
finding(meta, detail) := object.union(_found(meta, detail), _ranked(meta))

_found(meta, detail) := {
	"rule": _told(meta, "id", "policy.unnamed"),
	"severity": _told(meta, "severity", "critical"),
	"effect": _told(meta, "effect", "deny"),
	"observable": _told(meta, "observable", false),
	"controls": controls(_told(meta, "frameworks", {})),
	"message_agent": _told(meta, "message", "a rule of policy refuses this"),
	"detail": detail,
}

# Where it stands in the order of what rules say, if it says so: see precedence.rego.
_ranked(meta) := object.union(
	{"level": "sequence" | meta.custom.level},
	{"priority": priority | priority := meta.custom.priority; is_number(priority)},
)

_told(meta, name, otherwise) := object.get(meta, ["custom", name], otherwise)

# METADATA
# description: >-
#   The same of a rule whose effect a setting chooses. Add it to `deny` or to `ask`, whichever the effect says.
finding_as(meta, effect, detail) := object.union(finding(meta, detail), {"effect": effect})

# METADATA
# description: The first of some items. A detail needs an example, not all that an agent can make long.
few(items) := array.slice(sort(items), 0, 8)

# METADATA
# description: Control ids as the decision carries them. A MAESTRO layer is named with its framework, "L3" alone says nothing.
controls(frameworks) := array.flatten([
	object.get(frameworks, "owasp_agentic", []),
	object.get(frameworks, "owasp_nhi", []),
	object.get(frameworks, "mitre_atlas", []),
	object.get(frameworks, "nist_csf", []),
	object.get(frameworks, "nist_ai_rmf", []),
	[named | some layer in object.get(frameworks, "csa_maestro", []); named := concat(" ", ["MAESTRO", layer])],
])

# METADATA
# description: >-
#   Deny beats ask beats allow. `holds` is the conjunction of every positive condition: without it there is no allow
#   and no ask, whatever the findings are.
default effect(_, _, _) := "deny"

effect(denials, asks, holds) := "allow" if {
	holds == true
	count(denials) == 0
	count(asks) == 0
}

effect(denials, asks, holds) := "ask" if {
	holds == true
	count(denials) == 0
	count(asks) > 0
}

# METADATA
# description: The decision document, v1. Reasons are sorted, for the engine lists sets in the order of their hashes.
decision(chosen, findings) := obliging(chosen, findings, set())

# METADATA
# description: The same with obligations, a set of what `obligation` makes.
obliging(chosen, findings, obligations) := {
	"v": 1,
	"effect": chosen,
	"reasons": sort(findings),
	"obligations": sort(obligations),
	"labels": {},
}

# METADATA
# description: A decision with labels, which stand in the record and do nothing.
labelled(document, labels) := document if count(labels) == 0

labelled(document, labels) := object.union(document, {"labels": labels}) if count(labels) > 0

# METADATA
# description: >-
#   One obligation of the host. Ids are unique within a decision; types and their properties are in docs/policy.md, and
#   one that the host does not know refuses the call.
obligation(id, type, properties) := {"id": id, "type": type, "properties": properties}
