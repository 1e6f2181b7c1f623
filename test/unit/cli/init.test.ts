import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { parse } from 'yaml'
import { afterAll, expect, test } from 'vitest'
import { UsageFault } from '../../../src/cli/command.ts'
import { init } from '../../../src/cli/init.ts'
import { sdks } from '../../../src/init/sdks.ts'

const scratch = mkdtempSync(join(tmpdir(), 'countersign-init-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const laptop = ['--setup', 'laptop', '--owner', 'ada']

/** The command as main calls it, without a compiler at hand. */
async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const code = await init.run({
    args,
    env: { OPA: join(scratch, 'no-opa'), ...env },
    stdin: new PassThrough(),
    stdout,
    stderr,
    signal: new AbortController().signal,
    onHangup: () => undefined,
    version: 'test',
  })
  stdout.end()
  stderr.end()
  return { code, stdout: await text(stdout), stderr: await text(stderr) }
}

/** The configuration of a dry run. */
async function written(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { code, stdout } = await run([...laptop, '--dry-run', ...args], env)
  expect(code).toBe(0)
  const [config = '', variables = ''] = stdout.split('# For the process of the agent alone')
  return { config: parse(config), variables }
}

test('nothing is written over what is there unless told to, and nothing at all in a dry run', async () => {
  const folder = join(scratch, 'taken')
  await written([folder, '--sdk', 'anthropic'])
  expect(statSync(folder, { throwIfNoEntry: false })).toBeUndefined()
  mkdirSync(folder)
  writeFileSync(join(folder, 'countersign.yaml'), 'mine')
  const refused = await run([folder, ...laptop])
  expect([refused.code, refused.stderr]).toEqual([78, expect.stringContaining('--force')])
  expect(readFileSync(join(folder, 'countersign.yaml'), 'utf8')).toBe('mine')
  expect(statSync(join(folder, 'agent.env'), { throwIfNoEntry: false })).toBeUndefined()
  expect((await run([folder, ...laptop, '--force'])).code).toBe(0)
  expect(readFileSync(join(folder, 'countersign.yaml'), 'utf8')).toContain('routes: {}')
})

test('each SDK that a variable shows gets a route, its key by the name of the variable, and its lines for the agent', async () => {
  const env = Object.fromEntries(sdks.map(({ keys: [key = ''] }) => [key, `secret of ${key}`]))
  const { config, variables } = await written([], env)
  expect(Object.keys(config.forward.routes)).toEqual(sdks.map(({ name }) => name))
  expect(config.task.agents[0].intent.tools).toEqual(sdks.map(({ name }) => `${name}.*`))
  for (const { name, keys, base } of sdks) {
    expect(config.credential.providers[name].value).toEqual({ env: keys[0] })
    expect(variables).toContain(`${base.variable}=http://127.0.0.1:7420/${name}${base.path}\n${keys[0]}=countersign`)
  }
  expect(JSON.stringify(config) + variables).not.toContain('secret of')
})

test('a base URL that leads elsewhere is where the route goes, unless it leads to Countersign itself', async () => {
  const to = async (url: string) => (await written([], { OPENAI_BASE_URL: url })).config.forward.routes.openai
  expect(await to('http://llm.models.svc:8000/x/v1/')).toMatchObject({ to: 'http://llm.models.svc:8000/x', reach: 'private' })
  const away = await to('https://gateway.acme.example/v1')
  expect([away.to, away.reach, away.credential]).toEqual(['https://gateway.acme.example', undefined, undefined])
  expect(await to('http://127.0.0.1:7420/openai/v1')).toMatchObject({ to: 'https://api.openai.com', credential: 'openai' })
})

test('AWS gets routes where a role can be assumed for each task, and keys that stand are never taken over', async () => {
  const role = {
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/agents',
    AWS_REGION: 'eu-central-1',
    AWS_WEB_IDENTITY_TOKEN_FILE: '/run/token',
  }
  const { config, variables } = await written([], role)
  expect(config.credential.providers.dynamodb).toMatchObject({
    type: 'aws',
    role: role.AWS_ROLE_ARN,
    identity: { token_file: '/run/token' },
  })
  expect(config.forward.routes.s3.to).toBe('https://s3.eu-central-1.amazonaws.com')
  expect(variables).toContain('AWS_ENDPOINT_URL_S3=http://127.0.0.1:7420/s3')
  const standing = await run([...laptop, '--dry-run'], { AWS_ACCESS_KEY_ID: 'AKIA', AWS_SECRET_ACCESS_KEY: 'none' })
  expect([standing.code, standing.stderr, standing.stdout]).toEqual([
    0,
    expect.stringContaining('AWS_ROLE_ARN'),
    expect.not.stringContaining('AKIA'),
  ])
})

test('what is there and cannot be used is named, and a wrong word is wrong usage', async () => {
  const away = await run([join(scratch, 'x')], { SPIFFE_ENDPOINT_SOCKET: `unix:${join(scratch, 'nobody.sock')}` })
  expect([away.code, away.stderr]).toEqual([69, expect.stringContaining('or take --setup laptop')])
  const pod = await run(['--setup', 'kubernetes', '--service-account', scratch])
  expect([pod.code, pod.stderr]).toEqual([69, expect.stringContaining('holds no token of a service account')])
  for (const words of [
    ['--sdk', 'cobol'],
    ['--setup', 'moon'],
    ['--agent', 'me'],
    ['--port', '70000'],
    ['a', 'b'],
    ['--trust-domain', 'A B'],
  ])
    await expect(run(words), words.join(' ')).rejects.toThrow(UsageFault)
})
