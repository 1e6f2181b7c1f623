import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { parseSettings } from '../../src/inject/settings.ts'
import { injectDocuments } from '../../src/inject/documents.ts'
import { faultsOf, kubectl, objectsOf, programOf, rendered, validates } from '../support/kubernetes.ts'
import { answered, review, settings, type Loose } from '../support/reviews.ts'

/** Manifests, rendered and held to the schemas of Kubernetes: `npm run engines -- kubernetes-validate kube-score`, and kubectl on the PATH. */

const score = programOf('kube-score', 'version')
const helm = programOf('helm', 'version')
const root = resolve(import.meta.dirname, '../..')
const chart = join(root, 'deploy/helm/countersign')
const configured = `gateway.config=${join(root, 'deploy/kubernetes/gateway/countersign.yaml')}`
const example = ['-f', join(root, 'deploy/helm/example/values.yaml'), '--set-file', configured]
const left = (what: string, absent: boolean, why: string): string => (absent ? `${what} (left out: ${why})` : what)
const layouts = ['agent', 'agent-cilium', 'agent-plain', 'agent-uid-rules', 'job', 'gateway', 'gateway-cilium', 'paired', 'injector']

describe.skipIf(kubectl === null)(left('the kustomizations', kubectl === null, 'there is no kubectl'), () => {
  const unjudged = !validates
  test.skipIf(unjudged).each(layouts)(
    left('%s is what Kubernetes 1.29 to 1.37 take', unjudged, 'no kubernetes-validate in .engines'),
    (layout) => {
      const objects = rendered(layout)
      expect(objects.length).toBeGreaterThan(0)
      expect(faultsOf(objects)).toEqual([])
    },
  )

  test.skipIf(unjudged)(left('a misspelt setting is found', unjudged, 'no kubernetes-validate in .engines'), () => {
    const text = JSON.stringify(rendered('job')).replace('"restartPolicy":"Always"', '"restartPolicyy":"Always"')
    expect(faultsOf(JSON.parse(text)).join('\n')).toContain('restartPolicyy')
  })

  test('the component stands first in a pod whose workload has the label, and in no other', () => {
    const pods = rendered('agent-uid-rules').flatMap((each) => podsOf(each))
    expect(pods.map(({ initContainers }) => initContainers?.map(({ name }) => name))).toEqual([['countersign-egress', 'countersign']])
    const names = pods.flatMap(({ volumes }) => volumes?.map(({ name }) => name) ?? [])
    expect(new Set(names).size).toBe(names.length)
    expect(
      rendered('paired')
        .flatMap((each) => podsOf(each))
        .flatMap(({ initContainers }) => initContainers ?? []),
    ).toEqual([])
  })

  test('as a plain container it is the first that is started', () => {
    const [pod] = rendered('agent-plain').flatMap((each) => podsOf(each))
    expect([pod?.initContainers, pod?.containers.map(({ name }) => name)]).toEqual([undefined, ['countersign', 'agent']])
  })

  test.skipIf(score === null).each(['agent', 'agent-uid-rules', 'job', 'paired', 'injector'])(
    left('kube-score finds nothing critical in %s', score === null, 'no kube-score in .engines'),
    (layout) => {
      expect(critical(rendered(layout), ignored(layout))).toEqual([])
    },
  )
})

describe.skipIf(kubectl === null)(left('the webhook', kubectl === null, 'there is no kubectl'), () => {
  const unjudged = !validates

  test.skipIf(unjudged).each(['created', 'meshed'] as const)(
    left('a pod (%s) that it changed is what Kubernetes 1.29 to 1.37 take', unjudged, 'no kubernetes-validate in .engines'),
    (name) => {
      const { object } = review(name).request
      const { operations } = answered(review(name))
      const pod = patchedByKubectl(object, operations)
      expect(faultsOf([pod])).toEqual([])
      expect(parse(injectDocuments(JSON.stringify(object), settings()).text)).toEqual(pod)
    },
  )

  test('what the component of kustomize made is left as it is', () => {
    const set = rendered('agent').find((each) => (each as Loose).kind === 'StatefulSet') as Loose
    // what the controller makes of the template and its claim
    const { metadata, spec } = set.spec.template
    const claimed = { name: 'countersign-state', persistentVolumeClaim: { claimName: 'countersign-state-refund-agent-0' } }
    const pod = { metadata, spec: { ...spec, volumes: [...spec.volumes, claimed] } }
    const on = parseSettings('{ version: 1, image: "countersign:0.1.0", spiffe: {}, token: { audience: countersign } }', 'inject.yaml')
    expect(
      answered(
        review('created', (_pod, request) => (request.object = pod)),
        on,
        true,
      ),
    ).toMatchObject({ allowed: true, operations: [] })
  })

  test('a second time changes nothing, by the library that the API server applies patches with', () => {
    const pod = patchedByKubectl(review('meshed').request.object, answered(review('meshed')).operations)
    const again = answered(review('meshed', (_pod, request) => (request.object = pod)))
    expect(again).toMatchObject({ allowed: true, operations: [] })
  })
})

const absent = helm === null
describe.skipIf(absent)(left('the chart', absent, 'no helm in .engines'), () => {
  test('is what helm lint finds nothing against', () => {
    const linted = spawnSync(helm ?? '', ['lint', '--strict', chart, ...example], { encoding: 'utf8' })
    expect([linted.status, linted.stdout]).toEqual([0, expect.stringContaining('0 chart(s) failed')])
  })

  test('is rendered as deploy/helm/example/rendered.yaml has it', () => {
    expect(template()).toEqual(objectsOf(readFileSync(join(root, 'deploy/helm/example/rendered.yaml'), 'utf8')))
  })

  test.skipIf(!validates).each([
    ['both parts', []],
    ['an SVID for the injector', ['--set', 'injector.spiffe.enabled=true,gateway.spiffe.enabled=true']],
    ['certificates of yours', ['--set', 'gateway.tls.secretName=a,injector.tls.secretName=b,injector.tls.caBundle=YQ==']],
    ['the injector alone', ['--set', 'gateway.enabled=false']],
    [
      'everything set',
      ['--set', 'image.digest=sha256:' + 'a'.repeat(64) + ',gateway.state.storageClassName=fast,imagePullSecrets[0].name=registry'],
    ],
  ])(left('with %s is what Kubernetes 1.29 to 1.37 take', !validates, 'no kubernetes-validate in .engines'), (_what, more) => {
    const made = template(more)
    expect(made.length).toBeGreaterThan(5)
    expect(faultsOf(made)).toEqual([])
  })

  test('refuses a gateway without a configuration or a certificate, and a value that it does not know', () => {
    for (const [values, told] of [
      [[], '/gateway/config'],
      [['--set', 'gateway.config=x'], '/gateway/tls'],
      [[...example, '--set', 'gateway.replicas=2'], 'replicas'],
    ] as const) {
      const { status, stderr } = spawnSync(helm ?? '', ['template', 'countersign', chart, ...values], { encoding: 'utf8' })
      expect([status, stderr]).toEqual([1, expect.stringContaining(told)])
    }
  })

  test.skipIf(score === null)(left('is what kube-score finds nothing critical in', score === null, 'no kube-score in .engines'), () => {
    // agents are no part of the chart, so the policy that closes their way out meets none of its pods
    const made = template().filter((each) => (each as Loose).metadata.name !== 'countersign-gateway-only')
    expect(critical(made, [])).toEqual([])
  })
})

function template(more: readonly string[] = []): unknown[] {
  return objectsOf(
    execFileSync(helm ?? '', ['template', 'countersign', chart, '-n', 'countersign', ...example, ...more], { encoding: 'utf8' }),
  )
}

/** JSON Patch as kubectl applies it, which is the library of the API server. */
function patchedByKubectl(object: object, operations: readonly object[]): Loose {
  const args = ['patch', '--local', '--type=json', '-f', '-', '-o', 'json', '-p', JSON.stringify(operations)]
  return JSON.parse(execFileSync(kubectl ?? 'kubectl', args, { input: JSON.stringify(object), encoding: 'utf8' }))
}

/** What kube-score calls critical. CPU limits are left out on purpose: deploy/kubernetes/README.md says why. */
function critical(objects: readonly unknown[], more: readonly string[]): string[] {
  const text = objects.map((each) => stringify(each)).join('---\n')
  const args = ['score', '--output-format', 'ci', '--ignore-container-cpu-limit', ...more, '-']
  const { stdout } = spawnSync(score ?? '', args, { input: text, encoding: 'utf8' })
  if (!stdout.includes('[OK]')) throw new Error(`kube-score said nothing: ${stdout}`)
  return stdout.split('\n').filter((line) => line.startsWith('[CRITICAL]'))
}

/** Rules by user are set by root, once, before anything else of the pod runs: nothing less can. */
function ignored(layout: string): string[] {
  return layout === 'agent-uid-rules' ? ['--ignore-test', 'container-security-context-user-group-id'] : []
}

interface Pod {
  readonly containers: readonly { readonly name: string }[]
  readonly initContainers?: readonly { readonly name: string }[]
  readonly volumes?: readonly { readonly name: string }[]
}

function podsOf(each: unknown): Pod[] {
  const found = each as { readonly spec?: { readonly template?: { readonly spec?: Pod } } }
  return found.spec?.template?.spec === undefined ? [] : [found.spec.template.spec]
}
