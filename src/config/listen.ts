import { z } from 'zod'
import { isSafeEndpoint } from '../credential/ask-issuer.ts'
import { duration, durationBetween, size } from '../units.ts'
import { approversConfig, rolesConfig, signInConfig } from './sign-in.ts'

const at = z
  .string()
  .regex(/^(unix:\/.+|\[[0-9a-fA-F:.]+\]:\d{1,5}|[^:/\s]+:\d{1,5})$/, 'must be host:port, [ipv6]:port or unix:/absolute/path')
  .describe('Where to listen: host:port (port 0 takes a free one) or unix:/path.')

const spiffeId = z
  .string()
  .regex(/^spiffe:\/\/[a-z0-9._-]+\/.+$/, 'must be a SPIFFE ID such as spiffe://acme.example/ns/support/sa/refund-agent')

const tls = z.union([
  z.literal('svid'),
  z.strictObject({
    cert: z.strictObject({ file: z.string() }).describe('Certificate chain, PEM, leaf first; read again when the file changes.'),
    key: z.strictObject({ file: z.string() }).describe('Its private key, PEM, unencrypted; read again when the file changes.'),
  }),
])

const agentListener = z.strictObject({
  at,
  client_certificates: z
    .boolean()
    .default(true)
    .describe(
      'A TLS listener asks for a certificate. false: for tokens alone; strangers then cannot make the TLS library judge a chain of theirs.',
    ),
  tls: tls
    .optional()
    .describe('TLS on this listener: svid serves it with the X.509-SVID of this Countersign. Clients may show a certificate.'),
  ambient: spiffeId.optional().describe('Callers that hold no token are taken to be this agent; recorded as weaker.'),
  unsafe_plain: z.boolean().default(false).describe('Allows plain HTTP beyond loopback.'),
})

const limits = z.strictObject({
  headers: size.prefault('32KiB').describe('Most bytes of request headers.'),
  header_count: z.int().min(1).max(1000).default(100).describe('Most request headers.'),
  target: size.prefault('8KiB').describe('Longest request target.'),
  body: size.prefault('10MiB').describe('Largest request body.'),
  judged_body: size.prefault('256KiB').describe('Largest body that policy reads.'),
  judged_answer: size
    .prefault('256KiB')
    .describe('Most of an answer that is read to be judged or masked; what is larger cannot be masked.'),
  answer_sample: size.prefault('16KiB').describe('How much of an answer policy sees as text.'),
  calls_per_caller: z.int().min(1).default(64).describe('Calls in flight of one caller.'),
  connections: z.int().min(1).default(10_000).describe('Open agent connections.'),
  header_time: duration.prefault('10s').describe('Time for the request head to arrive.'),
  body_time: duration.prefault('5m').describe('Time for the whole request to arrive.'),
  call_time: duration.prefault('0s').describe('Most time a call may take in all; 0s: no bound, streams may stay open.'),
})

const overload = z
  .strictObject({
    delay: duration.prefault('100ms').describe('Lateness of the event loop from which on the process counts as falling behind; 0s: none.'),
    heap: z.number().gt(0).max(1).default(0.9).describe('Share of the memory that the heap may take before it does.'),
    calls: z.int().min(1).default(4096).describe('Calls in flight of all callers together.'),
  })
  .describe('When callers are turned away (503 with Retry-After), those first that hold the most; one call is left to each.')

/** `listen`: where agents, probes and scrapers reach Countersign, and what a request may cost. */
export const listenConfig = z.strictObject({
  agent: z
    .array(agentListener)
    .min(1)
    .prefault([{ at: '127.0.0.1:7420' }])
    .describe('Listeners that agents use.'),
  health: z
    .strictObject({ at, unsafe_plain: z.boolean().default(false).describe('Allows plain HTTP beyond loopback.') })
    .prefault({ at: '127.0.0.1:7423' })
    .describe('Liveness, readiness, metrics and public keys: nothing secret.'),
  hosts: z.array(z.string()).default([]).describe('Host names that prefix routes accept besides loopback literals.'),
  limits: limits.prefault({}),
  overload: overload.prefault({}),
  rehearsal: durationBetween(0, 5000)
    .prefault('250ms')
    .describe(
      'How long, before agents are served, calls of a made-up agent go through a path of its own, so that the first real calls are quick; 0s: none do.',
    ),
  drain: duration.prefault('25s').describe('Time that calls in flight get after SIGTERM.'),
})

/** `admin`: the port of people and the CLI. Never open, not even on loopback, which the agent shares. */
export const adminConfig = z.strictObject({
  at: at.default('127.0.0.1:7421'),
  key: z
    .strictObject({ file: z.string() })
    .optional()
    .describe('Local key (0600), written at first start; default: admin.key beside the state.'),
  public_url: z
    .url()
    .refine(isOrigin, 'must be https://host[:port], or http on loopback, and nothing after it')
    .optional()
    .describe('Where the browsers of people reach the admin port, through a server that speaks TLS; links in notices begin with it.'),
  sign_in: signInConfig.prefault({}).describe('How people sign in, besides the local key.'),
  approvers: approversConfig,
  roles: rolesConfig
    .prefault({})
    .describe('Who may do what here: `group:<name>`, `person:<name>`, or a list of them. Whoever has no role may do nothing.'),
  unsafe_local_key_approves: z
    .boolean()
    .default(false)
    .describe('The local key, which names nobody, may answer approvals although people are configured who could.'),
})

/** A URL that is an origin and no more. */
function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || (text !== url.origin && text !== `${url.origin}/`)) return false
  return isSafeEndpoint(text)
}
