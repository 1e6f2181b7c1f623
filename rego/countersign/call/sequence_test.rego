package countersign.call_test

import data.countersign.sample

test_a_call_is_made_ten_times_and_no_more if {
	denied(sample.changed(sample.call, {"sequence": {"repeats": 9}})) == set()
	denied(sample.changed(sample.call, {"sequence": {"repeats": 10}})) == {"sequence.repeats"}
	denied(sample.without(sample.call, "/sequence/repeats")) == {"sequence.repeats"}
}
