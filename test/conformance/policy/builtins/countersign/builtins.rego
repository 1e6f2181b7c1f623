# Calls the builtin that the input names, so that every builtin of the host is reached through a compiled module.
# JSON has no sets: an argument `{"set": [...]}` becomes one, and a set that is given becomes that again, in order.
package countersign

decision := {"effect": "deny", "gives": [shown(given) | given := gives]}

task := {"effect": "deny", "over": stalled}

default stalled := false

stalled if {
	input.task.intent.purpose == "stall"
	over
}

args := [arg | some given in input.args; arg := value(given)]

value(given) := {item | some item in given.set} if is_array(given.set)

value(given) := given if not is_array(object.get({"given": given}, ["given", "set"], null))

shown(given) := {"set": sort(given)} if is_set(given)

shown(given) := given if not is_set(given)

gives := base64url.encode_no_pad(args[0]) if input.call == "base64url.encode_no_pad"

gives := crypto.hmac.equal(args[0], args[1]) if input.call == "crypto.hmac.equal"

gives := crypto.hmac.sha256(args[0], args[1]) if input.call == "crypto.hmac.sha256"

gives := crypto.hmac.sha512(args[0], args[1]) if input.call == "crypto.hmac.sha512"

gives := crypto.sha256(args[0]) if input.call == "crypto.sha256"

gives := glob.quote_meta(args[0]) if input.call == "glob.quote_meta"

gives := graph.reachable_paths(args[0], args[1]) if input.call == "graph.reachable_paths"

gives := hex.decode(args[0]) if input.call == "hex.decode"

gives := hex.encode(args[0]) if input.call == "hex.encode"

gives := indexof_n(args[0], args[1]) if input.call == "indexof_n"

gives := io.jwt.decode(args[0]) if input.call == "io.jwt.decode"

gives := json.patch(args[0], args[1]) if input.call == "json.patch"

gives := net.cidr_contains_matches(args[0], args[1]) if input.call == "net.cidr_contains_matches"

gives := net.cidr_expand(args[0]) if input.call == "net.cidr_expand"

gives := net.cidr_is_valid(args[0]) if input.call == "net.cidr_is_valid"

gives := net.cidr_merge(args[0]) if input.call == "net.cidr_merge"

gives := numbers.range_step(args[0], args[1], args[2]) if input.call == "numbers.range_step"

gives := object.subset(args[0], args[1]) if input.call == "object.subset"

gives := semver.compare(args[0], args[1]) if input.call == "semver.compare"

gives := semver.is_valid(args[0]) if input.call == "semver.is_valid"

gives := sprintf(args[0], [arg | some given in args[1]; arg := value(given)]) if input.call == "sprintf"

gives := strings.any_prefix_match(args[0], args[1]) if input.call == "strings.any_prefix_match"

gives := strings.any_suffix_match(args[0], args[1]) if input.call == "strings.any_suffix_match"

gives := strings.count(args[0], args[1]) if input.call == "strings.count"

gives := strings.split_n(args[0], args[1], args[2]) if input.call == "strings.split_n"

gives := time.add_date(args[0], args[1], args[2], args[3]) if input.call == "time.add_date"

gives := time.clock(args[0]) if input.call == "time.clock"

gives := time.date(args[0]) if input.call == "time.date"

gives := time.diff(args[0], args[1]) if input.call == "time.diff"

gives := time.format(args[0]) if input.call == "time.format"

gives := time.now_ns() - time.now_ns() if input.call == "time.now_ns"

gives := time.parse_duration_ns(args[0]) if input.call == "time.parse_duration_ns"

gives := time.parse_ns(args[0], args[1]) if input.call == "time.parse_ns"

gives := time.parse_rfc3339_ns(args[0]) if input.call == "time.parse_rfc3339_ns"

gives := time.weekday(args[0]) if input.call == "time.weekday"

gives := units.parse(args[0]) if input.call == "units.parse"

gives := units.parse_bytes(args[0]) if input.call == "units.parse_bytes"

gives := uri.is_valid(args[0]) if input.call == "uri.is_valid"

gives := uri.parse(args[0]) if input.call == "uri.parse"

gives := urlquery.decode(args[0]) if input.call == "urlquery.decode"

gives := urlquery.decode_object(args[0]) if input.call == "urlquery.decode_object"

gives := urlquery.encode(args[0]) if input.call == "urlquery.encode"

gives := urlquery.encode_object(args[0]) if input.call == "urlquery.encode_object"

gives := uuid.parse(args[0]) if input.call == "uuid.parse"

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
