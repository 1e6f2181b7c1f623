import type { InjectSettings } from './settings.ts'

/** The container that is added, and the volumes that it and the agent need. */

/** Names of what we add; each begins so, so that nothing of the pod's own is met by chance. */
export const names = {
  container: 'countersign',
  config: 'countersign-config',
  state: 'countersign-state',
  cluster: 'countersign-cluster',
  spiffe: 'countersign-spiffe',
  token: 'countersign-token',
} as const

/** The user of the image: an agent that ran as the same could read the sidecar's files. */
export const sidecarUser = 65_532

/** Where the agent finds its token. */
const tokenFolder = '/var/run/countersign'
export const tokenMount = { name: names.token, mountPath: tokenFolder, readOnly: true }
export const tokenVariable = { name: 'COUNTERSIGN_TOKEN_FILE', value: `${tokenFolder}/token` }

/** Volumes that the agent must not mount. */
export const ownVolumes: readonly string[] = [names.config, names.state, names.cluster, names.spiffe]

/** The native sidecar, as Kubernetes writes a container. */
export function sidecarContainer(settings: InjectSettings) {
  const { image, pull, health_port: health, resources } = settings
  const probe = (path: string, more: object) => ({ httpGet: { path, port: 'cs-health' }, ...more })
  return {
    name: names.container,
    image,
    imagePullPolicy: pull,
    restartPolicy: 'Always',
    args: ['start', '--config', '/etc/countersign/countersign.yaml'],
    env: environment(settings),
    ports: [{ name: 'cs-health', containerPort: health }],
    startupProbe: probe('/readyz', { periodSeconds: 1, failureThreshold: 120 }),
    readinessProbe: probe('/readyz', { periodSeconds: 5 }),
    livenessProbe: probe('/livez', { periodSeconds: 10, failureThreshold: 3 }),
    resources,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: sidecarUser,
      runAsGroup: sidecarUser,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: mounts(settings),
  }
}

/** What the mounts of the sidecar, and of the agent where it gets a token, stand for. */
export function volumes({ config, state, cluster_token: cluster, spiffe, token }: InjectSettings, configMap = config) {
  const ofCluster = {
    name: names.cluster,
    projected: {
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: 3600 } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      ],
    },
  }
  const ofAgent = (audience: string) => ({
    name: names.token,
    projected: { sources: [{ serviceAccountToken: { path: 'token', audience, expirationSeconds: 600 } }] },
  })
  return [
    { name: names.config, configMap: { name: configMap } },
    { name: names.state, emptyDir: { sizeLimit: state.size } },
    ...(cluster ? [ofCluster] : []),
    ...(spiffe === undefined ? [] : [{ name: names.spiffe, csi: { driver: spiffe.driver, readOnly: true } }]),
    ...(token === undefined ? [] : [ofAgent(token.audience)]),
  ]
}

function environment({ spiffe }: InjectSettings) {
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })
  const socket = spiffe === undefined ? [] : [{ name: 'SPIFFE_ENDPOINT_SOCKET', value: `unix:///spiffe-workload-api/${spiffe.socket}` }]
  return [
    field('POD_NAME', 'metadata.name'),
    field('POD_UID', 'metadata.uid'),
    field('POD_NAMESPACE', 'metadata.namespace'),
    field('POD_APP', "metadata.labels['app.kubernetes.io/name']"),
    field('NODE_NAME', 'spec.nodeName'),
    ...socket,
  ]
}

function mounts({ cluster_token: cluster, spiffe }: InjectSettings) {
  return [
    { name: names.config, mountPath: '/etc/countersign', readOnly: true },
    { name: names.state, mountPath: '/var/lib/countersign' },
    ...(cluster ? [{ name: names.cluster, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true }] : []),
    ...(spiffe === undefined ? [] : [{ name: names.spiffe, mountPath: '/spiffe-workload-api', readOnly: true }]),
  ]
}
