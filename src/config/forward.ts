import { z } from 'zod'
import { Approved } from '../credential/approval.ts'
import { isWorkloadId } from '../identify/spiffe-id.ts'
import { duration } from '../units.ts'

const workload = z.string().refine(isWorkloadId, 'must be the SPIFFE ID of a workload such as spiffe://acme.example/payments')

const toolConfig = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*$/, 'must be a dotted lower-case name such as crm.customer.read'),
  match: z
    .string()
    .regex(/^(\*|[A-Z]+) \/\S*$/, 'must be a method and a path template such as "GET /customers/{id}"')
    .describe('Method and path template; {name} is one segment, {+name} the rest.'),
  headers: z.record(z.string(), z.string()).optional().describe('Values of headers in `selects` that choose this tool.'),
  kind: z
    .enum(['discovery', 'privilege', 'routine'])
    .optional()
    .describe(
      'discovery: it finds out about secrets, permissions, users or infrastructure. privilege: it changes who may do what, or what runs. Absent: privilege where its risk is critical, else routine.',
    ),
  effect: z.enum(['read', 'write', 'send', 'delete', 'execute']),
  risk: z.enum(['low', 'medium', 'high', 'critical']),
  data: z.array(z.string()).default([]).describe('Data classes its answer holds.'),
  egress: z.enum(['internal', 'partner', 'public']),
  resource: z.string().optional().describe('Template such as "customer:{id}".'),
  accepts: z.array(z.string()).optional().describe('Data classes this destination may receive; absent: public only.'),
  args: z.literal('json').optional().describe('The JSON body is read strictly and judged.'),
  answer: z
    .enum(['head', 'json'])
    .optional()
    .describe(
      'Policy judges its answer before the agent gets any of it: head by status and headers, json by the body too. Absent: it streams by.',
    ),
  debit: z
    .record(z.string(), z.union([z.number().min(0), z.string().regex(/^\//, 'must be a JSON pointer')]))
    .default({})
    .describe('Budget meter and the amount, fixed or a JSON pointer into the body.'),
  prompt: z.boolean().default(false).describe('Its body is a prompt to a model.'),
  bound: z
    .boolean()
    .default(false)
    .describe('Callers have to prove that they hold a key: by mTLS, or by DPoP. A token that whoever holds it can use is refused.'),
  approved: Approved.optional().describe('Who approved that agents use it, and until when; lapsed: its calls are refused.'),
})

const routeConfig = z.strictObject({
  at: z
    .string()
    .regex(/^(\/[A-Za-z0-9._~-]+)+$/, 'must be a path prefix such as /crm')
    .optional()
    .describe('Prefix on the shared port.'),
  host: z.string().optional().describe('Exact Host on the shared port.'),
  port: z.int().min(0).max(65535).optional().describe('A loopback port of its own.'),
  to: z.url().describe('Upstream base URL.'),
  reach: z.enum(['public', 'private']).default('public').describe('private: loopback and private ranges may be dialled.'),
  tls: z
    .literal('svid')
    .optional()
    .describe('svid: shows the upstream the X.509-SVID of this Countersign, and trusts it by its own SPIFFE ID instead of its name.'),
  id: z
    .union([workload, z.array(workload).min(1)])
    .optional()
    .describe('With `tls: svid`: the SPIFFE ID that the upstream must prove, or a list of which it must prove one.'),
  owner: z.string().min(1).max(256).optional().describe('Who answers for the upstream.'),
  approved: Approved.optional().describe('Who approved that agents reach it, and until when; lapsed: its calls are refused.'),
  credential: z.string().optional().describe('Provider that credentials its calls.'),
  tools: z.array(toolConfig).default([]),
  selects: z.array(z.string().toLowerCase()).default([]).describe('Headers that choose the operation.'),
  policy_headers: z
    .array(
      z
        .string()
        .toLowerCase()
        .refine((name) => name !== 'txn-token' && !name.startsWith('countersign-'), 'tokens are not shown to policy'),
    )
    .default([])
    .describe('Request headers that policy may see.'),
  answer_headers: z.array(z.string().toLowerCase()).default([]).describe('Response headers that policy may see, such as a classification.'),
  allow_body: z.boolean().default(false).describe('Bodies on GET, HEAD, DELETE and OPTIONS.'),
  relax: z
    .strictObject({
      encoded_slash: z.boolean().default(false),
      empty_segments: z.boolean().default(false),
      encoded_percent: z.boolean().default(false),
    })
    .prefault({})
    .describe('Named relaxations of the path grammar.'),
  browsers: z.boolean().default(false).describe('Requests with Origin or Sec-Fetch-Site.'),
  refusals: z
    .enum(['problem', 'json-rpc', 'aws-xml', 'aws-json', 'github'])
    .default('problem')
    .describe('Shape of refusals. Of AWS: aws-xml for S3 and the query services, aws-json for DynamoDB and whatever else speaks JSON.'),
  timeouts: z
    .strictObject({ connect: duration.prefault('5s'), head: duration.prefault('60s'), idle: duration.prefault('5m') })
    .prefault({}),
  ca: z.strictObject({ file: z.string() }).optional().describe('Additional certificate authorities for this upstream, PEM.'),
  unsafe_coded: z
    .boolean()
    .default(false)
    .describe('Passes answers of a credentialed route in a coding that cannot be decoded here, unsearched for its credential.'),
  txn_token: z.boolean().default(false).describe('Sends the `Txn-Token` of a call on to the upstream; without it the token ends here.'),
  unsafe_observe: z.boolean().default(false).describe('Lets observe mode forward refused calls on a credentialed route.'),
})

/** `forward`: the catalogue of upstreams and tools. */
export const forwardConfig = z.strictObject({
  routes: z.record(z.string().regex(/^[a-z0-9][a-z0-9_-]*$/), routeConfig).describe('Routes by name.'),
})

export type RouteConfig = z.infer<typeof routeConfig>
export type ToolConfig = z.infer<typeof toolConfig>
