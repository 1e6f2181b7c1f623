package countersign.lib

# METADATA
# description: Obliges to count these data classes as read. `id` is the rule that says so; one obligation per id.
raise(id, classes) := {"id": id, "type": "raise_sensitivity", "properties": {"classes": classes}}

# METADATA
# description: Obliges to put stars for these places of an answer, as JSON pointers in which a `*` stands for every member or item.
mask(id, paths) := {"id": id, "type": "mask_response", "properties": {"paths": paths}}

# METADATA
# description: Obliges to take these places out of an answer.
drop(id, paths) := {"id": id, "type": "drop_response_fields", "properties": {"paths": paths}}

# METADATA
# description: >-
#   The places for a tool in a table of tool names or patterns and their places, sorted; an empty list when it has none.
#   In a rule of your own: `obligations contains lib.mask("acme.mask", paths) if { paths := lib.places(table, input.tool.name); paths != [] }`.
places(table, tool) := sort({path |
	some pattern, paths in table
	matches(pattern, tool)
	some path in paths
})
