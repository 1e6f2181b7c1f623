import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { z } from 'zod'
import { isSdk, sdkNames } from './sdks.ts'

/** What is put beside an agent: the settings of `countersign inject` and `countersign inject-webhook`. */

/** A name of a Kubernetes object (RFC 1123 subdomain). */
export const objectName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'must be a name of lower-case letters, digits, dots and dashes')

const port = z.int().min(1024).max(65_535)
const quantity = z.string().regex(/^[1-9]\d{0,14}(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/, 'must be a quantity of Kubernetes such as 50m, 128Mi or 2Gi')
const quantities = z
  .record(z.enum(['cpu', 'memory', 'ephemeral-storage']), quantity)
  .transform((given): Readonly<Record<string, string>> => given)
const prefix = z.string().regex(/^(\/[A-Za-z0-9._~-]+)+$/, 'must be the `at` of a route, such as /openai')

const Settings = z.strictObject({
  version: z.literal(1),
  image: z
    .string()
    .regex(/^[a-z0-9][\w./:-]*(:[\w.-]+|@sha256:[0-9a-f]{64})$/, 'must be an image with its tag or digest')
    .refine((text) => /[:@][^/]+$/.test(text), 'must be an image with its tag or digest'),
  pull: z.enum(['Always', 'IfNotPresent']).default('Always'),
  /** The ConfigMap in the namespace of the pod that has countersign.yaml. */
  config: objectName.default('countersign'),
  agent_port: port.default(7420),
  admin_port: port.default(7421),
  health_port: port.default(7423),
  /** SDK → the `at` of the route that it is pointed at. */
  sdks: z
    .record(z.string().refine(isSdk, `must be one of ${sdkNames.join(', ')}`), prefix)
    .default({})
    .transform((given): Readonly<Record<string, string>> => given),
  /** A projected token for the agent, of this audience. Absent: the agent gets none. */
  token: z.strictObject({ audience: z.string().min(1).max(253) }).optional(),
  /** The Workload API of SPIRE by its CSI driver. Absent: the sidecar gets none. */
  spiffe: z
    .strictObject({
      driver: objectName.default('csi.spiffe.io'),
      socket: z
        .string()
        .regex(/^[\w.-]+$/)
        .default('spire-agent.sock'),
    })
    .optional(),
  /** A token of the cluster for the sidecar, to read the keys of the cluster's issuer with. */
  cluster_token: z.boolean().default(true),
  state: z.strictObject({ size: quantity.default('2Gi') }).default({ size: '2Gi' }),
  resources: z.strictObject({ requests: quantities, limits: quantities }).default({
    requests: { cpu: '50m', memory: '128Mi', 'ephemeral-storage': '64Mi' },
    limits: { memory: '384Mi', 'ephemeral-storage': '2304Mi' },
  }),
  /** The least seconds a pod gets to end in: the agent's own end, then `listen.drain` and ten more. */
  grace: z.int().min(1).max(3600).default(60),
})

export type InjectSettings = z.infer<typeof Settings>

/** Settings that cannot be used; its message names each problem. */
export class SettingsFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'SettingsFault'
  }
}

/** Reads settings, YAML or JSON. Throws `SettingsFault`. */
export function parseSettings(text: string, name: string): InjectSettings {
  let given: unknown
  try {
    given = parse(text, { strict: true, uniqueKeys: true })
  } catch (error) {
    throw new SettingsFault(`${name} is not valid YAML: ${error instanceof Error ? error.message.split('\n', 1)[0] : 'unknown'}`)
  }
  const { success, data, error } = Settings.safeParse(given)
  if (!success)
    throw new SettingsFault(error.issues.map(({ path, message }) => `${name}: ${path.join('.') || 'settings'}: ${message}`).join('\n'))
  const { agent_port: agent, admin_port: admin, health_port: health } = data
  if (new Set([agent, admin, health]).size < 3) throw new SettingsFault(`${name}: agent_port, admin_port and health_port have to differ`)
  return data
}

/** Throws `SettingsFault`, also when the file cannot be read. */
export function readSettings(file: string): InjectSettings {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new SettingsFault(`${file} cannot be read: ${code}`)
  }
  return parseSettings(text, file)
}
