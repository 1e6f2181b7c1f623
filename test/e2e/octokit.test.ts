import { Octokit, RequestError } from 'octokit'
import { expect, test } from 'vitest'
import { app, appKey, GithubApp, installation } from '../support/github-app.ts'
import { GithubApi } from '../support/github-api.ts'
import { ask, routeTo, Running, type Settings } from '../support/running.ts'

const secret = 'ghs_upstream5e1b'
const tools: Settings[] = [
  { name: 'github.issue.list', match: 'GET /repos/{owner}/{repo}/issues', effect: 'read', risk: 'low', egress: 'internal' },
  {
    name: 'github.issue.create',
    match: 'POST /repos/{owner}/{repo}/issues',
    effect: 'write',
    risk: 'low',
    egress: 'internal',
    args: 'json',
  },
  { name: 'github.repo.read', match: 'GET /repos/{owner}/{repo}', effect: 'read', risk: 'low', egress: 'internal' },
  { name: 'github.repo.by-id', match: 'GET /repositories/{id}', effect: 'read', risk: 'low', egress: 'internal' },
  { name: 'github.archive', match: 'GET /repos/{owner}/{repo}/tarball/{ref}', effect: 'read', risk: 'low', egress: 'internal' },
  { name: 'github.repo.delete', match: 'DELETE /repos/{owner}/{repo}', effect: 'delete', risk: 'high', egress: 'internal' },
]

function start(api: GithubApi): Promise<Running> {
  return Running.start({
    routes: { github: routeTo(api.url, 'github', { credential: 'github', refusals: 'github', tools }) },
    providers: {
      github: { type: 'static', value: { env: 'GITHUB_KEY' }, unsafe_standing: true, apply: { header: 'Authorization', prefix: 'token ' } },
    },
    env: { GITHUB_KEY: secret },
  })
}

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

function client(running: Running, auth: string, base = '/github'): Octokit {
  return new Octokit({ auth, baseUrl: running.url(base), log: silent, retry: { enabled: false }, throttle: { enabled: false } })
}

async function failure(asked: Promise<unknown>): Promise<RequestError> {
  const error: unknown = await asked.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error instanceof RequestError) return error
  throw new Error('Octokit threw no error of its own', { cause: error })
}

test('every page of a paginated list comes back through the proxy', async () => {
  await using api = await GithubApi.start()
  await using running = await start(api)
  const svid = await running.svid()
  const octokit = client(running, svid)
  const found = await octokit.paginate(octokit.rest.issues.listForRepo, { owner: 'acme', repo: 'shop', per_page: 2 })
  expect(found.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6])
  expect(api.seen.map(({ url }) => url)).toEqual([
    '/repos/acme/shop/issues?per_page=2',
    '/repos/acme/shop/issues?per_page=2&page=2',
    '/repos/acme/shop/issues?per_page=2&page=3',
  ])
  // each page was asked for with the lease: had Octokit gone straight to the upstream, the identity would have been there
  expect(api.seen.map(({ headers }) => headers.authorization)).toEqual([`token ${secret}`, `token ${secret}`, `token ${secret}`])
  expect(JSON.stringify(api.seen)).not.toContain(svid)
  expect(running.entries().filter(({ kind }) => kind === 'decision')).toHaveLength(3)
})

test('the next page of a list asked for within a task stays within the task', async () => {
  await using api = await GithubApi.start()
  await using running = await start(api)
  const svid = await running.svid()
  const headers = { authorization: `Bearer ${svid}`, 'content-type': 'application/json' }
  const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"triage issues"}' })
  const task = String(opened.json['id'])
  const octokit = client(running, svid, `/t/${task}/github`)
  const first = await octokit.rest.issues.listForRepo({ owner: 'acme', repo: 'shop', per_page: 2 })
  expect(first.headers.link).toContain(`<${running.url(`/t/${task}/github`)}/repos/acme/shop/issues?per_page=2&page=2>; rel="next"`)
  const found = await octokit.paginate(octokit.rest.issues.listForRepo, { owner: 'acme', repo: 'shop', per_page: 2 })
  expect(found).toHaveLength(6)
  const decisions = running.entries().filter(({ kind }) => kind === 'decision')
  expect(decisions.map((line) => line['task'])).toEqual([task, task, task, task])
})

test('a body is judged and reaches the upstream as Octokit sent it', async () => {
  await using api = await GithubApi.start()
  await using running = await start(api)
  const created = await client(running, await running.svid()).rest.issues.create({ owner: 'acme', repo: 'shop', title: 'späte Lieferung' })
  expect(created.data.title).toBe('späte Lieferung')
  expect(api.seen[0]?.body).toBe('{"title":"späte Lieferung"}')
})

test('a renamed repository is found through the proxy', async () => {
  await using api = await GithubApi.start()
  await using running = await start(api)
  const found = await client(running, await running.svid()).rest.repos.get({ owner: 'acme', repo: 'old' })
  expect(found.data.name).toBe('shop')
  expect(api.seen.map(({ url, headers }) => [url, headers.authorization])).toEqual([
    ['/repos/acme/old', `token ${secret}`],
    ['/repositories/1', `token ${secret}`],
  ])
})

test('a download that redirects elsewhere is refused, and the signed URL is not told', async () => {
  await using api = await GithubApi.start()
  await using running = await start(api)
  const archive = client(running, await running.svid()).rest.repos.downloadTarballArchive({ owner: 'acme', repo: 'shop', ref: 'main' })
  const error = await failure(archive)
  expect(error.status).toBe(502)
  expect(error.message).toContain('The upstream redirected elsewhere')
  expect(JSON.stringify(error.response)).not.toContain('codeload')
})

test('an error of the upstream is as Octokit knows it', async () => {
  await using api = await GithubApi.start()
  await using running = await start(api)
  const error = await failure(client(running, await running.svid()).rest.repos.get({ owner: 'acme', repo: 'gone' }))
  expect(error.status).toBe(404)
  expect(error.message).toBe('Not Found - https://docs.partner.example/rest')
})

test('a refusal is an error of Octokit with our words, code and call in it', async () => {
  await using api = await GithubApi.start()
  await using running = await start(api)
  const error = await failure(client(running, await running.svid()).rest.repos.delete({ owner: 'acme', repo: 'shop' }))
  expect(error.status).toBe(403)
  expect(error.message).toContain('A person must approve this; a call of this risk needs a person')
  expect(error.message).toContain('urn:countersign:refusal:approve.required')
  expect(error.response?.data).toMatchObject({ code: 'approve.required', call: error.response?.headers['countersign-call'] })
  expect(error.response?.headers['countersign-decision']).toBe('ask')
  expect(api.seen).toEqual([])
})

test('a token that is no SVID is refused in words that Octokit shows', async () => {
  await using api = await GithubApi.start()
  await using running = await start(api)
  const error = await failure(client(running, 'ghp_dummy').rest.repos.get({ owner: 'acme', repo: 'shop' }))
  expect(error.status).toBe(401)
  expect(error.message).toContain('JWT-SVID')
})

test('with its own retries and throttling switched on, Octokit asks once for a refusal', async () => {
  await using api = await GithubApi.start()
  await using running = await start(api)
  const octokit = new Octokit({
    auth: await running.svid(),
    baseUrl: running.url('/github'),
    log: silent,
    throttle: { onRateLimit: () => true, onSecondaryRateLimit: () => true },
  })
  const error = await failure(octokit.rest.repos.delete({ owner: 'acme', repo: 'shop' }))
  expect(error.status).toBe(403)
  expect(running.entries().filter(({ kind }) => kind === 'refusal')).toHaveLength(1)
})

test('Octokit works with a token of the App that it never sees, made for its task and revoked when the task completes', async () => {
  await using api = await GithubApi.start()
  const github = new GithubApp()
  await using issuer = await github.server.listen()
  const provider = {
    type: 'github',
    app,
    key: { env: 'APP_KEY' },
    installation,
    permissions: ['issues:read'],
    repositories: ['web'],
    api: issuer.url,
  }
  await using running = await Running.start({
    routes: { github: routeTo(api.url, 'github', { credential: 'github', refusals: 'github', tools }) },
    providers: { github: provider },
    env: { APP_KEY: appKey },
  })
  const svid = await running.svid()
  const headers = { authorization: `Bearer ${svid}`, 'content-type': 'application/json' }
  const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"triage issues"}' })
  const task = String(opened.json['id'])
  const found = await client(running, svid, `/t/${task}/github`).rest.issues.listForRepo({ owner: 'acme', repo: 'shop', per_page: 2 })
  expect(found.data).toHaveLength(2)
  const lent = (api.seen[0]?.headers.authorization ?? '').replace('Bearer ', '')
  expect(github.isLive(lent)).toBe(true)
  await ask(running.port(), `/.countersign/v1/tasks/${task}/complete`, { method: 'POST', headers, body: '{}' })
  await expect.poll(() => github.isLive(lent)).toBe(false)
  await expect.poll(() => running.entries().map((line) => line['event'])).toContain('lease.revoked')
  expect(JSON.stringify([found.headers, found.data, running.entries()])).not.toContain(lent)
})
