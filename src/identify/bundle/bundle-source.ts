import { z } from 'zod'
import { Refusal } from '../../refusal.ts'
import { bundleEndpoint, isEndpointUrl } from './bundle-endpoint.ts'
import { readKeySet } from './bundles.ts'
import type { KeySet } from './bundles.ts'
import { spiffeProfile, webProfile } from './endpoint-profiles.ts'
import type { IdentitySource } from '../identify.ts'
import { fileInterval, keyDocument } from '../keys/key-document.ts'
import type { KeyDocument } from '../keys/key-document.ts'
import { keyMemory } from '../keys/key-memory.ts'
import { KeyFault } from '../keys/key-report.ts'
import { KeySource } from '../keys/key-source.ts'
import type { KeyMemory } from '../keys/key-source.ts'
import { defineSource } from '../source.ts'
import type { IdentifyServices } from '../source.ts'
import { isWorkloadId, parseSpiffeId } from '../spiffe-id.ts'
import { svidRules, svidSettings, trustDomainName } from '../jwt-svid/svid-settings.ts'
import { verifySvid } from '../jwt-svid/svid-verifier.ts'
import { peerCaller } from '../x509/peer.ts'

const path = z.string().min(1)
const map = z
  .boolean()
  .default(false)
  .describe('The document is a SPIFFE bundle map: the bundle that it has for the trust domain counts, and none when it has none.')
const file = z.strictObject({ file: path.describe('A bundle document; read again when it changes.'), map })

const endpoint = {
  url: z
    .string()
    .refine(isEndpointUrl, 'must be an https URL without user')
    .describe('The bundle endpoint; redirects are followed up to three times and never remembered.'),
  cache: z
    .strictObject({ file: path.describe('Written after every reading.') })
    .optional()
    .describe('Keeps the newest bundle for the next start. Absent: a start needs the endpoint.'),
}

const web = z.strictObject({
  ...endpoint,
  profile: z.literal('https_web').describe('The endpoint proves itself by Web PKI.'),
  map,
  ca: z
    .strictObject({ file: path.describe('PEM; read every time.') })
    .optional()
    .describe('Authorities for the certificate of the endpoint, beside those of this machine.'),
})

const spiffe = z.strictObject({
  ...endpoint,
  profile: z.literal('https_spiffe').describe('The endpoint proves itself by an X.509-SVID.'),
  id: z.string().refine(isWorkloadId, 'must be the SPIFFE ID of a workload').describe('SPIFFE ID of the endpoint.'),
  bootstrap: z
    .strictObject({ file: path.describe('A bundle document.') })
    .optional()
    .describe(
      "Bundle of the ID's trust domain: for an endpoint in the trust domain that it serves, until its first answer; otherwise when no source has that trust domain.",
    ),
})

const config = z
  .strictObject({
    type: z.literal('bundle'),
    trust_domain: trustDomainName.describe('The one trust domain whose bundle this is.'),
    from: z.union([file, web, spiffe]).describe('Where its SPIFFE bundle is.'),
    ...svidSettings,
  })
  .describe('JWT-SVIDs and X.509-SVIDs of one trust domain, verified with its SPIFFE bundle from a file or a bundle endpoint (federation).')

export type BundleConfig = z.infer<typeof config>

/** The SVIDs of one trust domain by its bundle. */
export const bundle = defineSource({ type: 'bundle', config, open })

function open(settings: BundleConfig, services: IdentifyServices): IdentitySource {
  const { clock, log } = services
  const { trust_domain: trustDomain, from } = settings
  const rules = svidRules(settings, services)
  const keys = new KeySource({
    document: documentOf(settings, services),
    format: 'map' in from && from.map ? 'bundle-map' : 'bundle',
    maxAge: settings.max_age,
    interval: 'file' in from ? fileInterval : null,
    clock,
    log,
    trustDomain,
    ...('cache' in from && from.cache !== undefined ? { memory: memoryOf(from.cache.file, trustDomain, services) } : {}),
  })
  const verifier = { trustDomain, keys, rules, clock }
  return {
    type: 'bundle',
    verify: ({ token }) => verifySvid(token, verifier),
    verifyPeer: (peer, now) => peerCaller(peer, (domain) => (domain === trustDomain ? fitAuthorities(keys, trustDomain) : null), now),
    authorities: (domain) => (domain === trustDomain ? keys.authorities() : null),
    generation: () => keys.generation(),
    ready: () => keys.ready(),
    examine: () => keys.examine(),
    close: () => keys.close(),
  }
}

/** Having none to verify with is our fault, having an empty bundle is the answer. */
function fitAuthorities(keys: KeySource, trustDomain: string): readonly Uint8Array[] {
  if (!keys.ready()) throw new Refusal('identify.unavailable', { detail: `no usable bundle of ${trustDomain}` })
  return keys.authorities()
}

/** Whoever only examines reads what was kept, and keeps nothing: the file belongs to the process that runs. */
function memoryOf(cache: string, trustDomain: string, services: IdentifyServices): KeyMemory {
  const memory = keyMemory(services.path(cache), trustDomain)
  return services.examination === undefined ? memory : { ...memory, keep: async () => undefined }
}

function documentOf({ trust_domain: trustDomain, from }: BundleConfig, services: IdentifyServices): KeyDocument {
  if ('file' in from) return keyDocument({ file: services.path(from.file) }, services.fetch)
  if (from.profile === 'https_web') {
    const profile = webProfile(from.ca === undefined ? null : services.path(from.ca.file))
    return bundleEndpoint(from.url, profile, services)
  }
  const id = parseSpiffeId(from.id)
  const bootstrap = from.bootstrap === undefined ? null : services.path(from.bootstrap.file)
  const newestOf = (newest: KeySet | null): readonly Uint8Array[] | null =>
    id.trustDomain === trustDomain ? (newest?.authorities ?? null) : services.authorities(id.trustDomain)
  const authorities = (newest: KeySet | null): readonly Uint8Array[] => newestOf(newest) ?? bootstrapOf(bootstrap, id.trustDomain)
  return bundleEndpoint(from.url, spiffeProfile({ id, authorities, clock: services.clock }), services)
}

function bootstrapOf(bootstrap: string | null, trustDomain: string): readonly Uint8Array[] {
  if (bootstrap === null) throw new KeyFault('unproven', `no bundle of ${trustDomain} to authenticate the endpoint with`)
  const text = keyDocument({ file: bootstrap }, fetch).readNow()
  return text === null ? [] : readKeySet(text, 'bundle').authorities
}
