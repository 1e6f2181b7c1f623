package countersign.lib

# METADATA
# description: >-
#   Who must answer, by the first of some rows of `decide.settings.approvals.who`; without any one approver of this Countersign, whoever
#   that is. A row that does not say who is answered by nobody.
demanded(rows) := {"approvers": [], "quorum": 1} if count(rows) == 0

demanded(rows) := object.union(
	{"approvers": object.get(rows[0], "approvers", ["nobody"]), "quorum": object.get(rows[0], "quorum", 1)},
	{"ttl": ttl | ttl := rows[0].ttl},
) if {
	count(rows) > 0
}

# METADATA
# description: >-
#   True when the approval of `call`, the whole input, is in time and not used up, and is that of people who may give it as `demand` says, as
#   many as it says. Whoever broke the glass answers for it.
answered(call, demand) if {
	_in_time(call)
	call.approval.break_glass == false
	demand.quorum > 0
	count({person | some person in call.approval.by; _may_answer(person, call.approval, demand)}) >= demand.quorum
}

answered(call, _) if {
	_in_time(call)
	call.approval.break_glass == true
}

_in_time(call) if {
	call.context.now < call.approval.expires
	call.approval.used < call.approval.calls
}

_may_answer(_, _, demand) if demand.approvers == []

_may_answer(person, _, demand) if person in demand.approvers

_may_answer(person, approval, demand) if {
	some group in approval.groups[person]
	group in demand.approvers
}
