# Calls the builtin that the input names, so that every builtin of the host is reached through a compiled module.
# JSON has no sets: an argument `{"set": [...]}` becomes one.
package countersign

decision := {"effect": "deny", "gives": [given | given := gives]}

task := {"effect": "deny", "over": stalled}

default stalled := false

stalled if {
	input.task.intent.purpose == "stall"
	over
}

args := [arg | some given in input.args; arg := value(given)]

value(given) := {item | some item in given.set} if is_array(given.set)

value(given) := given if not is_array(object.get({"given": given}, ["given", "set"], null))

gives := base64url.encode_no_pad(args[0]) if input.call == "base64url.encode_no_pad"

gives := crypto.sha256(args[0]) if input.call == "crypto.sha256"

gives := hex.decode(args[0]) if input.call == "hex.decode"

gives := hex.encode(args[0]) if input.call == "hex.encode"

gives := indexof_n(args[0], args[1]) if input.call == "indexof_n"

gives := object.subset(args[0], args[1]) if input.call == "object.subset"

gives := sprintf(args[0], [arg | some given in args[1]; arg := value(given)]) if input.call == "sprintf"

gives := strings.any_prefix_match(args[0], args[1]) if input.call == "strings.any_prefix_match"

gives := strings.any_suffix_match(args[0], args[1]) if input.call == "strings.any_suffix_match"

gives := strings.count(args[0], args[1]) if input.call == "strings.count"

gives := time.now_ns() - time.now_ns() if input.call == "time.now_ns"

gives := urlquery.decode(args[0]) if input.call == "urlquery.decode"

gives := urlquery.decode_object(args[0]) if input.call == "urlquery.decode_object"

gives := urlquery.encode(args[0]) if input.call == "urlquery.encode"

gives := urlquery.encode_object(args[0]) if input.call == "urlquery.encode_object"

# Two values for one rule: the engine aborts.
gives := 1 if input.call == "conflict"

gives := 2 if input.call == "conflict"

gives := data.countersign.settings if input.call == "settings"

gives := json.marshal(data.countersign.settings[args[0]]) if input.call == "setting"

gives := "over" if {
	input.call == "stall"
	over
}

# Takes days and no memory: what a watchdog is for.
over if {
	names := split("a b c d e f g h i j k l m n o p q r s t u v w x y z", " ")
	some _ in names
	some _ in names
	some _ in names
	some _ in names
	some _ in names
	some _ in names
	some _ in names
	some name in names
	name == "never"
}
