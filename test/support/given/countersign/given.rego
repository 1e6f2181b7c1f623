# Answers what the data of the bundle say, so that a test chooses the answer without a compiler.
package countersign

import data.given

decision := given.decision if input.request.id

decision := _nothing if not input.request.id

task := {"v": 1, "effect": "allow", "reasons": [], "obligations": [], "labels": {}} if input.action

task := _nothing if not input.action

_nothing := {"v": 1, "effect": "deny", "reasons": [_reason], "obligations": [], "labels": {}}

_reason := {
	"rule": "given.nothing", "severity": "low", "effect": "deny", "observable": false,
	"controls": [], "message_agent": "nothing was asked", "detail": {},
}
