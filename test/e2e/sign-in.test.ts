import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Browser, PeopleRig } from '../support/people-rig.ts'
import { confidentialClient, signInSecret } from '../support/sign-in-issuer.ts'
import { ask } from '../support/running.ts'

describe('people sign in at the issuer', () => {
  let rig: PeopleRig
  beforeAll(async () => {
    rig = await PeopleRig.start()
  })
  afterAll(() => rig[Symbol.asyncDispose]())

  test('an approver signs in, sees what is asked, approves with a reason, and signs out', async () => {
    const row = await rig.asked()
    const browser = await rig.signedIn('u-alice')
    const list = await browser.visit('/')
    expect(list.text).toContain(row.shown.title)
    const page = await browser.visit(`/approvals/${row.id}`)
    expect(page.text).toContain('a high risk needs a person')
    const csrf = Browser.csrf(page)
    const empty = await browser.submit(`/approvals/${row.id}`, { csrf, verb: 'approve', reason: ' ' })
    expect(empty.status).toBe(400)
    const done = await browser.submit(`/approvals/${row.id}`, { csrf, verb: 'approve', reason: 'looked at the order' })
    expect([done.status, done.headers.location]).toEqual([303, `/approvals/${row.id}`])
    expect(await rig.running.sidecar.foundation.approvals.read(row.id)).toMatchObject({
      state: 'approved',
      answers: [{ by: 'person:u-alice', method: 'oidc', groups: ['approvers', 'leads'], reason: 'looked at the order' }],
    })
    const before = browser.session
    expect((await browser.submit('/sign-out', { csrf })).status).toBe(303)
    expect(browser.session).toBe('')
    expect((await ask(rig.port, '/', { headers: { cookie: `countersign=${before}`, 'user-agent': 'TestBrowser/1' } })).status).toBe(401)
  })

  test('a link from elsewhere leads to the page by a page of ours, for its visitor brings no strict cookie', async () => {
    const row = await rig.asked()
    const browser = await rig.signedIn('u-alice')
    const page = await browser.visit(`/approvals/${row.id}`, 'https://chat.example')
    expect(page.text).toContain(row.shown.title)
  })

  test('somebody who has no role is told so, and nothing else', async () => {
    rig.choose('u-mallory')
    const browser = rig.browser()
    const page = await browser.visit('/sign-in')
    expect([page.status, browser.session]).toEqual([403, ''])
    expect(page.text).toContain('have no role at this Countersign')
  })

  test('somebody who says no at the issuer is not signed in', async () => {
    rig.choose(null)
    const browser = rig.browser()
    const page = await browser.visit('/sign-in')
    expect([page.status, browser.session]).toEqual([403, ''])
  })

  test('the cookie is HttpOnly and Strict, and a page forbids scripts, frames and forms to elsewhere', async () => {
    rig.choose('u-alice')
    const browser = rig.browser()
    const away = await browser.script('GET', '/sign-in?to=https://evil.example/', {})
    expect(away.headers['set-cookie']?.[0]).toMatch(/^countersign-away=s1\..*; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600$/)
    const url = new URL(away.headers.location ?? '')
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      scope: 'openid groups',
    })
    const page = await browser.visit('/sign-in?to=https://evil.example/')
    expect(page.url).toBe(`${rig.origin}/`)
    expect(page.headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
    )
    expect(page.headers).toMatchObject({ 'x-frame-options': 'DENY', 'referrer-policy': 'same-origin', 'cache-control': 'no-store' })
    expect(page.text).not.toMatch(/<script|javascript:|onload=/i)
  })
})

describe('sessions and forged requests', () => {
  let rig: PeopleRig
  let now = Date.now()
  beforeAll(async () => {
    rig = await PeopleRig.start({ clock: () => now })
  })
  afterAll(() => rig[Symbol.asyncDispose]())

  test('a form of another page changes nothing: wrong origin, no origin, another site, no token, a guessed token', async () => {
    const row = await rig.asked()
    const browser = await rig.signedIn('u-alice')
    const page = await browser.visit(`/approvals/${row.id}`)
    const form = { csrf: Browser.csrf(page), verb: 'approve', reason: 'x' }
    const path = `/approvals/${row.id}`
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `http://127.0.0.1:${rig.running.port()}` },
      { origin: `http://localhost:${rig.port}` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'content-type': 'text/plain' },
    ])
      expect([headers, (await browser.submit(path, form, headers)).status]).toEqual([headers, 403])
    const { csrf: _csrf, ...bare } = form
    expect((await browser.submit(path, bare)).status).toBe(403)
    expect((await browser.submit(path, { ...form, csrf: `${form.csrf}x` })).status).toBe(403)
    const { csrf } = { csrf: Browser.csrf(await (await rig.signedIn('u-bob')).visit('/')) }
    expect((await browser.submit(path, { ...form, csrf })).status).toBe(403)
    expect(
      (await browser.script('POST', path, { 'content-type': 'application/x-www-form-urlencoded' }, new URLSearchParams(form).toString()))
        .status,
    ).toBe(403)
    expect(await rig.running.sidecar.foundation.approvals.read(row.id)).toMatchObject({ state: 'pending', answers: [] })
  })

  test('a script of our page may use the API with the token of the form, no other page may', async () => {
    const row = await rig.asked()
    const browser = await rig.signedIn('u-alice')
    const csrf = Browser.csrf(await browser.visit('/'))
    const own = { origin: rig.origin, 'sec-fetch-site': 'same-origin' }
    const path = `/v1/approvals/${row.id}/decline`
    const body = '{"reason":"no"}'
    expect((await browser.script('GET', '/v1/approvals', { 'sec-fetch-site': 'same-origin' })).status).toBe(200)
    expect((await browser.script('GET', '/v1/approvals', { 'sec-fetch-site': 'same-site' })).status).toBe(403)
    expect((await browser.script('GET', '/v1/approvals', { origin: 'https://evil.example' })).status).toBe(403)
    expect((await browser.script('POST', path, own, body)).status).toBe(403)
    expect((await browser.script('POST', path, { ...own, origin: 'https://evil.example', 'countersign-csrf': csrf }, body)).status).toBe(
      403,
    )
    expect((await browser.script('POST', path, { 'countersign-csrf': csrf }, body)).status).toBe(403)
    expect((await browser.script('POST', path, { ...own, 'countersign-csrf': csrf }, body)).status).toBe(200)
  })

  test('a page cannot use the local key, nor a frame or an image the page', async () => {
    const evil = { authorization: `Bearer ${rig.localKey}`, origin: 'https://evil.example' }
    expect((await ask(rig.port, '/v1/approvals', { headers: evil })).status).toBe(403)
    const browser = await rig.signedIn('u-alice')
    for (const headers of [
      { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', origin: 'https://evil.example' },
    ])
      expect((await browser.script('GET', '/', headers)).status).toBe(403)
  })

  test('an id that a browser was given beforehand never becomes a session, and the one before ends', async () => {
    const planted = 'A'.repeat(43)
    const browser = rig.browser()
    browser.cookies.set('127.0.0.1', new Map([['countersign', { value: planted, strict: false }]]))
    rig.choose('u-alice')
    await browser.visit('/sign-in')
    const first = browser.session
    expect(first).not.toBe(planted)
    const thief = rig.browser()
    thief.cookies.set('127.0.0.1', new Map([['countersign', { value: planted, strict: false }]]))
    expect((await thief.visit('/')).status).toBe(401)
    browser.cookies.set('127.0.0.1', new Map([['countersign', { value: first, strict: false }]]))
    await browser.visit('/sign-in')
    expect(browser.session).not.toBe(first)
    expect((await ask(rig.port, '/', { headers: { cookie: `countersign=${first}`, 'user-agent': 'TestBrowser/1' } })).status).toBe(401)
  })

  test('two session cookies are none: nobody could tell which is ours', async () => {
    const browser = await rig.signedIn('u-alice')
    const cookie = `countersign=${browser.session}; countersign=${browser.session}`
    expect((await ask(rig.port, '/', { headers: { cookie, 'user-agent': 'TestBrowser/1' } })).status).toBe(401)
  })

  test('what came back from the issuer counts once, and only in the browser that began', async () => {
    rig.choose('u-alice')
    const browser = rig.browser()
    const away = await browser.script('GET', '/sign-in', {})
    const victim = rig.browser()
    const forged = await victim.visit(`/sign-in/callback?code=x&state=${new URL(away.headers.location ?? '').searchParams.get('state')}`)
    expect([forged.status, victim.session]).toEqual([401, ''])
    const wrong = await browser.visit('/sign-in/callback?code=x&state=guessed')
    expect([wrong.status, browser.session]).toEqual([401, ''])
  })

  test('a cookie that another browser brings ends the session for both', async () => {
    const browser = await rig.signedIn('u-alice', 'Mozilla/5.0')
    const stolen = { cookie: `countersign=${browser.session}`, 'user-agent': 'curl/8' }
    expect((await ask(rig.port, '/v1/approvals', { headers: stolen })).status).toBe(403)
    expect((await browser.visit('/')).status).toBe(401)
  })

  test('a cookie stolen at another port of the host opens nothing on the port of the agent', async () => {
    const browser = await rig.signedIn('u-alice')
    const cookie = `countersign=${browser.session}`
    for (const path of ['/v1/approvals', '/', '/.countersign/v1/approvals', '/api/x'])
      expect((await ask(rig.running.port(), path, { headers: { cookie, 'user-agent': 'TestBrowser/1' } })).status).toBeGreaterThanOrEqual(
        400,
      )
  })

  test('the id of a session is replaced in time, the session ends unused, and at its longest', async () => {
    const browser = await rig.signedIn('u-alice')
    const first = browser.session
    now += 6 * 60_000
    expect((await browser.visit('/')).status).toBe(200)
    const second = browser.session
    expect(second).not.toBe(first)
    now += 11_000
    expect((await ask(rig.port, '/', { headers: { cookie: `countersign=${first}`, 'user-agent': 'TestBrowser/1' } })).status).toBe(401)
    expect((await browser.visit('/')).status).toBe(200)
    now += 16 * 60_000
    expect((await browser.visit('/')).status).toBe(401)
    const busy = await rig.signedIn('u-alice')
    for (let minutes = 0; minutes < 60; minutes += 10) {
      expect((await busy.visit('/')).status).toBe(200)
      now += 10 * 60_000
    }
    expect((await busy.visit('/')).status).toBe(401)
  })
})

describe('a confidential client', () => {
  test('signs in with its secret, and names come from a verified address', async () => {
    await using rig = await PeopleRig.start({
      oidc: {
        client: confidentialClient,
        secret: { env: 'OIDC_SECRET' },
        name_claim: 'email',
        approvers: ['person:alice@acme.example', 'group:none'],
      },
      env: { OIDC_SECRET: `${signInSecret}\n` },
      accounts: {
        'u-alice': { email: 'alice@acme.example', email_verified: true },
        'u-fake': { email: 'alice@acme.example', email_verified: false },
      },
    })
    const page = await (await rig.signedIn('u-alice')).visit('/')
    expect(page.text).toContain('Sign out alice@acme.example')
    const fake = await rig.signedIn('u-fake')
    expect(fake.session).toBe('')
  })
})
