/** `decide.bundle`: where the compiled policy comes from, and what makes it trusted. */
import { z } from 'zod'
import { SecretRef } from '../credential/secret-ref.ts'
import { algorithms } from '../decide/bundle/key.ts'
import { isLoopback } from '../identify/keys/key-document.ts'
import { durationBetween } from '../units.ts'
import type { Finding } from './findings.ts'
import type { Place } from './yaml-text.ts'
import type { Config } from './schema.ts'

const file = z.strictObject({ file: z.string().min(1) })

const algorithm = z
  .enum(algorithms)
  .optional()
  .describe('How the key signs; a signature is not asked. Default: RS256, ES256, ES384, ES512 or EdDSA by the kind of key.')

const key = z.strictObject({
  file: z.string().min(1).describe('The public key or a certificate, PEM; the secret of an HS algorithm, byte for byte.'),
  algorithm,
})

const id = z
  .string()
  .regex(/^spiffe:\/\/[a-z0-9._-]+\/.+$/, 'must be a SPIFFE ID such as spiffe://acme.example/bundle-server')
  .optional()
  .describe('SPIFFE ID that the server must prove.')

/** One of three ways; `proof` says which members go together. */
const authConfig = z.strictObject({
  bearer: SecretRef.optional().describe('Token for the Authorization header; a file is read again for every request.'),
  tls: z.literal('svid').optional().describe('Shows the X.509-SVID of this Countersign; needs id.'),
  id,
  cert: file.optional().describe('Client certificate chain, PEM, leaf first; read again for every request. Needs key.'),
  key: file.optional().describe('Private key of cert, PEM, unencrypted; read again for every request.'),
})

const poll = z
  .strictObject({ min: durationBetween(100, 86_400_000), max: durationBetween(100, 86_400_000) })
  .optional()
  .describe('Time between two looks, drawn between both. Default: 1s for a path, 60s to 120s for a url. A url that fails is tried sooner.')

/** A bundle in a file, in a folder or on a server; the checks of `bundleSource` say which settings go together. */
export const bundleConfig = z.strictObject({
  path: z.string().min(1).optional().describe('A bundle (.tar.gz), or a folder with the files of one. Looked at again by itself.'),
  url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("A bundle on a server that speaks OPA's bundle protocol; any static file server does."),
  key: key.optional().describe('The key that bundles are signed with.'),
  keys: z
    .record(z.string().regex(/^[\w.:@/+-]{1,128}$/), key.extend({ scope: z.string().optional().describe('Scope of this key.') }))
    .optional()
    .describe('Several keys by their ids, as `kid` of a signature names them.'),
  scope: z.string().min(1).optional().describe('Scope that a signature must state.'),
  unsafe_unsigned: z.boolean().default(false).describe('Activates a bundle that nobody signed: whoever can write it decides.'),
  signed_within: durationBetween(60_000, 31_536_000_000)
    .optional()
    .describe(
      'Oldest signature (iat) that is believed, also while it is in force; a bundle that does not say when it was signed is refused.',
    ),
  poll,
  long_poll: durationBetween(1000, 3_600_000)
    .optional()
    .describe('url: how long the server may hold an answer until there is something new.'),
  max_age: durationBetween(1000, 31_536_000_000)
    .optional()
    .describe('url: how long a bundle judges after the server last confirmed it; then calls are refused. Default: 4h.'),
  persist: z.string().min(1).optional().describe('Folder for the last good bundle. Default: `policy` beside the state.'),
  auth: authConfig.optional().describe('url: how Countersign proves itself to the server.'),
  ca: file.optional().describe('url: PEM file of authorities that the server may be proven by, besides those of this machine.'),
})

export type BundleConfig = z.infer<typeof bundleConfig>

/** A `poll` that was left out. */
export const usualPoll = { path: { min: 1000, max: 1000 }, url: { min: 60_000, max: 120_000 } } as const
/** A `max_age` that was left out, ms. */
export const usualMaxAge = 4 * 3_600_000

/** What the settings of `decide.bundle` say together. */
export function bundleSource({ decide, identify }: Config, place: Place): Finding[] {
  const { bundle } = decide
  if (bundle === undefined) return []
  const at = (...path: PropertyKey[]): PropertyKey[] => ['decide', 'bundle', ...path]
  const found: Finding[] = []
  if ((bundle.path === undefined) === (bundle.url === undefined))
    found.push(place('CS1402', 'error', at(), 'a bundle needs exactly one of path and url'))
  if (bundle.key !== undefined && bundle.keys !== undefined)
    found.push(place('CS1402', 'error', at('keys'), 'name the keys in either key or keys'))
  const signed = bundle.key !== undefined || Object.keys(bundle.keys ?? {}).length > 0
  found.push(...signing(bundle, signed, place))
  if (bundle.poll !== undefined && bundle.poll.min > bundle.poll.max)
    found.push(place('CS1201', 'error', at('poll'), 'decide.bundle.poll: min is longer than max'))
  if (bundle.url === undefined) {
    for (const name of ['long_poll', 'max_age', 'auth', 'ca'] as const)
      if (bundle[name] !== undefined) found.push(place('CS1403', 'error', at(name), `${name} goes with url: nobody is asked for a file`))
    return found
  }
  found.push(...server(bundle, bundle.url, signed, place))
  const ownSvid = identify.sources.some(({ type }) => type === 'spiffe')
  if (bundle.auth?.tls !== undefined && !ownSvid)
    found.push(place('CS1401', 'error', at('auth', 'tls'), 'no identity source gives an SVID of our own: add one of type spiffe'))
  return found
}

function signing(bundle: BundleConfig, signed: boolean, place: Place): Finding[] {
  const at = (name?: string): PropertyKey[] => ['decide', 'bundle', ...(name === undefined ? [] : [name])]
  if (!signed && !bundle.unsafe_unsigned)
    return [
      place(
        'CS1701',
        'error',
        at(),
        'nothing proves who made the policy: name the key: { file: … } it is signed with, or say unsafe_unsigned: true',
      ),
    ]
  if (signed && bundle.unsafe_unsigned)
    return [place('CS1403', 'warning', at('unsafe_unsigned'), 'with a key unsigned bundles are refused: unsafe_unsigned changes nothing')]
  if (signed) return []
  return (['scope', 'signed_within'] as const)
    .filter((name) => bundle[name] !== undefined)
    .map((name) => place('CS1403', 'error', at(name), `${name} needs a key: nobody signed the bundle`))
}

/** What travels in clear may be read and changed by whoever stands between. */
function server(bundle: BundleConfig, text: string, signed: boolean, place: Place): Finding[] {
  const url = new URL(text)
  const at = (name: string): PropertyKey[] => ['decide', 'bundle', name]
  const found: Finding[] = []
  if (url.username !== '' || url.password !== '' || url.hash !== '')
    found.push(place('CS1201', 'error', at('url'), 'decide.bundle.url: must have no user, password or fragment'))
  const { auth, ca } = bundle
  found.push(...proof(auth, place))
  if (url.protocol === 'https:') {
    if (ca !== undefined && auth?.tls !== undefined)
      found.push(place('CS1403', 'warning', at('ca'), 'with tls: svid the bundle of the trust domain counts, not ca'))
    return found
  }
  if (ca !== undefined) found.push(place('CS1403', 'error', at('ca'), 'over plain http nobody shows a certificate'))
  if (auth?.tls !== undefined || auth?.cert !== undefined)
    found.push(place('CS1201', 'error', at('auth'), 'a certificate needs an https URL'))
  if (isLoopback(url.hostname)) return found
  if (!signed)
    found.push(place('CS1701', 'error', at('url'), 'an unsigned bundle would come in clear: use https, or name the key it is signed with'))
  if (auth?.bearer !== undefined) found.push(place('CS1501', 'error', at('auth'), 'the token would travel in clear: use https'))
  return found
}

/** Exactly one way, whole. */
function proof(auth: BundleConfig['auth'], place: Place): Finding[] {
  if (auth === undefined) return []
  const at = ['decide', 'bundle', 'auth']
  const ways = [auth.bearer, auth.tls ?? auth.id, auth.cert ?? auth.key].filter((way) => way !== undefined)
  if (ways.length !== 1) return [place('CS1402', 'error', at, 'decide.bundle.auth: say one of bearer, tls with id, cert with key')]
  const pairs = [
    ['tls', 'id'],
    ['cert', 'key'],
  ] as const
  return pairs
    .flatMap(([one, other]) => [[one, other] as const, [other, one] as const])
    .filter(([there, missing]) => auth[there] !== undefined && auth[missing] === undefined)
    .map(([there, missing]) => place('CS1202', 'error', [...at, there], `missing: decide.bundle.auth.${missing}, which goes with ${there}`))
}
