import { z } from 'zod'
import { size } from '../units.ts'
import { SinkConfigs } from '../record/registry.ts'

/** `record`: the ledger and what reads it. */
export const recordConfig = z.strictObject({
  ledger: z.strictObject({
    path: z.string().describe('Folder of the ledger.'),
    durability: z.enum(['written', 'synced']).default('written').describe('written survives kill -9; synced survives power loss.'),
    quota: size.prefault('10GiB').describe('Most the ledger may take; calls are refused beyond it.'),
    segment: size.prefault('64MiB').describe('Size at which a new file begins.'),
    key: z.strictObject({ file: z.string() }).optional().describe('Ed25519 key that signs checkpoints, made at first start.'),
  }),
  sinks: SinkConfigs.default([]).describe('Readers of the ledger.'),
  labels: z.record(z.string(), z.string()).default({}).describe('Labels that stand in every line.'),
})
