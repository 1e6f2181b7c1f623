# METADATA
# scope: package
# title: What the record does not keep
# description: >-
#   Masks of log events, as OPA applies them: `input` is the event, and what was judged stands under `input.input`. Masks values of a
#   query that look like secrets, and addresses of people in a query, in the path and in texts of a body.
package system.log

_hidden := "**masked**"

_secret_names := {"access_token", "api_key", "apikey", "code", "key", "password", "secret", "sig", "signature", "token"}

_address := `[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`

# METADATA
# description: Places in the event and what stands there instead.
# entrypoint: true
mask contains {"op": "upsert", "path": concat("/", ["", "input", "request", "query", _escaped(name)]), "value": [_hidden]} if {
	some name, values in input.input.request.query
	_telling(name, values)
}

mask contains {"op": "upsert", "path": concat("/", ["", "input", "request", "body", "parsed", _escaped(name)]), "value": _hidden} if {
	some name, value in input.input.request.body.parsed
	regex.match(_address, value)
}

mask contains {"op": "upsert", "path": "/input/request/path", "value": _hidden} if _address_in_path

mask contains {"op": "upsert", "path": "/input/request/segments", "value": [_hidden]} if _address_in_path

_address_in_path if {
	some segment in input.input.request.segments
	regex.match(_address, segment)
}

_telling(name, _) if lower(name) in _secret_names

_telling(_, values) if {
	some value in values
	regex.match(_address, value)
}

# Segments of a path are percent-encoded; a blank is %20 there.
_escaped(name) := replace(urlquery.encode(name), "+", "%20")
