import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { loadConfig, type Loaded } from '../../src/config/load.ts'
import { parseSettings } from '../../src/inject/settings.ts'
import { sidecarContainer, volumes } from '../../src/inject/sidecar.ts'

const root = resolve(import.meta.dirname, '../..')
const folder = join(root, 'deploy/kubernetes')
const read = (path: string): string => readFileSync(join(folder, path), 'utf8')
const documentsOf = (path: string) => parseAllDocuments(read(path), { strict: true, uniqueKeys: true })
const manifestsOf = (path: string) => documentsOf(path).map((document) => document.toJS())

interface Named {
  readonly name: string
  readonly value?: string
}

interface Mount extends Named {
  readonly mountPath: string
  readonly readOnly?: boolean
}

interface Rule {
  readonly to?: readonly unknown[]
  readonly from?: readonly unknown[]
  readonly ports: readonly unknown[]
}

function one(path: string, kind: string, name: string) {
  const found = manifestsOf(path).find((manifest) => manifest.kind === kind && manifest.metadata.name === name)
  if (found === undefined) throw new Error(`${path} has no ${kind} ${name}`)
  return found
}

const podOf = (path: string, kind: string, name: string) => one(path, kind, name).spec.template.spec
const added = podOf('native-sidecar/pod-template.yaml', 'Deployment', 'any')
const plain = podOf('plain-container/pod-template.yaml', 'Deployment', 'any')
const bySpire = podOf('spire/pod-template.yaml', 'Deployment', 'any')
const byRules = podOf('uid-rules/pod-template.yaml', 'Deployment', 'any')
const agentPod = podOf('agent/agent.yaml', 'StatefulSet', 'refund-agent')
const jobPod = podOf('job/job.yaml', 'Job', 'report-agent')
const gatewayPod = podOf('gateway/gateway.yaml', 'Deployment', 'countersign-gateway')
const pairedPod = podOf('paired/agent.yaml', 'Deployment', 'refund-agent')
const sidecar = added.initContainers[0]
const gateway = gatewayPod.containers[0]

/** The configuration of a layout, checked as `countersign check` does. */
function configOf(layout: string): Loaded {
  const temporary = mkdtempSync(join(tmpdir(), 'countersign-deploy-'))
  try {
    const file = join(temporary, 'countersign.yaml')
    writeFileSync(file, read(`${layout}/countersign.yaml`))
    return loadConfig(file, { POD_NAME: 'refund-agent-0', POD_NAMESPACE: 'agents', NODE_NAME: 'node-1', POD_APP: 'refund-agent' })
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

const layouts = [
  {
    layout: 'agent',
    container: { ...sidecar, volumeMounts: mountsOf(agentPod.initContainers[0]) },
    grace: added.terminationGracePeriodSeconds,
  },
  { layout: 'job', container: { ...sidecar, volumeMounts: mountsOf({ volumeMounts: [] }) }, grace: added.terminationGracePeriodSeconds },
  {
    layout: 'agent-plain',
    container: { ...plain.containers[0], startupProbe: sidecar.startupProbe },
    grace: plain.terminationGracePeriodSeconds,
  },
  { layout: 'gateway', container: gateway, grace: gatewayPod.terminationGracePeriodSeconds },
]

/** What the components add, and the workload itself. */
function mountsOf(own: { readonly volumeMounts: readonly Mount[] }): Mount[] {
  return [...sidecar.volumeMounts, ...bySpire.initContainers[0].volumeMounts, ...own.volumeMounts]
}

describe('every manifest', () => {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.yaml') && !/(countersign|inject)\.yaml$/.test(path),
  )

  test.each(paths)('%s is well-formed YAML, every object with its kind', (path) => {
    const documents = documentsOf(path)
    expect(documents.flatMap((document) => [...document.errors, ...document.warnings])).toEqual([])
    for (const document of documents) expect(typeof document.toJS().kind).toBe('string')
  })

  test.each([
    ['the sidecar', sidecar, 65_532],
    ['the plain container', plain.containers[0], 65_532],
    ['the gateway', gateway, 65_532],
    ['the agent', agentPod.containers[0], 10_001],
    ['the agent of the job', jobPod.containers[0], 10_001],
    ['the agent of the pair', pairedPod.containers[0], 10_001],
  ])('gives %s no rights, a user of its own, and bounds', (_name, container, user) => {
    expect(container.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: user,
      runAsGroup: user,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(container.resources.requests).toMatchObject({ cpu: expect.any(String), memory: expect.any(String) })
    expect(container.resources.limits).toMatchObject({ memory: expect.any(String) })
    expect(container.resources.limits.cpu).toBeUndefined()
    expect(container.image).not.toMatch(/:latest$/)
  })

  test('runs the image as its own user, which no agent is', () => {
    const [, user = ''] = /^USER (\d+):\d+$/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8')) ?? []
    expect(sidecar.securityContext.runAsUser).toBe(Number(user))
    expect(gateway.securityContext.runAsUser).toBe(Number(user))
    expect(read('uid-rules/egress.nft')).toContain(`meta skuid ${user} accept`)
  })
})

describe.each(layouts)('the layout $layout', ({ layout, container, grace }) => {
  test('has a configuration in which nothing is an error, and nothing weakens it but plain health', () => {
    const { findings } = configOf(layout)
    expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([])
    expect(findings.map(({ path }) => path)).toEqual(['listen.health.unsafe_plain'])
  })

  test('starts when calls can be served, and stops within the time it is given', () => {
    expect(container.startupProbe.httpGet).toEqual({ path: '/readyz', port: 'cs-health' })
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'cs-health' })
    expect(container.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'cs-health' })
    const { listen } = configOf(layout).config
    const health = container.ports.find(({ name }: Named) => name === 'cs-health')
    expect(health).toEqual({ name: 'cs-health', containerPort: Number(listen.health.at.split(':').at(-1)) })
    expect(grace * 1000).toBeGreaterThanOrEqual(listen.drain + 15_000)
  })

  test('mounts what the configuration names, writable only where it writes', () => {
    const { config } = configOf(layout)
    const mounts: readonly Mount[] = container.volumeMounts
    const writable = mounts.filter(({ readOnly }) => readOnly !== true).map(({ mountPath }) => mountPath)
    expect(writable).toEqual(['/var/lib/countersign'])
    const under = (path: string, places: readonly string[]): boolean => places.some((place) => posix.dirname(path).startsWith(place))
    const { ledger } = config.record
    for (const path of [config.task.state.path, config.task.state.key?.file, ledger.key?.file, `${ledger.path}/x`])
      expect(under(path ?? '', writable), path).toBe(true)
    const named = Array.from(read(`${layout}/countersign.yaml`).matchAll(/file: (\/[^ }]+)/g), (match) => match[1] ?? '')
    expect(
      named.filter(
        (path) =>
          !under(
            path,
            mounts.map(({ mountPath }) => mountPath),
          ),
      ),
    ).toEqual([])
    expect(mounts.find(({ mountPath }) => mountPath === posix.dirname(container.args.at(-1)))?.readOnly).toBe(true)
  })

  test('puts pod, namespace, node and app of the Downward API into every record', () => {
    expect(configOf(layout).config.record.labels).toEqual({
      pod: 'refund-agent-0',
      namespace: 'agents',
      node: 'node-1',
      app: 'refund-agent',
    })
    const fields = container.env.map(({ name }: Named) => name)
    expect(fields).toEqual(expect.arrayContaining(['POD_NAME', 'POD_NAMESPACE', 'NODE_NAME', 'POD_APP']))
  })
})

describe('the sidecar', () => {
  const settings = parseSettings('{ version: 1, image: "countersign:0.1.0", spiffe: {} }', 'inject.yaml')

  test('of the components is the one that `countersign inject` adds', () => {
    const injected = sidecarContainer(settings)
    const { env, volumeMounts, ...same } = injected
    const [ofSpire] = bySpire.initContainers
    expect({ ...sidecar, env: undefined, volumeMounts: undefined }).toEqual({ ...same, env: undefined, volumeMounts: undefined })
    expect([...sidecar.env, ...ofSpire.env]).toEqual(env)
    expect([...sidecar.volumeMounts, ...ofSpire.volumeMounts]).toEqual(volumeMounts)
    const scratch = podOf('scratch-state/pod-template.yaml', 'Deployment', 'any')
    const byName = (a: Named, b: Named): number => a.name.localeCompare(b.name)
    expect([...added.volumes, ...bySpire.volumes, ...scratch.volumes].sort(byName)).toEqual([...volumes(settings)].sort(byName))
    expect(added.terminationGracePeriodSeconds).toBe(settings.grace)
  })

  test('is native: up before the agent, down after it, so that a Job ends', () => {
    expect(sidecar.restartPolicy).toBe('Always')
    expect(one('job/job.yaml', 'Job', 'report-agent').metadata.labels['countersign/inject']).toBe('enabled')
  })

  test('is, as a plain container, the same but for what holds the agent back and lets it end first', () => {
    const { lifecycle, ...rest } = plain.containers[0]
    const { restartPolicy, startupProbe, ...same } = sidecar
    expect([restartPolicy, startupProbe.httpGet.path]).toEqual(['Always', '/readyz'])
    expect(rest).toEqual(same)
    expect(plain.volumes).toEqual(added.volumes)
    expect(lifecycle.postStart.exec.command.at(-1)).toContain('/readyz')
    const [, waits = ''] = /setTimeout\(\(\) => \{\}, ([\d_]+)\)/.exec(lifecycle.preStop.exec.command.at(-1)) ?? []
    const { listen } = configOf('agent').config
    expect(plain.terminationGracePeriodSeconds * 1000).toBeGreaterThanOrEqual(Number(waits.replaceAll('_', '')) + listen.drain + 10_000)
  })

  test('alone is known to SPIRE and to the API server, and holds state and secrets', () => {
    const own = mountsOf(agentPod.initContainers[0]).map(({ name }) => name)
    const agents = [...agentPod.containers, ...jobPod.containers].flatMap(({ volumeMounts }) => volumeMounts.map(({ name }: Named) => name))
    expect(own).toEqual(expect.arrayContaining(['countersign-spiffe', 'countersign-cluster', 'countersign-state', 'countersign-secrets']))
    expect(agents.filter((name) => own.includes(name))).toEqual([])
    expect([agentPod, jobPod, pairedPod, gatewayPod].map((pod) => pod.automountServiceAccountToken)).toEqual([false, false, false, false])
  })

  test('is who its agent is told to be a token for', () => {
    const token = agentPod.volumes.find(({ name }: Named) => name === 'countersign-token').projected.sources[0].serviceAccountToken
    const audiences = configOf('agent').config.identify.sources.flatMap((source) => ('audience' in source ? [source.audience] : []))
    expect(audiences).toEqual([token.audience])
    expect(token.expirationSeconds).toBe(600)
  })

  test('answers on loopback, where its agent is pointed at, which holds no secret', () => {
    const { listen, forward } = configOf('agent').config
    const [agent] = agentPod.containers
    for (const name of ['CRM_BASE_URL', 'GITHUB_API_URL']) {
      const base = new URL(agent.env.find((entry: Named) => entry.name === name)?.value)
      expect(listen.agent.map(({ at }) => at)).toEqual([base.host])
      expect(Object.values(forward.routes).map(({ at }) => at)).toContain(base.pathname)
    }
    expect(JSON.stringify([agent, jobPod.containers, pairedPod.containers])).not.toMatch(/secretKeyRef|envFrom|api[_-]?key/i)
  })

  test('keeps a ledger that fits what holds it', () => {
    const gibibytes = (text: string): number => Number(text.replace(/Gi$/, '')) * 1024 ** 3
    const claim = one('agent/agent.yaml', 'StatefulSet', 'refund-agent').spec.volumeClaimTemplates[0].spec.resources.requests.storage
    const [{ emptyDir }] = podOf('scratch-state/pod-template.yaml', 'Deployment', 'any').volumes
    const disk = one('gateway/gateway.yaml', 'PersistentVolumeClaim', 'countersign-gateway').spec.resources.requests.storage
    for (const [layout, room] of [
      ['agent', claim],
      ['job', emptyDir.sizeLimit],
      ['gateway', disk],
    ] as const)
      expect(configOf(layout).config.record.ledger.quota, layout).toBeLessThanOrEqual(gibibytes(room) * 0.8)
  })

  test('names itself as issuer where its Service answers', () => {
    const { name } = one('agent/agent.yaml', 'Service', 'refund-agent').metadata
    expect(configOf('agent').config.credential.issuer).toBe(`http://${name}.agents.svc:7423`)
  })
})

describe('the gateway', () => {
  test('is exactly one, which lets go of state and ledger before the next begins', () => {
    const { replicas, strategy } = one('gateway/gateway.yaml', 'Deployment', 'countersign-gateway').spec
    expect({ replicas, strategy }).toEqual({ replicas: 1, strategy: { type: 'Recreate' } })
    const claim = one('gateway/gateway.yaml', 'PersistentVolumeClaim', 'countersign-gateway')
    expect(claim.spec.accessModes).toEqual(['ReadWriteOncePod'])
    expect(gatewayPod.volumes.find(({ name }: Named) => name === 'state').persistentVolumeClaim.claimName).toBe(claim.metadata.name)
  })

  test('takes agents over TLS alone, by the names of its Service, and takes nobody at their word', () => {
    const { listen } = configOf('gateway').config
    const [agents] = listen.agent
    expect(agents?.tls).toBeDefined()
    expect([agents?.ambient, agents?.unsafe_plain]).toEqual([undefined, false])
    const { name, namespace } = one('gateway/gateway.yaml', 'Service', 'countersign-gateway').metadata
    expect(listen.hosts).toContain(`${name}.${namespace}.svc`)
    const base = new URL(pairedPod.containers[0].env.find((entry: Named) => entry.name === 'CRM_BASE_URL').value)
    expect([base.protocol, base.host]).toEqual(['https:', `${name}.${namespace}.svc:${agents?.at.split(':').at(-1)}`])
  })

  test('is the one way out of the pods of agents', () => {
    const { podSelector, policyTypes, egress } = one('gateway/agents-network.yaml', 'NetworkPolicy', 'countersign-egress').spec
    expect([podSelector.matchLabels, policyTypes]).toEqual([{ 'countersign/egress': 'gateway' }, ['Egress']])
    expect(one('paired/agent.yaml', 'Deployment', 'refund-agent').spec.template.metadata.labels['countersign/egress']).toBe('gateway')
    const places = egress.map(
      ({ to }: { readonly to: readonly { readonly podSelector: { readonly matchLabels: object } }[] }) => to[0]?.podSelector.matchLabels,
    )
    expect(places).toEqual([{ 'app.kubernetes.io/name': 'countersign-gateway' }, { 'k8s-app': 'kube-dns' }])
  })

  test('may ask whether a token counts, and nothing else of the cluster', () => {
    const { roleRef, subjects } = one('gateway/rbac.yaml', 'ClusterRoleBinding', 'countersign-gateway-token-review')
    expect(roleRef.name).toBe('system:auth-delegator')
    expect(subjects).toEqual([{ kind: 'ServiceAccount', name: gatewayPod.serviceAccountName, namespace: 'countersign' }])
  })
})

test('the injector has settings that it takes', () => {
  const { image, spiffe, token } = parseSettings(read('injector/inject.yaml'), 'inject.yaml')
  expect({ image, spiffe, token }).toEqual({
    image: sidecar.image,
    spiffe: { driver: 'csi.spiffe.io', socket: 'spire-agent.sock' },
    token: { audience: 'countersign' },
  })
})

describe('the network', () => {
  const policies = [
    ['agent', one('agent/network.yaml', 'NetworkPolicy', 'refund-agent').spec, agentPod],
    ['job', one('job/network.yaml', 'NetworkPolicy', 'report-agent').spec, jobPod],
    ['gateway', one('gateway/network.yaml', 'NetworkPolicy', 'countersign-gateway').spec, gatewayPod],
  ] as const

  test.each(policies)('of %s is closed both ways but for what is named', (_layout, { policyTypes, egress, ingress }) => {
    expect(policyTypes).toEqual(['Ingress', 'Egress'])
    for (const { to, from, ports } of [...egress, ...ingress] as Rule[]) expect((to ?? from ?? []).length * ports.length).toBeGreaterThan(0)
  })

  test.each([
    ['agent-cilium', 'refund-agent', 'agent'],
    ['gateway-cilium', 'countersign-gateway', 'gateway'],
  ])('of %s lets out by name, and looks up no other name', (layout, name, configured) => {
    const { egress } = one(`${layout}/network.yaml`, 'CiliumNetworkPolicy', name).spec
    const hosts = Object.values(configOf(configured).config.forward.routes).map(({ to }) => new URL(to).hostname)
    const [names] = egress[0].toPorts
    const looked = names.rules.dns.map(({ matchName }: { readonly matchName: string }) => matchName)
    expect(looked).toEqual(expect.arrayContaining(hosts))
    const out = egress.flatMap((rule: { readonly toFQDNs?: readonly { readonly matchName: string }[] }) => rule.toFQDNs ?? [])
    expect(out).toEqual(hosts.filter((host) => !host.endsWith('.cluster.local')).map((matchName) => ({ matchName })))
  })

  test('by user takes one capability, in a container that ends before the agent begins', () => {
    const [rules] = byRules.initContainers
    expect(rules.securityContext.capabilities).toEqual({ drop: ['ALL'], add: ['NET_ADMIN'] })
    expect(rules.restartPolicy).toBeUndefined()
    expect(rules.command.at(-1)).toBe(`${rules.volumeMounts[0].mountPath}/egress.nft`)
  })
})
