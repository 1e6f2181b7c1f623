# METADATA
# scope: package
# title: What the record does not keep
# description: >-
#   Masks of log events, as OPA applies them: `input` is the event, and what was judged stands under `input.input`. Masks values of a
#   query that look like secrets, and addresses of people in a query, in the path and the resource that it names, in texts of a body,
#   and in what rules found.
package system.log

_hidden := "**masked**"

_secret_names := {"access_token", "api_key", "apikey", "code", "key", "password", "secret", "sig", "signature", "token"}

_address := `[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`

# METADATA
# description: Places in the event and what stands there instead.
# entrypoint: true
mask contains {"op": "upsert", "path": place, "value": [_hidden]} if {
	some name, values in input.input.request.query
	_telling(name, values)
	place := _member("/input/request/query", name)
}

mask contains {"op": "upsert", "path": "/input/request/query", "value": {_hidden: []}} if {
	some name, values in input.input.request.query
	_telling(name, values)
	not _member("/input/request/query", name)
}

mask contains {"op": "upsert", "path": place, "value": _hidden} if {
	some name, value in input.input.request.body.parsed
	regex.match(_address, value)
	place := _member("/input/request/body/parsed", name)
}

mask contains {"op": "upsert", "path": "/input/request/body/parsed", "value": _hidden} if {
	some name, value in input.input.request.body.parsed
	regex.match(_address, value)
	not _member("/input/request/body/parsed", name)
}

# A path of a mask is escaped and never taken apart again, so it can only say plain names: else undefined, and the whole is masked.
_member(whole, name) := concat("/", [whole, name]) if {
	regex.match(`^[A-Za-z0-9_.-]+$`, name)
}

mask contains {"op": "upsert", "path": "/input/request/path", "value": _hidden} if _address_in_path

mask contains {"op": "upsert", "path": "/input/request/segments", "value": [_hidden]} if _address_in_path

mask contains {"op": "upsert", "path": "/input/tool/resource", "value": _hidden} if {
	regex.match(_address, input.input.tool.resource)
}

mask contains {"op": "upsert", "path": sprintf("/input/task/intent/resources/%d", [at]), "value": _hidden} if {
	some at, resource in input.input.task.intent.resources
	regex.match(_address, resource)
}

mask contains {"op": "upsert", "path": sprintf("/result/reasons/%d/detail", [at]), "value": {"found": _hidden}} if {
	some at, reason in input.result.reasons
	regex.match(_address, json.marshal(reason.detail))
}

_address_in_path if {
	some segment in input.input.request.segments
	regex.match(_address, segment)
}

_telling(name, _) if lower(name) in _secret_names

_telling(_, values) if {
	some value in values
	regex.match(_address, value)
}
