package countersign.lib

# METADATA
# description: True when `name` is `pattern`, or begins with what stands before the `*` that ends `pattern`.
matches(pattern, name) if {
	is_string(name)
	pattern == name
}

matches(pattern, name) if {
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
# description: The classes of `classes` that are neither public nor in `allowed`; nothing is allowed by a null.
beyond(classes, allowed) := {class |
	some class in classes
	not _may(class, allowed)
}

_may("public", _)

_may(class, allowed) if class in allowed
