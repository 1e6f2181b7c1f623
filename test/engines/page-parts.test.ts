import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launch, watched } from '../support/chromium.ts'
import { formOfPage } from '../support/in-page.ts'
import { openStream, openTask, StreamingUpstream } from '../support/kill-rig.ts'
import { agentId, ask, freeAgent, routeTo, Running, type Answered } from '../support/running.ts'

/** The engine of the accessibility rules, as a script. */
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const looks: readonly [string, BrowserContextOptions][] = [
  ['a desktop, light', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }],
  ['a desktop, dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
  ['a phone, light', { viewport: { width: 390, height: 844 }, colorScheme: 'light' }],
  ['a phone, dark', { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }],
]

let browser: Browser
let upstream: StreamingUpstream
let running: Running
beforeAll(async () => {
  browser = await launch()
  upstream = await StreamingUpstream.start()
  const events = { name: 'api.events', match: 'GET /events', effect: 'read', risk: 'low', egress: 'internal' }
  running = await Running.start({
    routes: {
      api: routeTo(upstream.url, 'api', {
        credential: 'api',
        tools: [events, { name: 'api.refund', match: 'POST /refunds', effect: 'write', risk: 'high', egress: 'internal', args: 'json' }],
      }),
    },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    agents: [freeAgent()],
  })
  await refund(await openTask(running))
})
afterAll(async () => {
  await running[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  await browser.close()
})

/** What the agent asks for, in a task of its own. */
async function refund(task: string): Promise<Answered> {
  const headers = { authorization: `Bearer ${await running.svid()}`, 'countersign-task': task, 'content-type': 'application/json' }
  return ask(running.port(), '/api/refunds', { method: 'POST', headers, body: '{"order":"1042","amount":180}' })
}

async function link(): Promise<string> {
  const authorization = `Bearer ${readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()}`
  const made = await ask(running.port('admin'), '/v1/page', { method: 'POST', headers: { authorization }, body: '{"by":"ada"}' })
  return String(made.json['url'])
}

async function signIn(page: Page): Promise<string> {
  const url = await link()
  const { origin } = new URL(url)
  await page.goto(url)
  await page.getByRole('button', { name: 'Sign in as ada' }).click()
  await page.waitForURL(`${origin}/`)
  return origin
}

/** What the rules find that is serious or critical. */
async function barriers(page: Page): Promise<unknown> {
  await page.evaluate(axe)
  return page.evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))`)
}

describe('a running agent and a person at the page', () => {
  test('what the agent asks is found, understood and granted, and it goes on; a kill cuts its stream', async () => {
    const task = await openTask(running)
    const asked = await refund(task)
    expect([asked.status, asked.json['code']]).toEqual([403, 'approve.required'])

    const { page, wrong } = await watched(browser)
    const origins = new Set<string>()
    page.on('request', (request) => void origins.add(new URL(request.url()).origin))
    const origin = await signIn(page)
    const { id } = asked.json['approval'] as { readonly id: string }
    await page.locator(`a[href="/approvals/${id}"]`).click()
    for (const text of [
      'high risk',
      '"amount":180',
      'wants to write by api.refund',
      'exactly what this page shows, once',
      'for https://api.acme.example',
    ])
      expect([text, await page.getByText(text).first().isVisible()]).toEqual([text, true])
    await page.locator('#reason').fill('looked at order 1042')
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('You have approved it.').waitFor()
    expect((await refund(task)).status).toBe(200)

    const stream = await openStream(running, agentId, task)
    expect(stream.text).toContain('data: 1')
    await page.goto(`${origin}/kills?scope=agent&name=${encodeURIComponent(agentId)}`)
    await page.getByLabel('Name once more').fill('agent')
    await page.locator('#reason').fill('reads too much')
    await page.getByRole('button', { name: 'Stop it now' }).click()
    expect(await page.getByRole('status').innerText()).toMatch(/^Stopped: agent .*\. 1 calls cut, /)
    await stream.over
    expect((await refund(task)).status).toBe(403)
    await page.goto(`${origin}/tasks/${task}`)
    for (const text of ['It is approved', 'approved by person:ada', 'A credential was issued', 'Revoked'])
      expect([text, await page.getByText(text).first().isVisible()]).toEqual([text, true])
    expect(wrong).toEqual([])
    expect([...origins]).toEqual([origin])
    const by = running.entries().filter(({ by: who }) => who === 'person:ada')
    expect(by.map(({ event }) => event)).toEqual(expect.arrayContaining(['person.signed-in', 'approval.answered', 'kill.engaged']))
    await page.context().close()
  })
})

describe.each(looks)('every page on %s', (_, options) => {
  test('has nothing that keeps people out, and is no wider than its window', async () => {
    // the rules come as a script, which the policy of the page forbids: looked at without it
    const { page } = await watched(browser, { ...options, bypassCSP: true })
    await page.goto(`http://127.0.0.1:${running.port('admin')}/`)
    expect(await barriers(page)).toEqual([])
    const origin = await signIn(page)
    const linked = async (from: string, selector: string): Promise<string> => {
      await page.goto(`${origin}${from}`)
      return (await page.locator(selector).first().getAttribute('href')) ?? ''
    }
    const task = await linked('/tasks', 'a[href^="/tasks/t_"]')
    const paths = [
      '/',
      await linked('/', 'a[href^="/approvals/"]'),
      '/tasks',
      '/tasks/open',
      `/tasks/open?agent=${encodeURIComponent(agentId)}`,
      task,
      '/agents',
      `/agents/${encodeURIComponent(agentId)}`,
      '/policy',
      await linked(task, 'a[href^="/policy/explain?call="]'),
      '/standing',
      '/frameworks',
      '/kills',
      '/nothing',
    ]
    for (const path of paths) {
      await page.goto(`${origin}${path}`)
      if (path === '/nothing') continue
      expect([path, await page.evaluate(formOfPage)]).toEqual([path, { wide: 0, nameless: [], twice: [], low: [], headings: 1 }])
      expect([path, await barriers(page)]).toEqual([path, []])
    }
    await page.context().close()
  }, 180_000)
})
