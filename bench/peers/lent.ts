/**
 * The forward stage alone, twice: a route with a credential and one without, to the upstream at the port given. Everything before it is
 * left out, so that what scrubbing costs stands out as much as it ever can. Sends its two ports to whoever forked it.
 */
import { sketchLease, startRig } from '../../test/support/forward-rig.ts'
import { Secret } from '../../src/secret.ts'

const upstream = Number(process.argv[2])
const secret = new Secret(process.argv[3] ?? '')
const lent = await startRig(upstream, { lease: sketchLease({ secret, expires: Number.MAX_SAFE_INTEGER }), route: { credential: 'crm' } })
const open = await startRig(upstream, { route: { credential: null } })
process.send?.({ lent: lent.port, open: open.port })
