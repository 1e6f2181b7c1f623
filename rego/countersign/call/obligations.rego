package countersign.call

# METADATA
# description: >-
#   What the host is obliged to with the call at hand, besides letting it through or not. None by default. In a rule of your
#   own: `obligations contains lib.obligation("acme.audit", "notify", {"to": "ledger", "message": "..."}) if ...`.
obligations contains obligation if some obligation in _obligations

_obligations := set()
