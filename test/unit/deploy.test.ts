import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { loadConfig, type Loaded } from '../../src/config/load.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

interface Named {
  readonly name: string
  readonly value?: string
}

interface Rule {
  readonly to?: readonly unknown[]
  readonly from?: readonly unknown[]
  readonly ports: readonly unknown[]
}

const documents = parseAllDocuments(read('deploy/kubernetes/sidecar.yaml'), { strict: true, uniqueKeys: true })
const manifests = documents.map((document) => document.toJS())

function one(kind: string, name: string) {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)
  if (found === undefined) throw new Error(`no ${kind} ${name}`)
  return found
}

const set = one('StatefulSet', 'refund-agent').spec
const pod = set.template.spec
const sidecar = pod.initContainers[0]
const agent = pod.containers[0]

/** The configuration that the ConfigMap holds, checked as `countersign check` does. */
function embedded(): Loaded {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-deploy-'))
  try {
    const file = join(folder, 'countersign.yaml')
    writeFileSync(file, one('ConfigMap', 'countersign').data['countersign.yaml'])
    return loadConfig(file, {})
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('the sidecar manifest', () => {
  test('is well-formed YAML, every object with kind, name and one namespace', () => {
    expect(documents.flatMap((document) => [...document.errors, ...document.warnings])).toEqual([])
    for (const { apiVersion, kind, metadata } of manifests) {
      expect([typeof apiVersion, typeof kind, typeof metadata.name]).toEqual(['string', 'string', 'string'])
      if (kind !== 'Namespace') expect(metadata.namespace).toBe('agents')
    }
  })

  test('embeds a configuration in which nothing is an error or a warning', () => {
    const { findings } = embedded()
    expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([])
    expect(findings.map(({ path }) => path)).toEqual(['listen.health.unsafe_plain'])
  })

  test('starts Countersign before the agent and stops it after, when it is ready', () => {
    expect(sidecar.restartPolicy).toBe('Always')
    expect(sidecar.startupProbe.httpGet).toEqual({ path: '/readyz', port: 'health' })
    expect(sidecar.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'health' })
    expect(sidecar.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'health' })
    const { listen } = embedded().config
    expect(sidecar.ports).toEqual([{ name: 'health', containerPort: Number(listen.health.at.split(':').at(-1)) }])
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(listen.drain + 10_000)
  })

  test.each([
    ['countersign', sidecar],
    ['agent', agent],
  ])('gives the container %s no rights', (_name, container) => {
    expect(container.securityContext).toMatchObject({
      runAsNonRoot: true,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(container.securityContext.runAsUser).toBeGreaterThan(0)
    expect(container.resources.requests).toBeDefined()
    expect(container.image).not.toMatch(/:latest$|^[^:]+$/)
  })

  test('runs the image as its own user, which the agent is not', () => {
    const [, user = ''] = /^USER (\d+):\d+$/m.exec(read('Dockerfile')) ?? []
    expect(sidecar.securityContext.runAsUser).toBe(Number(user))
    expect(agent.securityContext.runAsUser).not.toBe(Number(user))
  })

  test('mounts what the configuration names, and nothing of it into the agent', () => {
    const { config } = embedded()
    const mounts: { readonly mountPath: string; readonly name: string; readonly readOnly?: boolean }[] = sidecar.volumeMounts
    const writable = mounts.filter(({ readOnly }) => readOnly !== true).map(({ mountPath }) => mountPath)
    const under = (path: string, places: readonly string[]): boolean => places.some((place) => posix.dirname(path).startsWith(place))
    for (const path of [config.task.state.path, config.task.state.key?.file, config.credential.key?.file, `${config.record.ledger.path}/x`])
      expect(under(path ?? '', writable), path).toBe(true)
    const keys = config.identify.sources.flatMap((source) =>
      'keys' in source && source.keys && 'file' in source.keys ? [source.keys.file] : [],
    )
    const readable = mounts.map(({ mountPath }) => mountPath)
    expect(keys.filter((file) => !under(file, readable))).toEqual([])
    expect(mounts.find(({ name }) => name === 'config')?.mountPath).toBe(posix.dirname(sidecar.args.at(-1)))
    const volumes: Named[] = [...pod.volumes, ...set.volumeClaimTemplates.map((claim: { readonly metadata: Named }) => claim.metadata)]
    for (const { name } of [...mounts, ...agent.volumeMounts]) expect(volumes.map((volume) => volume.name)).toContain(name)
    for (const { name } of agent.volumeMounts) expect(['state', 'config']).not.toContain(name)
  })

  test('points the agent at a route on a loopback listener, and gives it no secret', () => {
    const { listen, forward } = embedded().config
    const base = new URL(agent.env.find(({ name }: Named) => name === 'CRM_BASE_URL')?.value)
    expect(listen.agent.map(({ at }) => at)).toEqual([base.host])
    expect(base.hostname).toBe('127.0.0.1')
    expect(Object.values(forward.routes).map(({ at }) => at)).toContain(base.pathname)
    expect(JSON.stringify(agent)).not.toMatch(/secretKeyRef|envFrom|api[_-]?key/i)
    expect(pod.automountServiceAccountToken).toBe(false)
  })

  test('lets the pod out to DNS and the declared upstreams only', () => {
    const { podSelector, policyTypes, egress, ingress } = one('NetworkPolicy', 'refund-agent').spec
    expect(podSelector.matchLabels).toEqual(set.template.metadata.labels)
    expect(policyTypes).toEqual(['Ingress', 'Egress'])
    for (const { to, from, ports } of [...egress, ...ingress] as Rule[]) expect((to ?? from ?? []).length * ports.length).toBeGreaterThan(0)
    expect(egress.length).toBe(1 + Object.keys(embedded().config.forward.routes).length)
    expect(ingress.flatMap(({ ports }: Rule) => ports)).toEqual([{ protocol: 'TCP', port: 7423 }])
  })

  test('names itself as issuer where its Service answers', () => {
    const { namespace, name } = one('Service', 'refund-agent').metadata
    expect(embedded().config.credential.issuer).toBe(`http://${name}.${namespace}.svc:7423`)
  })
})
