package countersign.agent_test

import data.countersign.agent
import data.countersign.sample

test_an_agent_with_three_owners_is_owned if {
	agent.owned with input as sample.call
	count(agent.deny) == 0 with input as sample.call
}

test_an_agent_without_owners_is_refused if {
	some finding in agent.deny with input as sample.changed(sample.call, {"agent": {"owners": null}})
	finding.rule == "owners.missing"
	finding.detail == {"missing": ["business", "security", "incident"]}
	not finding.observable
}

test_an_agent_without_one_owner_is_refused if {
	every duty in ["business", "security", "incident"] {
		some finding in agent.deny with input as sample.without(sample.call, concat("/", ["/agent/owners", duty]))
		finding.detail == {"missing": [duty]}
	}
}

test_a_blank_owner_is_no_owner if {
	not agent.owned with input as sample.changed(sample.call, {"agent": {"owners": {"security": " "}}})
}

test_an_agent_that_is_not_live_is_refused if {
	every lifecycle in ["proposed", "approved", "suspended", "retired", null] {
		some finding in agent.deny with input as sample.changed(sample.call, {"agent": {"lifecycle": lifecycle}})
		finding.rule == "agent.not-live"
		finding.detail == {"lifecycle": lifecycle}
	}
}
