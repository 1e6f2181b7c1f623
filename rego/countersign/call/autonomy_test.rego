package countersign.call_test

import data.countersign.call
import data.countersign.sample

table := {
	"supervised": {"low": "neither", "medium": "unless read", "high": "both", "critical": "both"},
	"bounded": {"low": "neither", "medium": "neither", "high": "both", "critical": "both"},
	"autonomous": {"low": "neither", "medium": "neither", "high": "unless read", "critical": "both"},
}

asks := {"neither": [], "unless read": ["write"], "both": ["read", "write"]}

test_a_person_is_asked_as_the_table_says if {
	every autonomy, row in table {
		every risk, cell in row {
			asking := [effect | some effect in ["read", "write"]; count(asked(rated(autonomy, risk, effect))) == 1]
			asking == asks[cell]
		}
	}
}

test_every_word_of_the_table_is_known if {
	every autonomy, row in table {
		every risk, _ in row {
			every effect in ["read", "write", "send", "delete", "execute", "unknown"] {
				call.rated with input as rated(autonomy, risk, effect)
			}
		}
	}
}

test_one_rule_asks_at_a_time if {
	asked(rated("supervised", "medium", "write")) == {"autonomy.needs-person"}
	asked(rated("supervised", "high", "write")) == {"risk.high-needs-person"}
	asked(rated("autonomous", "critical", "read")) == {"risk.high-needs-person"}
}

test_whoever_is_not_in_the_table_is_not_allowed if {
	not allowed(rated("free", "low", "read"))
	not allowed(rated("bounded", "none", "read"))
	not allowed(rated("bounded", "low", "paint"))
	asked(rated("free", "high", "read")) == {"risk.high-needs-person"}
}

rated(autonomy, risk, effect) := sample.changed(sample.call, {
	"agent": {"autonomy": autonomy},
	"tool": {"risk": risk, "effect": effect},
})
