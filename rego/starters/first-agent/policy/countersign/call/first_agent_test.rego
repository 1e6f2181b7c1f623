package countersign.first_agent_test

import data.countersign.call_test
import data.countersign.sample

prompt(text) := sample.changed(sample.mail, {
	"tool": {"name": "openai.chat", "route": "openai", "prompt": true},
	"request": {"body": {"parsed": {"messages": [{"role": "user", "content": text}]}}},
})

test_a_prompt_without_keys_leaves if {
	not "first.no-keys-in-prompts" in call_test.denied(prompt("Was order 1042 paid?"))
}

test_a_prompt_with_a_key_does_not if {
	some text in [
		concat("", ["-----BEGIN RSA ", "PRIVATE KEY-----\nMIIE"]),
		concat("", ["use AKIA", "ABCDEFGHIJKLMNOP please"]),
		concat("", ["ghp_", "0123456789abcdefghijABCDEFGHIJ012345"]),
	]
	"first.no-keys-in-prompts" in call_test.denied(prompt(text))
}

test_a_prompt_that_cannot_be_read_does_not if {
	"first.no-keys-in-prompts" in call_test.denied(sample.without(prompt("hello"), "/request/body/parsed"))
}

test_whoever_is_not_shown_a_prompt_may_be_sent_anything if {
	harmless := sample.changed(prompt(concat("", ["AKIA", "ABCDEFGHIJKLMNOP"])), {"tool": {"prompt": false}})
	not "first.no-keys-in-prompts" in call_test.denied(harmless)
}

test_a_person_answers_before_anything_is_deleted if {
	"first.deletes-need-a-person" in call_test.asked(sample.changed(sample.call, {"tool": {"effect": "delete"}}))
	not "first.deletes-need-a-person" in call_test.asked(sample.call)
}
