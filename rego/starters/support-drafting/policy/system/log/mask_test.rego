package system.log_test

import data.system.log

event(request) := {"input": {"request": request}}

places(request) := {mask.path | some mask in log.mask with input as event(request)}

test_a_value_of_a_query_that_is_a_secret_is_masked if {
	places({"query": {"Token": ["abc"], "page": ["2"]}}) == {"/input/request/query/Token"}
}

test_an_address_in_a_query_is_masked_whatever_it_is_called if {
	places({"query": {"to": ["a", "ada@acme.example"]}}) == {"/input/request/query/to"}
}

test_an_address_in_a_body_is_masked_where_the_event_has_the_body if {
	places({"body": {"parsed": {"to": "ada@acme.example", "text": "hello", "count": 2}}}) == {"/input/request/body/parsed/to"}
	places({"body": {"kind": "json"}}) == set()
}

test_what_has_a_name_that_no_path_can_say_is_masked_with_all_around_it if {
	places({"query": {"to/cc": ["ada@acme.example"], "page": ["2"]}}) == {"/input/request/query"}
	places({"query": {"to cc": ["ada@acme.example"]}}) == {"/input/request/query"}
	places({"query": {"": ["ada@acme.example"]}}) == {"/input/request/query"}
	places({"body": {"parsed": {"a/b": "ada@acme.example"}}}) == {"/input/request/body/parsed"}
}

test_an_address_in_a_path_is_masked if {
	places({"segments": ["customers", "ada@acme.example"]}) == {"/input/request/path", "/input/request/segments"}
}

test_an_address_in_a_resource_is_masked_where_it_is_named if {
	named := {
		"request": {},
		"tool": {"resource": "customer:ada@acme.example"},
		"task": {"intent": {"resources": ["ticket:7", "customer:ada@acme.example"]}},
	}
	found := [{"rule": "a", "detail": {}}, {"rule": "b", "detail": {"resource": "customer:ada@acme.example"}}]
	masked := {one.path | some one in log.mask with input as {"input": named, "result": {"reasons": found}}}
	masked == {"/input/tool/resource", "/input/task/intent/resources/1", "/result/reasons/1/detail"}
}

test_what_tells_nothing_stays if {
	places({"query": {"page": ["2"]}, "segments": ["customers", "42"]}) == set()
}
