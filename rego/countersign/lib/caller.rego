package countersign.lib

# METADATA
# description: >-
#   True when a caller proved with this call that it holds a key: by its certificate, or by a proof of possession (DPoP).
#   In a rule of your own: `_bound if lib.bound(input.caller)`, and then `not _bound`.
bound(caller) if caller.confirmed in {"mtls", "dpop"}
