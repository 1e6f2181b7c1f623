#!/bin/sh
# Looks an order up: ./agent.sh ORDER. Its identity is the JWT-SVID in $AGENT_TOKEN_FILE, read anew for each call.
set -eu
base=${COUNTERSIGN_URL:-http://127.0.0.1:7420}
order=$1

call() {
  curl --silent --show-error --max-time 30 -H "Authorization: Bearer $(cat "$AGENT_TOKEN_FILE")" "$@"
}
post() {
  call -X POST -H 'Content-Type: application/json' -d "$2" "$base$1"
}
member() { # of flat JSON: its first text under this name
  sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1
}

opened=$(post /.countersign/v1/tasks "{\"purpose\":\"look up order $order\",\"resources\":[\"order:$order\"],\"ttl\":\"5m\"}")
task=$(printf '%s' "$opened" | sed -n 's/^{"id":"\([^"]*\)".*/\1/p')
if [ -z "$task" ]; then
  echo "no task: $opened" >&2
  exit 1
fi
trap 'post "/.countersign/v1/tasks/$task/complete" "{}" > /dev/null' EXIT

echo "order: $(call "$base/t/$task/crm/orders/$order")"

# what it was not registered for is refused, with a code that a script can act on
refused=$(call -X DELETE "$base/t/$task/crm/orders/$order")
echo "deleting it: $(printf '%s' "$refused" | member code)"
