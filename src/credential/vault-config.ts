import { z } from 'zod'
import { durationBetween } from '../units.ts'
import { isSafeEndpoint } from './ask-issuer.ts'
import { OwnIdentityConfig } from './own-identity.ts'
import { Apply } from './placement.ts'

/** A mount, or a path below one: segments of plain characters, none of them `.` or `..`. */
const Path = z
  .string()
  .regex(
    /^(?!\.{1,2}(\/|$))[A-Za-z0-9._-]{1,128}(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]{1,128}){0,15}$/,
    'must be a path such as kv/team-a, without a slash at its ends',
  )
/** One segment of a path. */
const Name = z.string().regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/, 'must be a name without spaces or slashes')
/** Vault keeps names of policies in lower case, so another spelling would never be recognised in its answers. */
const Policy = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._/-]{0,127}$/, 'must be the name of a policy, in lower case')
  .refine((name) => name !== 'root', 'the root policy is never asked for')
/** A name in a certificate. */
const CertificateName = z.string().regex(/^[\x21-\x2b\x2d-\x7e]{1,255}$/, 'must be printable ASCII without spaces and commas')

const Database = z.strictObject({
  mount: Path.default('database').describe('Where the engine is mounted.'),
  role: Name.describe('Role of the engine, read at `MOUNT/creds/ROLE`.'),
  template: z
    .string()
    .regex(/^[\x20-\x7e]{1,1024}$/, 'must be printable ASCII')
    .refine((text) => text.includes('{password}'), 'must hold {password}')
    .optional()
    .describe('Text that holds {user} and {password}: it is what goes on the request, in place of a Basic pair.'),
})

const Kv = z.strictObject({
  mount: Path.default('secret').describe('Where the engine is mounted.'),
  path: Path.describe('Path of the secret below the mount.'),
  field: z
    .string()
    .regex(/^[\x20-\x7e]{1,128}$/, 'must be printable ASCII')
    .describe('Field of the secret that is the credential.'),
  version: z
    .union([z.literal(1), z.literal(2)])
    .default(2)
    .describe('Version of the engine.'),
})

const Pki = z.strictObject({
  mount: Path.default('pki').describe('Where the engine is mounted.'),
  role: Name.describe('Role of the engine, asked at `MOUNT/issue/ROLE`.'),
  common_name: CertificateName.describe('Common name asked for.'),
  alt_names: z.array(CertificateName).max(16).default([]).describe('DNS names and addresses of mail asked for besides.'),
  uri_sans: z.array(CertificateName).max(16).default([]).describe('URIs asked for, such as a SPIFFE ID.'),
})

const secret = z
  .union([
    z.strictObject({ database: Database }),
    z.strictObject({ kv: Kv }),
    z.strictObject({ pki: Pki }),
    z.strictObject({ token: z.strictObject({}) }),
  ])
  .describe(
    'What is lent: { database: { mount, role, template } }, also for other engines with `creds`; { kv: { mount, path, field, version } }, which stands; { pki: { mount, role, common_name, alt_names, uri_sans } }; or { token: {} }, the token of the task itself.',
  )

/** Settings of a `vault` provider. */
export const VaultConfig = z
  .strictObject({
    type: z.literal('vault'),
    address: z
      .url()
      .refine(isSafeEndpoint, 'must be https, or http on loopback')
      .refine((text) => !/[?#]/.test(text), 'must have neither query nor fragment')
      .describe('Address of Vault or OpenBao, such as https://vault.acme.example:8200.'),
    namespace: Path.optional().describe('Namespace of all that is asked for.'),
    ca: z.string().min(1).optional().describe('PEM file of the authority of its certificate, trusted besides those of the system.'),
    auth: z
      .strictObject({
        mount: Path.default('jwt').describe('Where the JWT auth method is mounted.'),
        role: Name.describe('Its role for Countersign, bound to the identity of Countersign alone.'),
        identity: OwnIdentityConfig,
        audience: z
          .string()
          .regex(/^[\x21-\x7e]{1,512}$/, 'must be printable ASCII without spaces')
          .describe('Audience of our token, as in `bound_audiences` of the role.'),
      })
      .describe('How Countersign logs in.'),
    token_role: Name.optional().describe(
      'Token role that the tokens of tasks are made with (`auth/token/create/ROLE`); absent: the login must hold their policies itself.',
    ),
    policies: z
      .array(Policy)
      .min(1)
      .max(32)
      .describe('The widest policies that the token of a task gets; a decision names fewer as scopes.'),
    base_policies: z
      .array(Policy)
      .max(8)
      .default([])
      .describe('Policies that every such token has besides: what lets it look itself up, renew and revoke itself.'),
    surplus: z.array(Policy).max(32).default([]).describe('Harmless policies that Vault may add unasked, say those of an entity.'),
    secret,
    unsafe_standing: z.literal(true).optional().describe('Admits that a secret of kv outlives every task.'),
    ttl: durationBetween(1000, 86_400_000).default(300_000).describe('Longest use of a lease.'),
    max_ttl: durationBetween(1000, 86_400_000)
      .optional()
      .describe('Longest life of a database credential, renewals counted in; absent: it is not renewed.'),
    surplus_ttl: durationBetween(1000, 86_400_000)
      .optional()
      .describe('How much longer than asked a certificate may live that no lease takes back.'),
    timeout: durationBetween(50, 60_000).default(5000).describe('Longest wait for one answer.'),
    apply: Apply.unwrap()
      .optional()
      .describe(
        'Where the credential goes. Default: a Basic pair for database, the TLS connection for pki, X-Vault-Token for token, Authorization: Bearer for kv.',
      ),
  })
  .refine(({ secret: from, unsafe_standing }) => !('kv' in from) || unsafe_standing === true, {
    path: ['unsafe_standing'],
    error: 'a secret of kv is standing: say unsafe_standing: true, or lend a dynamic one',
  })
  .describe('Dynamic secrets of HashiCorp Vault or OpenBao: one child token for each lease, revoked with all that it got.')

export type VaultConfig = z.infer<typeof VaultConfig>
export type VaultSecret = VaultConfig['secret']
