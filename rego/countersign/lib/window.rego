package countersign.lib

# Times are epoch ms, as in `input.context.now`. A zone is a list of `[from, minutes]`, ascending: from that time on its
# clocks are that many minutes ahead of UTC. One entry is a fixed offset, which knows no summer time.

_day := 86400000

_minute := 60000

# METADATA
# description: >-
#   True when a call is made in the span that begins at `from` and ends before `until`, or nobody knows when. `call` is the input.
during(call, from, until) if not _outside(call, from, until)

_outside(call, from, _) if {
	is_number(call.context.now)
	call.context.now < from
}

_outside(call, _, until) if {
	is_number(call.context.now)
	call.context.now >= until
}

# METADATA
# description: What the clocks of a zone are ahead of UTC at `now`, in minutes. Undefined before its first entry.
offset(zone, now) := max([change | some change in zone; change[0] <= now])[1]

# METADATA
# description: Minutes since midnight on clocks that are `ahead` minutes ahead of UTC.
minute_of_day(now, ahead) := floor((local % _day) / _minute) if local := now + (ahead * _minute)

# METADATA
# description: Day of the week on such clocks, 1 is Monday and 7 is Sunday.
weekday(now, ahead) := ((floor((now + (ahead * _minute)) / _day) + 3) % 7) + 1

# METADATA
# description: >-
#   True unless a call surely comes within its hours `{days, from, until, zone}`: days of the week, and minutes of the day. Hours that
#   end at or before they begin run over midnight and belong to the day they began. `call` is the input.
closed(call, hours) if not _in_hours(call, hours)

_in_hours(call, hours) if {
	ahead := offset(hours.zone, call.context.now)
	_open(hours, minute_of_day(call.context.now, ahead), weekday(call.context.now, ahead))
}

_open(hours, minute, day) if {
	hours.from < hours.until
	minute >= hours.from
	minute < hours.until
	day in hours.days
}

_open(hours, minute, day) if {
	hours.from >= hours.until
	minute >= hours.from
	day in hours.days
}

_open(hours, minute, day) if {
	hours.from >= hours.until
	minute < hours.until
	(((day + 5) % 7) + 1) in hours.days
}
