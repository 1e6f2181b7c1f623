import { z } from 'zod'
import { SecretRef } from '../credential/secret-ref.ts'
import { duration, size } from '../units.ts'
import { SinkConfigs } from '../record/registry.ts'

/** `record`: the ledger and what reads it. */
export const recordConfig = z.strictObject({
  ledger: z.strictObject({
    path: z.string().describe('Folder of the ledger.'),
    durability: z.enum(['written', 'synced']).default('written').describe('written survives kill -9; synced survives power loss.'),
    quota: size.prefault('10GiB').describe('Most the ledger may take; calls are refused beyond it.'),
    segment: size.prefault('64MiB').describe('Size at which a new file begins.'),
    key: z
      .strictObject({ file: z.string() })
      .optional()
      .describe('Ed25519 key that signs checkpoints, made at first start; `countersign evidence rotate-key` makes the next.'),
    checkpoint: duration.prefault('10s').describe('Between signed checkpoints while lines are written.'),
    heartbeat: duration.prefault('1m').describe('Between signed checkpoints while none are: one that does not come is a sign.'),
    keep: z
      .strictObject({
        age: duration.optional().describe('Segments that were last written longer ago are removed.'),
        size: size.optional().describe('The oldest segments are removed while all of them take more.'),
      })
      .default({})
      .describe(
        'How long lines are kept; by default for ever, up to `quota`. Never removed: the segment that is written, the decision of an open call, and lines that a sink has not taken.',
      ),
  }),
  sinks: SinkConfigs.default([]).describe('Readers of the ledger.'),
  traces: z
    .strictObject({
      url: z
        .url({ protocol: /^https?$/ })
        .describe('Where spans go: an OTLP/HTTP receiver; `/v1/traces` is added to a URL without a path.'),
      ratio: z
        .number()
        .min(0)
        .max(1)
        .default(1)
        .describe(
          'Share of the calls without a trace of their own that are traced. A call whose caller traces is, when its caller samples it.',
        ),
      token: SecretRef.optional().describe('Bearer token of the receiver.'),
    })
    .optional()
    .describe('Spans of calls, by OpenTelemetry. They are no evidence: when the receiver is away or slow, they are dropped and counted.'),
  pseudonyms: z
    .strictObject({
      key: z
        .strictObject({ file: z.string() })
        .describe('32 bytes in base64, made at first start: whoever holds it can tell whose a pseudonym is.'),
    })
    .optional()
    .describe(
      'Pseudonyms that policy puts in the place of names (`op: hmac` of `system/log/mask`); by default the key lies beside the ledger, as `<path>.pseudonyms.key`.',
    ),
  labels: z.record(z.string(), z.string()).default({}).describe('Labels that stand in every line.'),
})
