import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { injectDocuments } from '../../../src/inject/documents.ts'
import { planInjection } from '../../../src/inject/plan.ts'
import { jsonPatch, patched } from '../../support/json-patch.ts'
import { review, settings, type Loose } from '../../support/reviews.ts'

const pod = '{ containers: [{ name: agent, image: "agent:1" }] }'
const template = `{ metadata: { labels: { app: agent } }, spec: ${pod} }`
const kinds: readonly (readonly [string, string, (object: Loose) => Loose])[] = [
  ['Pod', `apiVersion: v1\nkind: Pod\nmetadata: { name: agent }\nspec: ${pod}\n`, (object) => object.spec],
  ...['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job'].map(
    (kind) =>
      [
        kind,
        `apiVersion: apps/v1\nkind: ${kind}\nmetadata: { name: agent }\nspec: { template: ${template} }\n`,
        (object: Loose) => object.spec.template.spec,
      ] as const,
  ),
  [
    'CronJob',
    `apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: agent }\nspec: { schedule: "0 3 * * *", jobTemplate: { spec: { template: ${template} } } }\n`,
    (object) => object.spec.jobTemplate.spec.template.spec,
  ],
  [
    'List',
    `apiVersion: v1\nkind: List\nitems: [{ apiVersion: v1, kind: Pod, metadata: { name: agent }, spec: ${pod} }]\n`,
    (object) => object.items[0].spec,
  ],
]

describe('offline', () => {
  test.each(kinds)('a %s gets the sidecar, once', (_kind, text, specOf) => {
    const { text: once, done, refused } = injectDocuments(text, settings())
    expect({ refused, done: done.length }).toEqual({ refused: [], done: 1 })
    const spec = specOf(parse(once))
    expect(spec.initContainers.map(({ name }: Loose) => name)).toEqual(['countersign'])
    expect(spec.containers[0].env.map(({ name }: Loose) => name)).toContain('OPENAI_BASE_URL')
    const twice = injectDocuments(once, settings())
    expect(twice).toMatchObject({ text: once, done: [], refused: [] })
  })

  test('it is put where the webhook puts it', () => {
    for (const name of ['created', 'meshed'] as const) {
      const { object } = review(name).request
      const plan = planInjection(object, settings())
      if (plan.refused) throw new Error(plan.reasons.join())
      const { text } = injectDocuments(JSON.stringify(object), settings())
      expect(parse(text).spec.initContainers.map((each: Loose) => each.name)).toContain('countersign')
      if (jsonPatch !== null) expect(parse(text)).toEqual(patched(object, plan.operations))
    }
  })

  test('comments, the order of members, and documents that run nothing stay as they are', () => {
    const text = `# of the agent\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: agent } # by hand\n---\nspec: # first\n  containers:\n    - name: agent # here\nkind: Pod\n`
    const { text: changed, done } = injectDocuments(text, settings())
    expect(done).toEqual(['Pod '])
    for (const each of [
      '# of the agent\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: agent } # by hand\n---\nspec:',
      '# first\n',
      '- name: agent # here\n',
    ])
      expect(changed).toContain(each)
    expect(Object.keys(parseAllDocuments(changed)[1]?.toJS())).toEqual(['spec', 'kind'])
  })

  test('what is labelled disabled is left, on the workload or on its template', () => {
    const [, text = ''] = kinds[1] ?? []
    const off = 'labels: { countersign/inject: disabled }'
    for (const each of [text.replace('name: agent }', `name: agent, ${off} }`), text.replace('labels: { app: agent }', off)])
      expect(injectDocuments(each, settings())).toMatchObject({ done: [], left: ['Deployment agent'], refused: [] })
  })

  test('what cannot be done is told with its kind and name', () => {
    const text = `kind: Pod\nmetadata: { name: a }\nspec: { hostNetwork: true, containers: [{ name: agent }] }\n---\nkind: Pod\nmetadata: { name: b }\nspec: {}\n`
    const { refused } = injectDocuments(text, settings())
    expect(refused.map((line) => line.split(':')[0])).toEqual(['Pod a', 'Pod b'])
  })

  test('aliases of YAML are refused: what they share would be changed in every place', () => {
    const text = `kind: Pod\nmetadata: { name: a }\nspec:\n  containers: [{ name: one, env: &shared [] }, { name: two, env: *shared }]\n`
    expect(injectDocuments(text, settings()).refused).toEqual([expect.stringContaining('YAML aliases')])
  })

  test('text that is no YAML is an error', () => {
    expect(() => injectDocuments('kind: [', settings())).toThrow()
    expect(() => injectDocuments('kind: Pod\nkind: Pod\n', settings())).toThrow()
  })
})
