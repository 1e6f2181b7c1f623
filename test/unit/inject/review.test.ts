import { describe, expect, test } from 'vitest'
import { answerReview, ReviewFault } from '../../../src/inject/review.ts'
import { parseSettings } from '../../../src/inject/settings.ts'
import { jsonPatch, patched } from '../../support/json-patch.ts'
import { answered, review, settings, type Loose } from '../../support/reviews.ts'

const unpatched = jsonPatch === null
const byLibrary = (title: string): string => (unpatched ? `${title} (left out: fast-json-patch is not installed)` : title)

/** The pod after an independent library has applied the answer's patch. */
function podOf(given: Loose, on = settings(), required = false): Loose {
  const { allowed, message, operations } = answered(given, on, required)
  if (!allowed) throw new Error(message)
  return patched(given.request.object, operations)
}

describe('an AdmissionReview', () => {
  test('is answered with its uid, whether it is allowed or not', () => {
    const uid = '0df28fbd-5f5f-11e8-bc74-36e6bb280816'
    expect(answered(review('created'))).toMatchObject({ uid, allowed: true })
    const refused = review('created', (pod) => (pod.spec.hostNetwork = true))
    expect(answered(refused)).toMatchObject({ uid, allowed: false })
  })

  test.each([
    ['nothing', null],
    ['an older version', { ...review('created'), apiVersion: 'admission.k8s.io/v1beta1' }],
    ['no request', { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' }],
    ['no uid', review('created', (_pod, request) => delete request.uid)],
  ])('with %s is no review, and nothing is let through', (_what, given) => {
    expect(() => answerReview(given, settings(), { required: false })).toThrow(ReviewFault)
  })

  test('of a pod without the label, or with disabled, is let through as it is', () => {
    const bare = review('created', (pod) => delete pod.metadata.labels)
    const disabled = review('created', (pod) => (pod.metadata.labels['countersign/inject'] = 'disabled'))
    for (const given of [bare, disabled]) expect(answered(given)).toMatchObject({ allowed: true, operations: [], warnings: [] })
  })

  test('of a pod whose label says something else is refused: a slip of the pen is no opting out', () => {
    const given = review('created', (pod) => (pod.metadata.labels['countersign/inject'] = 'true'))
    expect(answered(given)).toMatchObject({ allowed: false, message: expect.stringContaining('it has to be enabled or disabled') })
  })

  test('where a namespace requires it is answered with a sidecar without a label, and opting out is refused', () => {
    const bare = review('created', (pod) => delete pod.metadata.labels)
    expect(answered(bare, settings(), true).operations.length).toBeGreaterThan(0)
    const disabled = review('created', (pod) => (pod.metadata.labels['countersign/inject'] = 'disabled'))
    expect(answered(disabled, settings(), true)).toMatchObject({ allowed: false, message: expect.stringContaining('requires a sidecar') })
  })

  test.each([
    ['an ephemeral container', (request: Loose) => (request.subResource = 'ephemeralcontainers'), 'pods/ephemeralcontainers'],
    [
      'a Deployment',
      (request: Loose) =>
        Object.assign(request, {
          kind: { group: 'apps', version: 'v1', kind: 'Deployment' },
          resource: { group: 'apps', version: 'v1', resource: 'deployments' },
        }),
      'apps/deployments',
    ],
    ['a deletion', (request: Loose) => (request.operation = 'DELETE'), 'DELETE'],
    ['an object that is none', (request: Loose) => (request.object = 'pod'), 'labels cannot be read'],
  ])('of %s is refused with what to change', (_what, change, told) => {
    const given = review('created', (_pod, request) => change(request))
    expect(answered(given)).toMatchObject({ allowed: false, message: expect.stringContaining(told) })
  })

  test('of a change to a running pod is refused when it lacks the sidecar: none can be added', () => {
    const given = review('created', (_pod, request) => (request.operation = 'UPDATE'))
    expect(answered(given)).toMatchObject({ allowed: false, operations: [], message: expect.stringContaining('make the pod anew') })
  })
})

describe.skipIf(unpatched)(byLibrary('a pod of the webhook'), () => {
  test('gets the sidecar as a native one, with everything that it mounts', () => {
    const { spec } = podOf(review('created'))
    const [sidecar] = spec.initContainers
    expect(sidecar).toMatchObject({ name: 'countersign', restartPolicy: 'Always', image: 'registry.acme.example/countersign:0.1.0' })
    const names = spec.volumes.map(({ name }: Loose) => name)
    expect(names).toEqual([
      'scratch',
      'countersign-config',
      'countersign-state',
      'countersign-cluster',
      'countersign-spiffe',
      'countersign-token',
    ])
    for (const { name } of [...sidecar.volumeMounts, ...spec.containers[0].volumeMounts]) expect(names).toContain(name)
    expect(spec.terminationGracePeriodSeconds).toBe(60)
  })

  test('has its agent pointed at the routes, with a token of its own and keys that are none', () => {
    const [agent] = podOf(review('created')).spec.containers
    expect(Object.fromEntries(agent.env.map(({ name, value }: Loose) => [name, value]))).toEqual({
      LOG_LEVEL: 'info',
      OPENAI_BASE_URL: 'http://127.0.0.1:7420/openai/v1',
      OPENAI_API_BASE: 'http://127.0.0.1:7420/openai/v1',
      ANTHROPIC_BASE_URL: 'http://127.0.0.1:7420/anthropic',
      GITHUB_API_URL: 'http://127.0.0.1:7420/github',
      AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:7420/s3',
      COUNTERSIGN_TOKEN_FILE: '/var/run/countersign/token',
      OPENAI_API_KEY: 'countersign',
      ANTHROPIC_API_KEY: 'countersign',
      AWS_ACCESS_KEY_ID: 'countersign',
      AWS_SECRET_ACCESS_KEY: 'countersign',
    })
    expect(agent.volumeMounts.map(({ name }: Loose) => name)).toEqual(['scratch', 'countersign-token'])
  })

  test('is not changed a second time, also when the API server has filled in its defaults', () => {
    for (const name of ['created', 'meshed'] as const) {
      const once = podOf(review(name))
      const again = review(name, (_pod, request) => (request.object = once))
      expect(answered(again)).toMatchObject({ allowed: true, operations: [] })
      const sidecar = once.spec.initContainers.find((each: Loose) => each.name === 'countersign')
      Object.assign(sidecar, { terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File' })
      Object.assign(sidecar.startupProbe, { timeoutSeconds: 1, successThreshold: 1 })
      sidecar.ports[0].protocol = 'TCP'
      sidecar.resources.limits.memory = '1Gi'
      for (const volume of once.spec.volumes) if (volume.projected !== undefined) volume.projected.defaultMode = 420
      expect(answered(again)).toMatchObject({ allowed: true, operations: [] })
      again.request.operation = 'UPDATE'
      expect(answered(again)).toMatchObject({ allowed: true, operations: [] })
    }
  })

  test('has it behind the native sidecars that are there, and before what else is initialised', () => {
    const names = podOf(review('meshed')).spec.initContainers.map(({ name }: Loose) => name)
    expect(names).toEqual(['mesh-init', 'mesh-proxy', 'countersign', 'fetch-data'])
  })

  test('has the named containers alone pointed at it, at the named SDKs alone', () => {
    const { containers, terminationGracePeriodSeconds } = podOf(review('meshed')).spec
    const [agent, exporter] = containers
    expect(agent.env.map(({ name }: Loose) => name)).toEqual([
      'OPENAI_BASE_URL',
      'OPENAI_API_BASE',
      'COUNTERSIGN_TOKEN_FILE',
      'OPENAI_API_KEY',
    ])
    expect(exporter).toEqual(review('meshed').request.object.spec.containers[1])
    // longer than ours stays as it is
    expect(terminationGracePeriodSeconds).toBe(120)
  })

  test('reads the configuration that it names', () => {
    const given = review('created', (pod) => (pod.metadata.annotations = { 'countersign/config': 'refunds' }))
    const volume = podOf(given).spec.volumes.find(({ name }: Loose) => name === 'countersign-config')
    expect(volume).toEqual({ name: 'countersign-config', configMap: { name: 'refunds' } })
  })

  test('keeps a claim that it brings for the state, and has that mounted into the sidecar', () => {
    const claim = { name: 'countersign-state', persistentVolumeClaim: { claimName: 'refund-agent-state' } }
    const { spec } = podOf(review('created', (pod) => pod.spec.volumes.push(claim)))
    expect(spec.volumes.filter(({ name }: Loose) => name === 'countersign-state')).toEqual([claim])
    expect(spec.initContainers[0].volumeMounts.map(({ name }: Loose) => name)).toContain('countersign-state')
  })

  test('gets no socket and no token where the settings have none', () => {
    const plain = parseSettings('{ version: 1, image: "countersign:0.1.0", cluster_token: false }', 'inject.yaml')
    const { spec } = podOf(review('created'), plain)
    expect(spec.volumes.map(({ name }: Loose) => name)).toEqual(['scratch', 'countersign-config', 'countersign-state'])
    expect(spec.containers[0]).toEqual(review('created').request.object.spec.containers[0])
  })
})
