# METADATA
# description: Inputs that are allowed as they stand, for tests to change one thing at a time.
package countersign.sample

# A bounded agent reads one customer.
call := {
	"v": 1,
	"request": {
		"id": "c_1", "method": "GET", "scheme": "http", "host": "127.0.0.1:7420", "port": 7420,
		"path": "/customers/42", "segments": ["customers", "42"], "query": {}, "headers": {},
		"body": {"kind": "none", "sha256": null, "size": 0, "judged": true}, "protocol": "http",
	},
	"caller": {
		"spiffe_id": "spiffe://acme.example/agent", "trust_domain": "acme.example", "method": "jwt-svid",
		"confirmed": "bearer", "issuer": null, "expires": 2000, "claims": {},
	},
	"agent": _agent,
	"task": {
		"id": "t_1", "state": "active", "implicit": false,
		"intent": {
			"purpose": "answer refunds", "prompt": null, "tools": ["crm.*", "mail.send", "payments.refund.create"],
			"resources": ["customer:*", "order:7"], "data": ["internal", "personal"], "egress": ["internal", "partner"],
		},
		"on_behalf_of": null, "started": 0, "expires": 2000,
		"budget": {"limit": {"calls": 5, "eur": 100}, "spent": {"calls": 3}, "debit": {"calls": 1}},
		"sensitivity": [], "inherited": {},
	},
	"delegation": {"depth": 0, "root": "agent:spiffe://acme.example/agent", "chain": [], "verified": true},
	"tool": {
		"name": "crm.customer.read", "kind": "routine", "route": "crm", "effect": "read", "risk": "low", "data": ["personal"],
		"egress": "internal", "resource": "customer:42", "accepts": null, "args_sha256": null,
		"catalogued": true, "prompt": false, "bound": false,
	},
	"sequence": {
		"step": 3, "last": [], "counts": {}, "steps": {}, "taint": [], "sources": {}, "brought": [], "hosts": 1,
		"seen": {"tool": 0, "host": 3, "resource": 0, "class": 0}, "repeats": 0, "sums": [], "failures": 0, "denials": {}, "diverged": false,
		"divergence": {"score": 0, "reasons": []},
	},
	"approval": null, "signals": {},
	"context": {"now": 1000, "mode": "enforce", "policy_revision": "r", "environment": "test"},
}

# A person said yes to one call.
approval := {
	"id": "a_1", "kind": "action", "by": ["person:ada"], "groups": {"person:ada": ["group:approvers"]}, "quorum": 1,
	"break_glass": false, "asked": 500, "at": 900, "expires": 1500, "used": 0, "calls": 1, "revision": "r",
}

# The same agent mails a partner that may receive internal data.
mail := changed(call, {
	"tool": {
		"name": "mail.send", "route": "mail", "effect": "send", "risk": "medium", "data": [],
		"egress": "partner", "resource": null, "accepts": ["public", "internal"],
	},
	"request": {"method": "POST", "body": {"kind": "json", "sha256": "ab", "size": 12, "parsed": {}}},
})

# It asks for a task within its registration.
opening := {
	"v": 1,
	"action": "open",
	"caller": call.caller,
	"agent": object.union(_agent, {
		"ttl": 60000,
		"intent": {
			"tools": ["crm.*", "mail.send"], "resources": ["customer:*", "order:7"], "data": ["internal", "personal"],
			"egress": ["internal", "partner"], "budget": {"calls": 5, "eur": 100},
		},
	}),
	"task": {
		"intent": {
			"purpose": "answer one refund", "prompt": null, "tools": ["crm.customer.*", "mail.send"],
			"resources": ["customer:42", "order:7"], "data": ["personal", "public"], "egress": ["internal"],
			"budget": {"calls": 5, "eur": 100},
		},
		"ttl": 60000,
	},
	"delegation": call.delegation,
	"approval": null,
	"context": call.context,
}

# The customer came back.
answer := {
	"v": 1,
	"request": {"id": "c_1", "method": "GET", "path": "/customers/42"},
	"caller": call.caller,
	"agent": call.agent,
	"task": call.task,
	"tool": object.union(call.tool, {"answer": "json"}),
	"response": {
		"status": 200,
		"headers": {"content-type": "application/json"},
		"body": {"kind": "json", "size": 12, "judged": true, "truncated": false, "sample": `{"name":"A"}`, "parsed": {"name": "A"}},
	},
	"context": call.context,
}

# The mail is a slow upload, half sent, when something changes.
upload := object.union(ongoing(mail), {
	"kind": "stream",
	"request": {"id": "c_1", "method": "POST", "path": "/messages"},
	"caller": mail.caller,
	"lease": null,
	"work": {"age": 500, "sending": true, "bytes_out": 7, "bytes_in": null, "revision": "r"},
})

# The credential that it was lent.
lease := object.union(ongoing(mail), {
	"kind": "lease",
	"request": null,
	"caller": {"spiffe_id": "spiffe://acme.example/agent", "trust_domain": "acme.example"},
	"lease": {
		"id": "l_1", "provider": "mail", "tool": "mail.send", "scopes": [], "audience": null,
		"destination": "https://mail.acme.example", "issued": 500, "expires": 1500, "revision": "r",
	},
	"work": {"age": 500, "sending": false, "bytes_out": null, "bytes_in": null, "revision": "r"},
})

ongoing(document) := {
	"v": 1,
	"cause": "sensitivity",
	"agent": document.agent,
	"task": json.remove(document.task, ["/budget/debit"]),
	"delegation": document.delegation,
	"tool": document.tool,
	"sequence": {"step": 3, "taint": [], "sources": {}, "diverged": false, "divergence": {"score": 0, "reasons": []}},
	"context": document.context,
}

_agent := {
	"id": "spiffe://acme.example/agent", "purpose": "answer refunds", "autonomy": "bounded", "lifecycle": "live", "hosting": "own",
	"owners": {"business": "b@acme.example", "security": "s@acme.example", "incident": "i@acme.example"}, "labels": {},
	"bounds": [],
}

# Objects are merged, everything else is replaced.
changed(document, change) := object.union(document, change)

without(document, path) := json.remove(document, [path])

rules(decision) := {reason.rule | some reason in decision.reasons}
