package countersign.lib

# METADATA
# description: True when `name` is `pattern`, or begins with what stands before the `*` that ends `pattern`.
matches(pattern, name) if {
	is_string(name)
	pattern == name
} else if {
	endswith(pattern, "*")
	startswith(name, trim_suffix(pattern, "*"))
}

# METADATA
# description: True when one of `patterns` matches `name`. An asked pattern is within a granted one by the same test.
any_matches(patterns, name) if {
	some pattern in patterns
	matches(pattern, name)
}

# METADATA
# description: >-
#   Patterns taken apart once, for `covers` to hold many names against. An agent chooses how many names it asks for,
#   and an evaluation cannot be interrupted.
taken_apart(patterns) := {
	"names": {pattern | some pattern in patterns},
	"stems": [trim_suffix(pattern, "*") | some pattern in patterns; endswith(pattern, "*")],
}

# METADATA
# description: The same as `any_matches`, on patterns taken apart.
covers(granted, name) if name in granted.names

covers(granted, name) if {
	some stem in granted.stems
	startswith(name, stem)
}

# METADATA
# description: >-
#   The classes of `classes` that are neither public nor in `allowed`; nothing is allowed by a null. That something was found out
#   (`kind:discovery`) is no data, and bars no destination.
beyond(classes, allowed) := {class |
	some class in classes
	not _may(class, allowed)
}

_may("public", _)

_may("kind:discovery", _)

_may(class, allowed) if class in allowed
