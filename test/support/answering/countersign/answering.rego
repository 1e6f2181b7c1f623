# A policy for tests of answers: it permits every call, masks and drops places of every answer, and refuses teapots.
package countersign

decision := _allow if input.request.method

decision := _deny("test.nothing") if not input.request.method

task := _allow if input.action

task := _deny("test.nothing") if not input.action

response := _deny("test.teapot") if input.response.status == 418

response := object.union(_allow, {"obligations": [
	{"id": "test.mask", "type": "mask_response", "properties": {"paths": ["/ssn", "/people/*/ssn"]}},
	{"id": "test.drop", "type": "drop_response_fields", "properties": {"paths": ["/internal"]}},
]}) if input.response.status != 418

_allow := {"v": 1, "effect": "allow", "reasons": [], "obligations": [], "labels": {}}

_deny(rule) := object.union(_allow, {"effect": "deny", "reasons": [{
	"rule": rule,
	"severity": "high",
	"effect": "deny",
	"observable": false,
	"controls": ["ASI02"],
	"message_agent": "this may not come back",
	"detail": {},
}]})
