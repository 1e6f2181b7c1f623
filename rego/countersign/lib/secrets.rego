package countersign.lib

# `secrets` is `{tools, routes, paths, classes}`: patterns of tools, names of routes, patterns of paths, and data classes.

# METADATA
# description: >-
#   True when a call goes to where secrets are: by its tool, its route or its path, as sent or decoded, in whatever case.
#   `call` is the input.
secret_endpoint(secrets, call) if any_matches(secrets.tools, call.tool.name)

secret_endpoint(secrets, call) if call.tool.route in secrets.routes

secret_endpoint(secrets, call) if {
	some pattern in secrets.paths
	some path in [call.request.path, concat("/", array.concat([""], call.request.segments))]
	matches(lower(pattern), lower(path))
}

# METADATA
# description: True when what a call reads is known as a secret afterwards, by its name or by its data classes.
secret_labelled(secrets, call) if any_matches(secrets.tools, call.tool.name)

secret_labelled(secrets, call) if {
	some class in call.tool.data
	class in object.get(secrets, "classes", ["secret"])
}

# METADATA
# description: True when surely no secret was read, neither by this task nor by what its caller remembers.
secret_free(secrets, call) if {
	is_array(call.task.sensitivity)
	every class in call.task.sensitivity {
		not class in object.get(secrets, "classes", ["secret"])
	}
	every pattern in object.get(secrets, "tools", []) {
		before(call, pattern)
	}
}
