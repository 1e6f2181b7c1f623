import { z } from 'zod'
import type { IdentitySource } from '../identify.ts'
import { fileInterval, isKeyUrl, keyDocument } from '../keys/key-document.ts'
import { KeySource } from '../keys/key-source.ts'
import { defineSource } from '../source.ts'
import type { IdentifyServices } from '../source.ts'
import { svidRules, svidSettings, trustDomainName } from './svid-settings.ts'
import { verifySvid } from './svid-verifier.ts'

const file = z.strictObject({ file: z.string().min(1).describe('Path; read again when it changes.') })
const url = z.strictObject({
  url: z
    .string()
    .refine(isKeyUrl, 'must be an https URL, or http on loopback, without user or fragment')
    .describe('Redirects are not followed.'),
})

const config = z
  .strictObject({
    type: z.literal('jwt-svid'),
    trust_domain: trustDomainName.describe('The one trust domain whose workloads these keys prove.'),
    keys: z.union([file, url]).describe('Its SPIFFE bundle or JWKS.'),
    format: z.enum(['bundle', 'jwks']).optional().describe('Default: bundle when the document has SPIFFE members, else jwks.'),
    ...svidSettings,
  })
  .describe('JWT-SVIDs of one trust domain, verified with keys from a file or URL.')

export type JwtSvidConfig = z.infer<typeof config>

/** JWT-SVIDs of one trust domain. */
export const jwtSvid = defineSource({ type: 'jwt-svid', config, open })

function open(settings: JwtSvidConfig, services: IdentifyServices): IdentitySource {
  const { clock, log } = services
  const trustDomain = settings.trust_domain
  const rules = svidRules(settings, services)
  const keys = new KeySource({
    document: keyDocument('file' in settings.keys ? { file: services.path(settings.keys.file) } : settings.keys, services.fetch),
    format: settings.format ?? null,
    maxAge: settings.max_age,
    interval: 'file' in settings.keys ? fileInterval : null,
    clock,
    log,
    trustDomain,
  })
  const verifier = { trustDomain, keys, rules, clock }
  return {
    type: 'jwt-svid',
    verify: ({ token }) => verifySvid(token, verifier),
    generation: () => keys.generation(),
    ready: () => keys.ready(),
    examine: () => keys.examine(),
    close: () => keys.close(),
  }
}
