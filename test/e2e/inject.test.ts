import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { certificateFor } from '../support/certificate.ts'
import { Command, countersign } from '../support/command-line.ts'
import { review, settingsText } from '../support/reviews.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-inject-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const settings = file('inject.yaml', settingsText)
const pod = 'kind: Pod\nmetadata: { name: agent }\nspec: { containers: [{ name: agent, image: "agent:1" }] }\n'

test('countersign inject prints the manifests with the sidecar, from a file or standard input', async () => {
  const [byFile, byInput] = await Promise.all([
    countersign(['inject', '-f', file('pod.yaml', pod), '--settings', settings]),
    countersign(['inject', '-f', '-', '--image', 'countersign:0.1.0', '--sdk', 'openai=/openai'], { input: pod }),
  ])
  expect([byFile.code, byFile.stderr]).toEqual([0, ''])
  expect(parse(byFile.stdout).spec.initContainers[0].image).toBe('registry.acme.example/countersign:0.1.0')
  expect(parse(byInput.stdout).spec.containers[0].env[0]).toEqual({ name: 'OPENAI_BASE_URL', value: 'http://127.0.0.1:7420/openai/v1' })
})

test('countersign inject prints nothing when some of it cannot be done, and says what', async () => {
  const both = `${pod}---\n${pod.replace('containers:', 'hostNetwork: true, containers:')}`
  const [refused, bad, nothing] = await Promise.all([
    countersign(['inject', '-f', '-', '--settings', settings], { input: both }),
    countersign(['inject', '-f', '-', '--settings', file('bad.yaml', 'version: 1')], { input: pod }),
    countersign(['inject', '-f', '-', '--settings', settings], { input: 'kind: ConfigMap\n' }),
  ])
  expect(refused).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('refused: Pod agent: it uses the network of its node'),
  })
  expect(bad).toMatchObject({ code: 78, stdout: '', stderr: expect.stringContaining('image') })
  expect(nothing).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('nothing in it runs pods') })
})

test('countersign inject-webhook answers reviews with the certificate of its files, and ends on SIGTERM', async () => {
  const pair = certificateFor('injector.countersign.svc')
  const args = ['--settings', settings, '--cert', file('tls.crt', pair.cert), '--key', file('tls.key', pair.key), '--at', '127.0.0.1:0']
  await using webhook = new Command(['inject-webhook', ...args])
  await webhook.until(({ stderr }) => stderr.includes('the webhook is up'))
  const port = Number(/"port":(\d+)/.exec(webhook.stderr)?.[1])
  const answer = await new Promise<string>((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const options = {
      host: '127.0.0.1',
      port,
      path: '/inject',
      method: 'POST',
      headers,
      ca: pair.cert,
      servername: 'injector.countersign.svc',
    }
    const asked = request({ ...options, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve(text))
    })
    asked.on('error', reject).end(JSON.stringify(review('created')))
  })
  expect(JSON.parse(answer).response).toMatchObject({ allowed: true, patchType: 'JSONPatch' })
  webhook.signal('SIGTERM')
  expect(await webhook.exited).toBe(0)
  expect(webhook.stderr).toContain('"outcome":"injected"')
})
