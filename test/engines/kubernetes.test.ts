import { execFileSync, spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { injectDocuments } from '../../src/inject/documents.ts'
import { faultsOf, kubectl, programOf, rendered, validates } from '../support/kubernetes.ts'
import { answered, review, settings, type Loose } from '../support/reviews.ts'

/** Manifests, rendered and held to the schemas of Kubernetes: `npm run engines -- kubernetes-validate kube-score`, and kubectl on the PATH. */

const score = programOf('kube-score', 'version')
const left = (what: string, absent: boolean, why: string): string => (absent ? `${what} (left out: ${why})` : what)
const layouts = ['agent', 'agent-cilium', 'agent-uid-rules', 'job', 'gateway', 'gateway-cilium', 'paired', 'injector']

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

  test.skipIf(score === null).each(['agent', 'agent-uid-rules', 'job', 'paired', 'injector'])(
    left('kube-score finds nothing critical in %s', score === null, 'no kube-score in .engines'),
    (layout) => {
      const text = rendered(layout)
        .map((each) => stringify(each))
        .join('---\n')
      // CPU limits are left out on purpose: deploy/kubernetes/README.md says why
      const args = ['score', '--output-format', 'ci', '--ignore-container-cpu-limit', ...ignored(layout), '-']
      const { stdout } = spawnSync(score ?? '', args, { input: text, encoding: 'utf8' })
      expect(stdout).toContain('[OK]')
      expect(stdout.split('\n').filter((line) => line.startsWith('[CRITICAL]'))).toEqual([])
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

  test('a second time changes nothing, by the library that the API server applies patches with', () => {
    const pod = patchedByKubectl(review('meshed').request.object, answered(review('meshed')).operations)
    const again = answered(review('meshed', (_pod, request) => (request.object = pod)))
    expect(again).toMatchObject({ allowed: true, operations: [] })
  })
})

/** JSON Patch as kubectl applies it, which is the library of the API server. */
function patchedByKubectl(object: object, operations: readonly object[]): Loose {
  const args = ['patch', '--local', '--type=json', '-f', '-', '-o', 'json', '-p', JSON.stringify(operations)]
  return JSON.parse(execFileSync(kubectl ?? 'kubectl', args, { input: JSON.stringify(object), encoding: 'utf8' }))
}

/** Rules by user are set by root, once, before anything else of the pod runs: nothing less can. */
function ignored(layout: string): string[] {
  return layout === 'agent-uid-rules' ? ['--ignore-test', 'container-security-context-user-group-id'] : []
}

interface Pod {
  readonly initContainers?: readonly { readonly name: string }[]
  readonly volumes?: readonly { readonly name: string }[]
}

function podsOf(each: unknown): Pod[] {
  const found = each as { readonly spec?: { readonly template?: { readonly spec?: Pod } } }
  return found.spec?.template?.spec === undefined ? [] : [found.spec.template.spec]
}
