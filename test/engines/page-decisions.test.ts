import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Browser, BrowserContextOptions } from 'playwright-core'
import { launch, watched, type Watched } from '../support/chromium.ts'
import { formOfPage, leastContrast } from '../support/in-page.ts'
import { PeopleRig } from '../support/people-rig.ts'
import { anyTool, ask, freeAgent, routeTo, TestUpstream } from '../support/running.ts'

const looks: readonly [string, BrowserContextOptions][] = [
  ['a desktop, light', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }],
  ['a desktop, dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
  ['a phone, light', { viewport: { width: 390, height: 844 }, colorScheme: 'light', hasTouch: true, isMobile: true }],
]

let browser: Browser
let upstream: TestUpstream
let rig: PeopleRig
beforeAll(async () => {
  browser = await launch()
  upstream = await TestUpstream.start()
  rig = await PeopleRig.start({
    admin: { roles: { admin: 'group:leads' } },
    agents: [freeAgent()],
    routes: {
      crm: routeTo(upstream.url, 'crm', {
        tools: [
          anyTool('crm.order.read', { match: 'GET /orders/{id}' }),
          anyTool('crm.order.delete', { match: 'DELETE /orders/{id}', effect: 'delete', risk: 'high' }),
        ],
      }),
    },
  })
  for (let at = 0; at < 60; at++) await call('GET', `/crm/orders/${at}`)
  await call('DELETE', '/crm/orders/7')
  await call('GET', '/crm/unknown/%3Cscript%3Edocument.title=1%3C/script%3E/%E2%80%AEgnp.exe')
  await call('GET', '/nowhere')
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  await browser.close()
})

async function call(method: string, path: string): Promise<string> {
  const headers = { authorization: `Bearer ${await rig.running.svid()}` }
  const answer = await ask(rig.running.port(), path, { method, headers })
  return String(answer.headers['countersign-call'])
}

async function signedIn(path: string, options: BrowserContextOptions = {}): Promise<Watched> {
  const one = await watched(browser, options)
  rig.choose('u-alice')
  await one.page.goto(`${rig.origin}${path}`)
  await one.page.getByRole('link', { name: 'Sign in' }).click()
  await one.page.waitForURL(`${rig.origin}${path}`)
  one.wrong.length = 0
  return one
}

const readable = { wide: 0, nameless: [], twice: [], low: [], headings: 1 }

describe.each(looks)('the decisions on %s', (_, options) => {
  test('are found by filters, paged, and looked into', async () => {
    const { page, wrong } = await signedIn('/decisions', options)
    await page.getByText('no such').count()
    expect(await page.evaluate(formOfPage)).toEqual(readable)
    expect(await page.evaluate<number>(leastContrast)).toBeGreaterThanOrEqual(4.5)
    expect(await page.locator('tbody tr').count()).toBe(50)
    await page.getByRole('link', { name: 'Older' }).click()
    await page.getByRole('link', { name: 'Newest' }).waitFor()
    expect(page.url()).toMatch(/\/decisions\?before=\d+$/)
    await page.getByText('Filter', { exact: true }).click()
    await page.getByRole('checkbox', { name: 'deny' }).check()
    await page.getByRole('checkbox', { name: 'ask' }).check()
    await page.getByRole('button', { name: 'Show' }).click()
    expect(new URL(page.url()).searchParams.getAll('decision')).toEqual(['deny', 'ask'])
    expect(await page.evaluate(formOfPage)).toEqual(readable)
    expect(await page.locator('tbody tr').count()).toBe(4)
    await page.locator('tbody tr', { hasText: 'crm.order.delete' }).getByRole('link').first().click()
    await page.getByRole('heading', { name: 'DELETE crm.order.delete' }).waitFor()
    await page.getByText('What policy saw and said').waitFor()
    expect(await page.evaluate(formOfPage)).toEqual(readable)
    expect(await page.evaluate<number>(leastContrast)).toBeGreaterThanOrEqual(4.5)
    await page.getByText('Input', { exact: true }).click()
    expect(await page.locator('pre:visible').innerText()).toContain('"crm.order.delete"')
    expect(wrong).toEqual([])
    await page.context().close()
  })
})
