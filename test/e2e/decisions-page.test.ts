import { afterAll, beforeAll, expect, test } from 'vitest'
import { PeopleRig } from '../support/people-rig.ts'
import { anyTool, ask, freeAgent, routeTo, TestUpstream } from '../support/running.ts'

let upstream: TestUpstream
let rig: PeopleRig
let hostile = ''
beforeAll(async () => {
  upstream = await TestUpstream.start()
  rig = await PeopleRig.start({
    agents: [freeAgent()],
    accounts: { 'u-alice': { groups: ['approvers'] }, 'u-mallory': { groups: ['interns'] } },
    routes: { crm: routeTo(upstream.url, 'crm', { tools: [anyTool('crm.order.read', { match: 'GET /orders/{id}' })] }) },
  })
  await call('/crm/orders/7')
  await call('/nowhere')
  hostile = await call("/crm/%E2%80%AEgnp/<script>alert(1)</script>\"onclick='x'")
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

async function call(path: string): Promise<string> {
  const headers = { authorization: `Bearer ${await rig.running.svid()}` }
  return String((await ask(rig.running.port(), path, { headers })).headers['countersign-call'])
}

test('a link with filters leads through the sign-in to what it says, and to no other place', async () => {
  const browser = rig.browser()
  rig.choose('u-alice')
  const path = '/decisions?decision=deny&agent=spiffe%3A%2F%2Facme.example%2F*'
  const gate = await browser.visit(path, 'https://chat.example')
  expect(gate.status).toBe(401)
  const onward = /href="(\/sign-in\?to=[^"]*)"/.exec(gate.text)?.[1]?.replaceAll('&#38;', '&') ?? ''
  expect(new URLSearchParams(onward.slice('/sign-in?'.length)).get('to')).toBe(path)
  const page = await browser.visit(onward)
  expect([page.status, page.url]).toEqual([200, `${rig.origin}${path}`])
  expect(page.text).toContain('match.unroutable')
  expect(page.text).not.toContain('crm.order.read')
  for (const to of ['//evil.example/decisions', '/decisions?a\r\nx: y', '/decisions/../v1/status', 'https://evil.example/decisions?x'])
    expect((await browser.visit(`/sign-in?to=${encodeURIComponent(to)}`)).url).toBe(`${rig.origin}/`)
})

test('what an agent wrote stands there as text, in the list and on its own page', async () => {
  const browser = await rig.signedIn('u-alice')
  const list = await browser.visit('/decisions')
  const own = await browser.visit(`/decisions/${hostile}`)
  for (const { status, text, headers } of [list, own]) {
    expect(status).toBe(200)
    expect(text).not.toContain('<script')
    expect(text).not.toMatch(/ onclick=/)
    expect(text).not.toContain('\u202e')
    expect(headers['content-security-policy']).toContain("default-src 'none'")
  }
  const evil = encodeURIComponent('"><script>alert(1)</script>')
  const typed = await browser.visit(`/decisions?agent=${evil}&decision=${evil}`)
  expect([typed.status, typed.text.includes('<script')]).toEqual([400, false])
})

test('a page that is live looks again by itself, and says how to stop it; what cannot be searched for is said', async () => {
  const browser = await rig.signedIn('u-alice')
  const live = await browser.visit('/decisions?live=1&decision=deny')
  expect(live.headers['refresh']).toBe('5')
  expect(live.text).toContain('href="/decisions?decision=deny">Stop')
  expect((await browser.visit('/decisions?decision=deny')).headers['refresh']).toBe(undefined)
  const wrong = await browser.visit('/decisions?since=yesterday&tool=crm.*')
  expect(wrong.status).toBe(400)
  expect(wrong.text).toContain('since: it takes a time')
  expect(wrong.text).toContain('value="crm.*"')
  expect((await browser.visit('/decisions/c_01JD00000000000000000000A7')).status).toBe(404)
  expect((await browser.visit('/decisions?before=1')).text).toContain('Nothing was decided yet.')
})

test('a call has its lines, and whoever has no role sees none of it', async () => {
  const browser = await rig.signedIn('u-alice')
  const { text } = await browser.visit('/decisions?tool=crm.order.read')
  const path = /href="(\/decisions\/c_[0-9A-Z]{26})\?tool=crm.order.read"/.exec(text)?.[1] ?? ''
  const own = await browser.visit(`${path}?tool=crm.order.read`)
  for (const words of [
    'GET crm.order.read',
    'The decision line',
    'The outcome line',
    '/policy/explain?call=c_',
    'href="/decisions?tool=crm.order.read"',
  ])
    expect(own.text).toContain(words)
  const mallory = await rig.signedIn('u-mallory')
  for (const place of ['/decisions', path]) expect((await mallory.visit(place)).text).not.toContain('crm.order.read')
  expect((await ask(rig.port, '/v1/decisions', {})).status).toBe(401)
})
