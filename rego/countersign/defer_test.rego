package countersign_test

import data.countersign
import data.countersign.sample

_decided(settings, document) := decision if {
	decision := countersign.decision with input as document with data.countersign.settings as settings
}

_scan(more) := {"requires": [object.union({"id": "scanned", "signal": "malware-scan", "tools": ["mail.*"], "otherwise": "deny"}, more)]}

_signal(value) := {"signals": {"malware-scan": {"value": value, "source": "scanner", "ago": 1}}}

test_a_call_waits_for_a_signal_that_a_setting_requires if {
	decision := _decided(_scan({"equals": "clean", "hold": 5000}), sample.mail)
	decision.effect == "defer"
	decision.deferral == {"missing": ["signals.malware-scan.value"], "conflicts": [], "ttl": 5000}
	sample.rules(decision) == {"signals.required"}
	_decided(_scan({}), sample.mail).deferral == {"missing": ["signals.malware-scan.value"], "conflicts": []}
	_decided(_scan({}), sample.call).effect == "allow"
	_decided(_scan({}), sample.without(sample.mail, "/signals")).effect == "defer"
}

test_a_signal_that_is_there_allows_denies_or_asks if {
	clean := sample.changed(sample.mail, _signal("clean"))
	_decided(_scan({"equals": "clean"}), clean).effect == "allow"
	_decided(_scan({"equals": true}), clean).effect == "deny"
	_decided(_scan({"equals": true, "otherwise": "ask"}), clean).effect == "ask"
	_decided(_scan({}), sample.changed(sample.mail, _signal(false))).effect == "allow"
	_decided({"requires": [{"signal": "malware-scan", "equals": "clean"}]}, sample.changed(sample.mail, _signal("bad"))).effect == "deny"
	_decided({"requires": [{}]}, clean).effect == "defer"
}

test_what_is_forbidden_or_about_data_is_denied_though_a_fact_is_missing if {
	unowned := sample.changed(sample.mail, {"agent": {"owners": null}})
	_decided(_scan({}), unowned).effect == "deny"
	tainted := sample.changed(sample.mail, {"task": {"sensitivity": ["personal"]}})
	_decided(_scan({}), tainted).effect == "deny"
	not _decided(_scan({}), tainted).deferral
}

test_a_denial_in_context_and_an_ask_wait_for_the_fact if {
	frozen := object.union(_scan({}), _freeze)
	_decided(frozen, sample.mail).effect == "defer"
	sample.rules(_decided(frozen, sample.mail)) == {"signals.required", "change.freeze"}
	_decided(frozen, sample.changed(sample.mail, _signal(1))).effect == "deny"
	risky := sample.changed(sample.mail, {"tool": {"risk": "high"}})
	_decided(_scan({}), risky).effect == "defer"
	not _decided(_scan({}), risky).approval
}

_freeze := {"freeze": [{"from": 0, "until": 5000, "effects": ["send"], "reason": "release", "effect": "deny"}]}

_except(more) := {"exceptions": [object.union(
	{"id": "hotfix", "lifts": ["change.*"], "after": [], "until": 2000, "by": "ada", "reason": "hotfix", "priority": 0},
	more,
)]}

test_an_exception_of_the_same_priority_conflicts_and_the_call_waits if {
	decision := _decided(object.union(_freeze, _except({})), sample.mail)
	decision.effect == "defer"
	decision.deferral == {"missing": [], "conflicts": ["change.freeze"]}
	sample.rules(decision) == {"change.freeze", "conflict.equal"}
}

test_an_exception_of_a_higher_priority_lifts_and_says_so if {
	decision := _decided(object.union(_freeze, _except({"priority": 1})), sample.mail)
	decision.effect == "allow"
	decision.labels == {"exception.lifted": "change.freeze by ada until 2000 hotfix"}
	_decided(object.union(_freeze, _except({"priority": -1})), sample.mail).effect == "deny"
}

test_an_exception_counts_in_time_for_its_tools_and_after_what_it_names if {
	lifting := {"priority": 1, "after": ["tickets.hotfix"], "tools": ["mail.*"]}
	settings := object.union(_freeze, _except(lifting))
	_decided(settings, sample.mail).effect == "deny"
	prepared := sample.changed(sample.mail, {"sequence": {"steps": {"tickets.hotfix": [1, 1]}}})
	_decided(settings, prepared).effect == "allow"
	_decided(settings, sample.changed(prepared, {"context": {"now": 2000}})).effect == "deny"
	_decided(object.union(_freeze, _except({"priority": 1, "tools": ["crm.*"]})), sample.mail).effect == "deny"
	_decided(object.union(_freeze, {"exceptions": [{"lifts": ["*"], "priority": 9}]}), sample.mail).effect == "deny"
}

test_an_exception_widens_no_task_and_lifts_nothing_that_is_forbidden if {
	lifting := _except({"lifts": ["*"], "priority": 9})
	_decided(lifting, sample.changed(sample.mail, {"tool": {"name": "other"}})).effect == "deny"
	_decided(lifting, sample.changed(sample.mail, {"agent": {"owners": null}})).effect == "deny"
	_decided(lifting, sample.changed(sample.mail, {"task": {"sensitivity": ["personal"]}})).effect == "deny"
	_decided(lifting, sample.changed(sample.mail, {"v": 2})).effect == "deny"
}

test_open_work_ends_with_a_signal_that_speaks_against_it_and_with_no_other if {
	settings := _scan({"equals": "clean"})
	_goes_on(settings, _signal("clean")) == "allow"
	_goes_on(settings, {"signals": {}}) == "allow"
	_goes_on(settings, _signal("infected")) == "deny"
	_goes_on(_scan({"equals": "clean", "otherwise": "ask"}), _signal("infected")) == "allow"
}

_goes_on(settings, change) := decision.effect if {
	decision := countersign.continue with input as sample.changed(sample.upload, change) with data.countersign.settings as settings
}
