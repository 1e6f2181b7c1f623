import { describe, expect, test } from 'vitest'
import { parseSettings, SettingsFault } from '../../../src/inject/settings.ts'
import { answered, review, settings, type Loose } from '../../support/reviews.ts'

type Change = (pod: Loose) => void

const agentOf = (pod: Loose): Loose => pod.spec.containers[0]

describe('the webhook refuses a pod', () => {
  const cases: readonly (readonly [string, Change, string])[] = [
    ['on the network of its node', (pod) => (pod.spec.hostNetwork = true), 'hostNetwork'],
    ['that sees the processes of its node', (pod) => (pod.spec.hostPID = true), 'hostPID'],
    ['whose containers see each other', (pod) => (pod.spec.shareProcessNamespace = true), 'shareProcessNamespace'],
    ['for Windows', (pod) => (pod.spec.os = { name: 'windows' }), 'Windows'],
    ['whose agent runs as the sidecar does', (pod) => (agentOf(pod).securityContext.runAsUser = 65_532), 'user 65532'],
    [
      'that runs as the sidecar does as a whole',
      (pod) => {
        pod.spec.securityContext = { runAsUser: 65_532 }
        delete agentOf(pod).securityContext.runAsUser
      },
      'user 65532',
    ],
    ['with a privileged agent', (pod) => (agentOf(pod).securityContext.privileged = true), 'privileged'],
    ['whose agent may trace', (pod) => (agentOf(pod).securityContext.capabilities.add = ['SYS_PTRACE']), 'SYS_PTRACE'],
    ['whose agent has a port of ours', (pod) => (agentOf(pod).ports[0].containerPort = 7420), 'port 7420'],
    ['whose agent has the port of people', (pod) => (agentOf(pod).ports[0].containerPort = 7421), 'port 7421'],
    ['with an ordinary container of our name', (pod) => (agentOf(pod).name = 'countersign'), 'added by hand'],
    [
      'with a sidecar of another making',
      (pod) => (pod.spec.initContainers = [{ name: 'countersign', image: 'other:1', restartPolicy: 'Always' }]),
      "not the injector's (image",
    ],
    [
      'with a volume of our name',
      (pod) => pod.spec.volumes.push({ name: 'countersign-state', hostPath: { path: '/' } }),
      'volume "countersign-state"',
    ],
    [
      "whose agent mounts what is the sidecar's",
      (pod) => agentOf(pod).volumeMounts.push({ name: 'countersign-state', mountPath: '/state' }),
      'for the sidecar alone',
    ],
    [
      'whose agent points an SDK elsewhere',
      (pod) => agentOf(pod).env.push({ name: 'OPENAI_BASE_URL', value: 'https://api.openai.com/v1' }),
      'sets OPENAI_BASE_URL itself',
    ],
    [
      'with an annotation that is unknown',
      (pod) => (pod.metadata.annotations = { 'countersign/sdk': 'openai' }),
      'countersign/sdk is unknown',
    ],
    ['that names an SDK without a route', (pod) => (pod.metadata.annotations = { 'countersign/sdks': 'gemini' }), 'name no route for it'],
    ['that names an SDK that is none', (pod) => (pod.metadata.annotations = { 'countersign/sdks': 'llama' }), 'no SDK that is known'],
    [
      'that names a container it has not',
      (pod) => (pod.metadata.annotations = { 'countersign/containers': 'worker' }),
      'no such container',
    ],
    ['that names no ConfigMap', (pod) => (pod.metadata.annotations = { 'countersign/config': '../x' }), 'name a ConfigMap'],
    ['without containers', (pod) => (pod.spec.containers = []), 'it is no pod: spec.containers'],
  ]

  test.each(cases)('%s', (_what, change, told) => {
    const { allowed, operations, message } = answered(review('created', change))
    expect({ allowed, operations }).toEqual({ allowed: false, operations: [] })
    expect(message).toMatch(/^countersign cannot put a sidecar into this pod: /)
    expect(message).toContain(told)
  })

  test('with everything that is in the way at once', () => {
    const { message } = answered(
      review('created', (pod) => {
        pod.spec.hostNetwork = true
        agentOf(pod).securityContext.privileged = true
      }),
    )
    expect(message).toMatch(/hostNetwork.*; .*privileged/)
  })

  test('no more for a command of its own than for an image: both make another program of it', () => {
    const [{ value: container }] = answered(review('created')).operations.filter(({ path }) => path === '/spec/initContainers/0') as [Loose]
    const given = review('created', (pod) => (pod.spec.initContainers = [{ ...container, command: ['sleep'] }]))
    expect(answered(given)).toMatchObject({ allowed: false, message: expect.stringContaining('(command)') })
  })
})

describe('the webhook warns', () => {
  test('of credentials that the agent holds itself, by name and never by value', () => {
    const { allowed, warnings } = answered(
      review('created', (pod) => {
        agentOf(pod).env.push(
          { name: 'OPENAI_API_KEY', value: 'sk-abc' },
          { name: 'CRM', valueFrom: { secretKeyRef: { name: 'crm', key: 'k' } } },
        )
        agentOf(pod).envFrom = [{ secretRef: { name: 'all' } }]
      }),
    )
    expect(allowed).toBe(true)
    expect(warnings).toEqual([expect.stringContaining('OPENAI_API_KEY, CRM, all of Secret all')])
    expect(warnings.join('')).not.toContain('sk-abc')
  })

  test('nobody whose agent holds none', () => {
    expect(answered(review('created')).warnings).toEqual([])
  })
})

describe('settings', () => {
  test.each([
    ['no image', 'version: 1', 'image'],
    ['an image without a tag', 'version: 1\nimage: registry.acme.example:5000/countersign', 'tag or digest'],
    ['an SDK that is none', 'version: 1\nimage: a:1\nsdks: { llama: /llama }', 'llama'],
    ['a route that is no prefix', 'version: 1\nimage: a:1\nsdks: { openai: openai }', 'sdks.openai'],
    ['a member that is unknown', 'version: 1\nimage: a:1\nimge: b', 'imge'],
    ['ports that collide', 'version: 1\nimage: a:1\nhealth_port: 7420', 'have to differ'],
    ['no YAML', 'version: [', 'not valid YAML'],
  ])('with %s cannot be used', (_what, text, told) => {
    expect(() => parseSettings(text, 'inject.yaml')).toThrow(SettingsFault)
    expect(() => parseSettings(text, 'inject.yaml')).toThrow(told)
  })

  test('move the ports, and the agent follows', () => {
    const { operations } = answered(review('created'), settings('agent_port: 9420\nhealth_port: 9423\n'))
    expect(operations.find(({ value }) => (value as Loose).name === 'GITHUB_API_URL')?.value).toMatchObject({
      value: 'http://127.0.0.1:9420/github',
    })
    expect(operations.find(({ path }) => path === '/spec/initContainers/0')?.value).toMatchObject({ ports: [{ containerPort: 9423 }] })
  })
})
