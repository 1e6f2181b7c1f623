import { z } from 'zod'
import { isKeyUrl } from '../identify/keys/key-document.ts'
import { duration, durationBetween } from '../units.ts'
import { agentConfig } from './agent.ts'
import { stopsConfig } from './stops.ts'

const keysUrl = z.strictObject({
  url: z.string().refine(isKeyUrl, 'must be an https URL, or http on loopback, without user or fragment'),
})

const issuerKeys = z.union([z.strictObject({ file: z.string() }), keysUrl])

const session = z
  .strictObject({
    by: z
      .enum(['workload', 'instance', 'proof'])
      .default('instance')
      .describe(
        'workload: no session is new. instance: how and by whom it is vouched for, its DPoP key, and `claims`; a renewed token is the same session. proof: each token.',
      ),
    claims: z
      .array(z.string())
      .max(8)
      .default([])
      .describe('Claims that name an instance, such as kubernetes.io.pod.uid; its identity source must show them.'),
  })
  .prefault({})
  .describe('What tells one session of a workload from another.')

const reauthorise = z
  .strictObject({
    session: z.boolean().default(true).describe('A task that another session uses is judged before it goes on.'),
    idle: z
      .union([duration, z.literal(false)])
      .prefault('1h')
      .describe('So is one that made no call for so long; false: never for this.'),
    policy: z.boolean().default(true).describe('So is one under another policy revision.'),
  })
  .prefault({})
  .describe('When a task that is active is judged again (`countersign/task`, action `resume`) before it goes on.')

const transactions = z
  .strictObject({
    issuers: z
      .array(
        z.strictObject({
          issuer: z.string().describe('`iss`, where its tokens have one.'),
          audience: z.string().describe('Its trust domain, the `aud` of its tokens.'),
          keys: issuerKeys.describe('JWKS of the issuer.'),
        }),
      )
      .default([])
      .describe('Transaction Token Services.'),
    unverified: z
      .enum(['record', 'refuse'])
      .default('record')
      .describe('What comes of a call whose Txn-Token cannot be verified: it is recorded so, or refused.'),
  })
  .prefault({})
  .describe('OAuth Transaction Tokens that calls carry in `Txn-Token`, for correlation.')

/** `task`: agents with their owners, and where tasks are kept. */
export const taskConfig = z.strictObject({
  state: z
    .strictObject({
      type: z.literal('sqlite').default('sqlite'),
      path: z.string(),
      key: z
        .strictObject({ file: z.string() })
        .optional()
        .describe('Seals what revocation needs across restarts; 32 bytes, made at first start.'),
    })
    .describe('Where tasks, leases and budgets are kept.'),
  agents: z.array(agentConfig).default([]).describe('Registered agents; whoever is declared here counts as accepted by its owners.'),
  agents_from: z
    .string()
    .min(1)
    .optional()
    .describe('A folder of reviewed files (*.yaml, *.yml), each one agent, in the form of an entry of `agents`.'),
  memory: durationBetween(60_000, 31_536_000_000).prefault('24h').describe('How long what a caller has read stays with it after its task.'),
  kill_file: z
    .string()
    .min(1)
    .optional()
    .describe('A file, or a folder of files, that says what to stop, one kill a line. It need not be there until it is needed.'),
  stops: stopsConfig,
  delegation: z
    .strictObject({
      depth: z.int().min(0).max(16).default(4).describe('How often a task may be handed on, a child of a child included; 0: not at all.'),
    })
    .prefault({})
    .describe('Handing tasks on to other agents.'),
  subjects: z
    .array(
      z.strictObject({
        issuer: z.string(),
        audience: z.string(),
        keys: issuerKeys.describe('JWKS of the issuer.'),
      }),
    )
    .default([])
    .describe('Issuers whose tokens prove on whose behalf a task is opened.'),
  session,
  reauthorise,
  transactions,
})
