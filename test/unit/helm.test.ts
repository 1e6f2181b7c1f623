import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { parseSettings } from '../../src/inject/settings.ts'
import type { Loose } from '../support/reviews.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const objects = (path: string): Loose[] => parseAllDocuments(read(path)).flatMap((document) => document.toJS() ?? [])
const chart = objects('deploy/helm/example/rendered.yaml')
const base = objects('deploy/kubernetes/gateway/gateway.yaml')
const injector = objects('deploy/kubernetes/injector/injector.yaml')
const hooks = objects('deploy/kubernetes/injector/webhook.yaml')[0]

const one = (from: readonly Loose[], kind: string, name: string): Loose =>
  from.find((each) => each.kind === kind && each.metadata.name === name)

describe('the chart', () => {
  test('is of the version of the package', () => {
    const { version } = JSON.parse(read('package.json'))
    expect(parse(read('deploy/helm/countersign/Chart.yaml'))).toMatchObject({ version, appVersion: version })
  })

  test('uses no value that is not in values.yaml, and its schema has every one', () => {
    const values = parse(read('deploy/helm/countersign/values.yaml'))
    const schema = JSON.parse(read('deploy/helm/countersign/values.schema.json'))
    const folder = join(root, 'deploy/helm/countersign/templates')
    const templates = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(yaml|tpl|txt)$/.test(name))
    const text = templates.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n')
    const used = new Set(Array.from(text.matchAll(/\.Values\.([a-zA-Z.]+)/g), (match) => match[1] ?? ''))
    expect(used.size).toBeGreaterThan(10)
    const overrides = ['nameOverride', 'fullnameOverride']
    for (const path of [...used].filter((each) => !overrides.includes(each)))
      expect(
        path.split('.').reduce<Loose>((value, part) => value?.[part], values),
        path,
      ).toBeDefined()
    const described = (value: Loose, of: Loose, path: string): void => {
      expect(of, path).toBeDefined()
      if (of.properties === undefined) return
      for (const [key, inner] of Object.entries(value)) described(inner, of.properties[key], `${path}.${key}`)
    }
    described(values, schema, 'values')
  })

  test('makes the gateway that the base is, but for names', () => {
    const [made, meant] = [one(chart, 'Deployment', 'countersign-gateway'), one(base, 'Deployment', 'countersign-gateway')].map(
      ({ spec }) => spec,
    )
    expect([made.replicas, made.strategy]).toEqual([meant.replicas, meant.strategy])
    const [pod, other] = [made.template.spec, meant.template.spec]
    expect(pod.securityContext).toEqual(other.securityContext)
    expect(pod.terminationGracePeriodSeconds).toBe(other.terminationGracePeriodSeconds)
    const { image, volumeMounts, ...same } = other.containers[0]
    expect(pod.containers[0]).toMatchObject(same)
    expect([image, pod.containers[0].image]).toEqual(['countersign', 'countersign:0.1.0'])
    const places = (mounts: readonly Loose[]): Set<string> => new Set(mounts.map(({ mountPath }) => mountPath))
    expect(places(pod.containers[0].volumeMounts)).toEqual(places(volumeMounts))
  })

  test('makes the injector that the base is', () => {
    const [made, meant] = [one(chart, 'Deployment', 'countersign-injector'), one(injector, 'Deployment', 'countersign-injector')]
    const { image: _image, livenessProbe: _probe, args, ...same } = meant.spec.template.spec.containers[0]
    expect(made.spec.template.spec.containers[0]).toMatchObject(same)
    expect(new Set(made.spec.template.spec.containers[0].args)).toEqual(new Set(args))
    const webhooks = chart.find(({ kind }) => kind === 'MutatingWebhookConfiguration').webhooks
    const shape = ({ name, rules, failurePolicy, objectSelector, reinvocationPolicy }: Loose) => ({
      name,
      rules,
      failurePolicy,
      objectSelector,
      reinvocationPolicy,
    })
    expect(webhooks.map(shape)).toEqual(hooks.webhooks.map(shape))
    for (const { failurePolicy } of webhooks) expect(failurePolicy).toBe('Fail')
  })

  test('gives the injector settings that it takes', () => {
    const text = one(chart, 'ConfigMap', 'countersign-injector').data['inject.yaml']
    expect(parseSettings(text, 'inject.yaml')).toMatchObject({ image: 'countersign:0.1.0', sdks: { github: '/github' } })
  })

  test('closes the way out of agents, in the namespaces that are named', () => {
    const policy = one(chart, 'NetworkPolicy', 'countersign-gateway-only')
    expect(policy.metadata.namespace).toBe('agents')
    expect(policy.spec.podSelector.matchLabels).toEqual({ 'countersign/egress': 'gateway' })
    expect(policy.spec.egress.map(({ ports }: Loose) => ports[0].port)).toEqual([7420, 53])
  })
})
