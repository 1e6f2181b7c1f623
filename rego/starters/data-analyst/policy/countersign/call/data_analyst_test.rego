package countersign.data_analyst_test

import data.countersign.call_test
import data.countersign.sample

query := sample.changed(sample.call, {
	"task": {"intent": {"tools": ["warehouse.*", "report.publish"], "resources": ["dataset:*"]}},
	"tool": {"name": "warehouse.query", "resource": "dataset:sales"},
	"request": {"method": "POST", "body": {"kind": "json", "sha256": "ab", "size": 30, "parsed": {"limit": 100}}},
})

report := sample.changed(query, {"tool": {"name": "report.publish", "effect": "write", "risk": "medium", "data": [], "resource": null}})

test_a_query_with_a_limit_is_allowed if call_test.denied(query) == set()

test_a_query_without_a_fair_limit_is_refused if {
	every limit in [null, "100", -1, 10001] {
		call_test.denied(sample.changed(query, {"request": {"body": {"parsed": {"limit": limit}}}})) == {"analyst.bounded-query"}
	}
	call_test.denied(sample.without(query, "/request/body/parsed")) == {"analyst.bounded-query"}
}

test_the_warehouse_is_read_only if {
	every effect in ["write", "delete", "execute"] {
		call_test.denied(sample.changed(query, {"tool": {"effect": effect}})) == {"analyst.reads-only"}
	}
}

test_a_report_after_personal_data_is_asked_about if {
	call_test.asked(report) == set()
	call_test.asked(sample.changed(report, {"task": {"sensitivity": ["personal"]}})) == {"analyst.report-needs-person"}
	call_test.asked(sample.without(report, "/task/sensitivity")) == {"analyst.report-needs-person"}
}
