import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { ApprovalRow } from '../../src/state/approvals.ts'
import { launch, watched, type Watched } from '../support/chromium.ts'
import { focused, forbidden, formOfPage, leastContrast } from '../support/in-page.ts'
import { PeopleRig } from '../support/people-rig.ts'
import { agentId, anyTool, freeAgent, routeTo } from '../support/running.ts'

const looks: readonly [string, BrowserContextOptions][] = [
  ['a desktop, light', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }],
  ['a desktop, dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
  ['a phone, light', { viewport: { width: 390, height: 844 }, colorScheme: 'light', hasTouch: true, isMobile: true }],
  ['a phone, dark', { viewport: { width: 390, height: 844 }, colorScheme: 'dark', hasTouch: true, isMobile: true }],
]
/** A browser says so of every answer that is an error; that the page is one, is the point of it. */
const said = (status: number): RegExp => new RegExp(`^Failed to load resource: the server responded with a status of ${status} `)

let browser: Browser
let rig: PeopleRig
beforeAll(async () => {
  browser = await launch()
  rig = await PeopleRig.start({
    admin: { roles: { admin: 'group:leads' } },
    agents: [freeAgent()],
    routes: { crm: routeTo('http://127.0.0.1:9', 'crm', { tools: [anyTool('crm.order.read', { match: 'GET /orders/{id}' })] }) },
  })
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await browser.close()
})

/** Signed in as somebody who may do everything, on the page at this path. */
async function signedIn(path: string, options: BrowserContextOptions = {}): Promise<Watched> {
  const one = await watched(browser, options)
  rig.choose('u-alice')
  await one.page.goto(`${rig.origin}${path}`)
  await one.page.getByRole('link', { name: 'Sign in' }).click()
  await one.page.waitForURL(`${rig.origin}${path}`)
  one.wrong.splice(0, 1, ...one.wrong.slice(0, 1).filter((text) => !said(401).test(text)))
  return one
}

const approvalOf = async (id: string): Promise<ApprovalRow | null> => rig.running.sidecar.foundation.approvals.read(id)

/** Nothing is wider than the window, and nothing that can be used has no name. */
async function isReadable(page: Page): Promise<void> {
  const found = await page.evaluate(formOfPage)
  expect([page.url(), found]).toEqual([page.url(), { wide: 0, nameless: [], twice: [], low: [], headings: 1 }])
}

const contrast = (page: Page): Promise<number> => page.evaluate<number>(leastContrast)

describe.each(looks)('the page on %s', (_, options) => {
  test('shows what is asked, takes an approval and a decline, opens a task and stops a tool', async () => {
    const [first, second] = [await rig.asked({ onBehalfOf: 'u-carol', shown: { human: 'u-carol' } }), await rig.asked()]
    const { page, wrong } = await signedIn(`/approvals/${first.id}`, options)
    for (const text of ['high risk', 'u-carol', 'a high risk needs a person', 'POST /refunds', first.digest, 'to be answered until']) {
      expect(await page.getByText(text).first().isVisible()).toBe(true)
    }
    await isReadable(page)
    expect(await contrast(page)).toBeGreaterThanOrEqual(4.5)
    await page.getByRole('button', { name: 'Approve' }).click()
    expect(await approvalOf(first.id)).toMatchObject({ state: 'pending' })
    await page.getByLabel('Reason').first().fill('looked at the order')
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('status').getByText('You have approved it.').waitFor()
    expect(await approvalOf(first.id)).toMatchObject({
      state: 'approved',
      answers: [{ by: 'person:u-alice', reason: 'looked at the order' }],
    })

    await page.goto(rig.origin)
    await isReadable(page)
    expect(await contrast(page)).toBeGreaterThanOrEqual(4.5)
    await page.locator(`a[href="/approvals/${second.id}"]`).click()
    await page.getByLabel('Reason').first().fill('not today')
    await page.getByRole('button', { name: 'Decline' }).click()
    await page.getByText('You have declined it.').waitFor()
    expect(await approvalOf(second.id)).toMatchObject({ state: 'declined' })

    await page.getByRole('link', { name: 'Tasks' }).click()
    await isReadable(page)
    await page.getByRole('link', { name: 'Open a task' }).click()
    await page.locator(`a[href="/tasks/open?agent=${encodeURIComponent(agentId)}"]`).click()
    await isReadable(page)
    await page.getByLabel('Purpose').fill('look into order 7')
    await page.getByLabel('Reason').fill('case 4711')
    await page.getByRole('button', { name: 'See what will be opened' }).click()
    await page.getByText('Nothing was opened.').waitFor()
    expect(wrong.splice(0)).toEqual([expect.stringMatching(said(400))])
    expect(await page.getByLabel('Purpose').inputValue()).toBe('look into order 7')
    await isReadable(page)
    expect(await contrast(page)).toBeGreaterThanOrEqual(4.5)
    await page.getByLabel('crm.order.read').check()
    await page.getByRole('button', { name: 'See what will be opened' }).click()
    await page.getByRole('heading', { name: 'This will be opened' }).waitFor()
    await isReadable(page)
    await page.getByRole('button', { name: 'Open the task' }).click()
    await page.getByText('The task is open.').waitFor()
    const id = page.url().split('/').at(-1) ?? ''
    expect(rig.running.sidecar.foundation.state.task(id)).toMatchObject({
      openedBy: 'person:u-alice',
      intent: { tools: ['crm.order.read'] },
    })
    await isReadable(page)
    expect(await contrast(page)).toBeGreaterThanOrEqual(4.5)

    await page.getByRole('link', { name: 'Kills' }).click()
    await page.getByLabel('What', { exact: true }).selectOption('tool')
    await page.locator('#name').fill('crm.order.read')
    await page.getByLabel('Name once more').fill('crm.order.read')
    await page.locator('#reason').fill('looks odd')
    await page.getByRole('button', { name: 'Stop it now' }).click()
    await page.getByRole('status').getByText('Stopped: tool crm.order.read').waitFor()
    await isReadable(page)
    expect(await contrast(page)).toBeGreaterThanOrEqual(4.5)
    await page.getByText('Lift', { exact: true }).first().click()
    await page.getByLabel('Reason').first().fill('it was fine')
    await page.getByRole('button', { name: 'Lift this kill' }).click()
    await page.getByText('Lifted: tool crm.order.read').waitFor()
    expect(wrong).toEqual([])
    await page.context().close()
  })
})

describe('the page in a browser', () => {
  test('is used by the keyboard alone: every control is reached in the order of the page, and Enter in a reason answers nothing', async () => {
    const row = await rig.asked()
    const { page, wrong } = await signedIn(`/approvals/${row.id}`)
    const reached: string[] = []
    for (let step = 0; step < 17; step++) {
      await page.keyboard.press('Tab')
      reached.push(await page.evaluate<string>(focused))
    }
    const parts = await page.locator('header nav a').allInnerTexts()
    expect(parts).toEqual(
      expect.arrayContaining(['Approvals', 'Decisions', 'Tasks', 'Agents', 'Policy', 'Standing secrets', 'Frameworks', 'Kills']),
    )
    const before = parts.length + 2
    expect(reached.slice(0, before)).toEqual(['Skip to the content', ...parts, 'Sign out u-alice'])
    const form = ['reason', 'Approve more than this one call', 'Approve', 'Decline', 'This looks wrong', 'Take it back']
    expect(reached.slice(before, before + form.length)).toEqual(form)
    await page.getByLabel('Reason').first().focus()
    await page.keyboard.type('looked')
    await page.keyboard.press('Enter')
    expect(await approvalOf(row.id)).toMatchObject({ state: 'pending' })
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByText('You have approved it.').waitFor()
    expect(await approvalOf(row.id)).toMatchObject({ state: 'approved', answers: [{ reason: 'looked' }] })
    expect(wrong).toEqual([])
    await page.context().close()
  })

  test('prints what was asked, whole, and nothing to press', async () => {
    const row = await rig.asked({ shown: { body: Array.from({ length: 120 }, (_, line) => `line ${line}`).join('\n') } })
    const { page } = await signedIn(`/approvals/${row.id}`)
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' })
    expect(await page.locator('button:visible,textarea:visible,header:visible').count()).toBe(0)
    expect(await page.getByText('a high risk needs a person').isVisible()).toBe(true)
    const whole = await page.evaluate(`(({ scrollHeight, clientHeight }) => scrollHeight <= clientHeight)(document.querySelector('pre'))`)
    expect(whole).toBe(true)
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)')
    expect((await page.pdf()).subarray(0, 5).toString()).toBe('%PDF-')
    await page.context().close()
  })

  test('runs no script, loads nothing and stands in no frame, whatever an agent writes', async () => {
    const evil =
      '</pre><script>document.title="taken"</script><img src="https://evil.example/x" onerror="document.title=\'taken\'"><style>*{display:none}</style>'
    const row = await rig.asked({ shown: { title: evil, purpose: evil, body: evil } })
    const { page, wrong } = await signedIn(`/approvals/${row.id}`)
    const requested: string[] = []
    page.on('request', (request) => void requested.push(request.url()))
    await page.reload()
    expect(requested).toEqual([page.url()])
    expect(await page.title()).not.toBe('taken')
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toContain('<script>')
    expect(wrong).toEqual([])
    // what the policy itself forbids, were text ever to get out of its place
    const blocked = await page.evaluate(forbidden)
    expect(blocked).toEqual(['img-src', 'script-src-attr', 'script-src-elem', 'style-src-elem'])
    expect(await page.title()).not.toBe('taken')
    await page.context().close()
  })

  test('says what is empty, and to whoever only reads, why there is nothing to press', async () => {
    await using quiet = await PeopleRig.start({ admin: { roles: { viewer: 'group:staff' } }, accounts: { 'u-vic': { groups: ['staff'] } } })
    const { page, wrong } = await watched(browser)
    quiet.choose('u-vic')
    await page.goto(`${quiet.origin}/sign-in`)
    await page.getByText('Nothing is asked.').waitFor()
    await page.getByRole('link', { name: 'Tasks' }).click()
    await page.getByText('No task is live.').waitFor()
    expect(await page.getByRole('link', { name: 'Open a task' }).count()).toBe(0)
    await page.getByRole('link', { name: 'Kills' }).click()
    await page.getByText('Nothing is stopped.').waitFor()
    await page.getByText('Stopping takes the role operator').waitFor()
    expect(wrong).toEqual([])
    await page.context().close()
  })
})
