package countersign.lib

# METADATA
# description: >-
#   True when a caller proved with this call that it holds a key: by its certificate, or by a proof of possession (DPoP).
#   In a rule of your own: `not lib.bound(input.caller)`.
bound(caller) if caller.confirmed in {"mtls", "dpop"}
