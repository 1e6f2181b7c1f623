import { z } from 'zod'

/** What the injector reads of a pod; everything else of it stays as it is. */

const text = z.string()
const named = { name: text }
const EnvironmentVariable = z.looseObject({ ...named, value: text.optional(), valueFrom: z.looseObject({}).nullish() })
const Mount = z.looseObject({ ...named, mountPath: text })
const Port = z.looseObject({ containerPort: z.number() })
const SecurityContext = z.looseObject({
  runAsUser: z.number().nullish(),
  privileged: z.boolean().nullish(),
  capabilities: z.looseObject({ add: z.array(text).nullish() }).nullish(),
})

const Container = z.looseObject({
  ...named,
  restartPolicy: text.nullish(),
  env: z.array(EnvironmentVariable).nullish(),
  envFrom: z.array(z.looseObject({ secretRef: z.looseObject({ name: text.nullish() }).nullish() })).nullish(),
  ports: z.array(Port).nullish(),
  volumeMounts: z.array(Mount).nullish(),
  securityContext: SecurityContext.nullish(),
})

const Pod = z.looseObject({
  metadata: z
    .looseObject({
      name: text.nullish(),
      generateName: text.nullish(),
      namespace: text.nullish(),
      labels: z.record(text, text).nullish(),
      annotations: z.record(text, text).nullish(),
    })
    .nullish(),
  spec: z.looseObject({
    hostNetwork: z.boolean().nullish(),
    hostPID: z.boolean().nullish(),
    shareProcessNamespace: z.boolean().nullish(),
    os: z.looseObject(named).nullish(),
    securityContext: SecurityContext.nullish(),
    terminationGracePeriodSeconds: z.number().nullish(),
    initContainers: z.array(Container).nullish(),
    containers: z.array(Container).min(1),
    volumes: z.array(z.looseObject(named)).nullish(),
  }),
})

export type Pod = z.infer<typeof Pod>
export type PodSpec = Pod['spec']
export type Container = z.infer<typeof Container>

/** The pod, or the template of one; a text says why it cannot be read. */
export function readPod(given: unknown): Pod | string {
  const { success, data, error } = Pod.safeParse(given)
  if (success) return data
  const [first] = error.issues
  return `it is no pod: ${first?.path.join('.') ?? ''}: ${first?.message ?? 'unknown'}`
}

/** Init containers that stay: native sidecars. */
export function isNativeSidecar({ restartPolicy }: Container): boolean {
  return restartPolicy === 'Always'
}
