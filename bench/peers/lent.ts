/**
 * The forward stage alone, with a credential and without one, to an upstream over TLS and over plain HTTP. Everything before it is left
 * out, so that what scrubbing costs stands out as much as it ever can. Takes the upstream's ports, its certificate and the secret by
 * message, and sends its own ports back.
 */
import { Secret } from '../../src/secret.ts'
import { sketchLease, startRig, type Rig } from '../../test/support/forward-rig.ts'
import type { Large } from './large.ts'

process.once('message', ({ secret, http, https, cert }: Large & { readonly secret: string }) => {
  const lease = sketchLease({ secret: new Secret(secret), expires: Number.MAX_SAFE_INTEGER })
  const start = (scheme: 'http' | 'https', lent: boolean): Promise<Rig> => {
    const port = scheme === 'http' ? http : https
    const origin = `${scheme}://localhost:${port}`
    const to = { origin, scheme, authority: `localhost:${port}`, hostname: 'localhost', port, basePath: '' }
    const forward = { ca: new Map([['crm', [cert]]]) }
    return startRig(port, { route: { to, credential: lent ? 'crm' : null }, forward, lease: lent ? lease : null })
  }
  void Promise.all([start('https', false), start('https', true), start('http', false), start('http', true)]).then((rigs) =>
    process.send?.(rigs.map(({ port }) => port)),
  )
})
