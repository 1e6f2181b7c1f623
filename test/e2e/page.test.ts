import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TaskRow } from '../../src/state/state.ts'
import { shown } from '../support/asked.ts'
import { Browser, PeopleRig, type Page } from '../support/people-rig.ts'
import { agentId, anyTool, ask, freeAgent, owners, routeTo, type Settings } from '../support/running.ts'

const refundAgent = 'spiffe://acme.example/ns/support/sa/refund-agent'
const workers = 'spiffe://acme.example/ns/workers/*'
const sleeping = 'spiffe://acme.example/ns/support/sa/sleeping'
const registered = (id: string, more: Settings = {}): Settings => ({
  id,
  purpose: 'answer refund requests',
  owners,
  autonomy: 'bounded',
  intent: {
    tools: ['crm.*'],
    resources: ['order:*'],
    data: ['internal', 'personal'],
    egress: ['internal'],
    budget: { calls: 200, refunds_eur: 50 },
    ttl: '30m',
  },
  ...more,
})
const accounts = {
  'u-olga': { groups: ['oncall'] },
  'u-vic': { groups: ['staff'] },
  'u-alice': { groups: ['approvers'] },
  'u-ada': { groups: ['owners'] },
}

function start(admin: Settings = {}): Promise<PeopleRig> {
  return PeopleRig.start({
    admin: { roles: { viewer: 'group:staff', operator: 'group:oncall', admin: 'group:owners' }, ...admin },
    accounts,
    agents: [freeAgent(), registered(refundAgent), registered(workers), registered(sleeping, { lifecycle: 'suspended' })],
    routes: {
      crm: routeTo('http://127.0.0.1:9', 'crm', {
        tools: [anyTool('crm.order.read', { match: 'GET /orders/{id}' }), anyTool('crm.customer.read', { match: 'GET /customers/{id}' })],
      }),
    },
  })
}

/** A form that opens a task, as a browser would send it. */
const asked = (more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  agent: refundAgent,
  purpose: 'look into order 7',
  tools: 'crm.order.read',
  resources: 'order:7',
  data: 'internal',
  egress: 'internal',
  'budget.calls': '20',
  'budget.refunds_eur': '0',
  'budget.bytes_out': '',
  ttl: '10m',
  reason: 'case 4711',
  ...more,
})

const onceOf = (text: string): string => /name="once" value="([^"]+)"/.exec(text)?.[1] ?? ''
const idOf = (location: string | undefined): string => /t_[0-9A-Z]{26}/.exec(location ?? '')?.[0] ?? ''
const tasksOf = async (rig: PeopleRig, caller: string): Promise<readonly TaskRow[]> =>
  rig.running.sidecar.foundation.state.tasks({ caller, limit: 500 })

describe('people open tasks on the page', () => {
  let rig: PeopleRig
  let olga: Browser
  let csrf: string
  beforeAll(async () => {
    rig = await start()
    olga = await rig.signedIn('u-olga')
    csrf = Browser.csrf(await olga.visit('/tasks'))
  })
  afterAll(() => rig[Symbol.asyncDispose]())
  const send = (form: Readonly<Record<string, string>>) => olga.submit('/tasks/open', { csrf, ...form })

  test('choosing the agent, saying with what, seeing what will be opened, and opening it', async () => {
    expect((await olga.visit('/tasks')).text).toContain('href="/tasks/open"')
    expect((await olga.visit('/tasks/open')).text).toContain(`/tasks/open?agent=${encodeURIComponent(refundAgent)}`)
    const form = await olga.visit(`/tasks/open?agent=${encodeURIComponent(refundAgent)}`)
    expect(form.text).toContain('value="crm.order.read"')
    expect(form.text).toContain('at most 200')
    const check = await send({ ...asked(), step: 'check' })
    expect(check.status).toBe(200)
    for (const text of ['This will be opened', 'look into order 7', 'order:7', 'calls: at most 20', '10m', 'person:u-olga'])
      expect(check.text).toContain(text)
    expect(await tasksOf(rig, refundAgent)).toEqual([])
    const opened = await send({ ...asked(), step: 'open', once: onceOf(check.text) })
    expect(opened.status).toBe(303)
    const id = idOf(opened.headers.location)
    expect(rig.running.sidecar.foundation.state.task(id)).toMatchObject({
      state: 'active',
      caller: refundAgent,
      openedBy: 'person:u-olga',
      root: 'person:u-olga',
      intent: {
        purpose: 'look into order 7',
        tools: ['crm.order.read'],
        resources: ['order:7'],
        data: ['internal'],
        budget: { calls: 20, refunds_eur: 0 },
      },
    })
    expect(rig.running.entries().find(({ event, task }) => event === 'task.opened' && task === id)).toMatchObject({
      by: 'person:u-olga',
      detail: { opener: 'person', method: 'oidc', reason: 'case 4711' },
    })
    const page = await olga.visit(`/tasks/${id}`)
    expect(page.text).toContain('The task is open.')
    expect((await olga.visit(`/tasks/${id}`)).text).not.toContain('The task is open.')
  })

  test('once, however often the button is pressed', async () => {
    const before = (await tasksOf(rig, refundAgent)).length
    const form = { ...asked({ purpose: 'pressed twice' }), step: 'open', once: onceOf((await send({ ...asked(), step: 'check' })).text) }
    const answers = await Promise.all([send(form), send(form), send(form)])
    expect(new Set(answers.map(({ headers }) => headers.location)).size).toBe(1)
    expect((await send(form)).headers.location).toBe(answers[0]?.headers.location)
    expect((await tasksOf(rig, refundAgent)).length).toBe(before + 1)
  })

  test('not without seeing it first: a form that was never shown for confirmation opens nothing', async () => {
    const before = (await tasksOf(rig, refundAgent)).length
    for (const once of [{}, { once: '' }, { once: 'x' }])
      expect((await send({ ...asked(), step: 'open', ...once })).text).toContain('This will be opened')
    expect((await tasksOf(rig, refundAgent)).length).toBe(before)
  })

  test.each<[string, Readonly<Record<string, string>>, string]>([
    ['no tool', { tools: '' }, 'crm.order.read'],
    ['a tool that is not its own', { tools: 'mail.send' }, 'mail.send is not within what this agent was registered for'],
    ['another resource', { resources: 'customer:1' }, 'customer:1 is not within what this agent was registered for'],
    ['too large a budget', { 'budget.calls': '201' }, 'budget calls is above what this agent was registered for'],
    ['a budget that is no number', { 'budget.calls': 'many' }, 'calls must be a number, at most 200'],
    ['an emptied budget, which would be none', { 'budget.refunds_eur': '' }, 'refunds_eur must be a number, at most 50'],
    ['too long a life', { ttl: '2h' }, 'ttl is longer'],
    ['a life of no form', { ttl: 'soon' }, 'ttl must be a duration'],
    ['no purpose', { purpose: ' ' }, 'say what it is for'],
    ['no reason', { reason: '' }, 'say why you open it'],
  ])('with %s nothing is opened, what to do is said, and nothing that was typed is lost', async (_, wrong, said) => {
    const before = (await tasksOf(rig, refundAgent)).length
    const typed = asked({ purpose: 'a <purpose> & "more"', resources: 'order:7\norder:8', more_tools: 'crm.order.list', ...wrong })
    for (const step of ['check', 'open']) {
      const page = await send({ ...typed, step, once: 'A'.repeat(22) })
      expect([page.status, page.text.includes('Nothing was opened')]).toEqual([page.status === 403 ? 403 : 400, true])
      expect(page.text).toContain(said)
      if (wrong['purpose'] === undefined) expect(page.text).toContain('value="a &#60;purpose&#62; &#38; &#34;more&#34;"')
      if (wrong['resources'] === undefined) expect(page.text).toContain('>order:7\norder:8</textarea>')
      if (wrong['tools'] === undefined) expect(page.text).toMatch(/value="crm\.order\.read"\s+checked/)
      expect(page.text).toContain('value="crm.order.list"')
    }
    expect((await tasksOf(rig, refundAgent)).length).toBe(before)
  })

  test('whoever wants to change it finds the form as it was', async () => {
    const page = await send({ ...asked({ reason: 'two\r\nlines' }), step: 'change', once: 'A'.repeat(22) })
    expect(page.status).toBe(200)
    expect(page.text).toContain('value="look into order 7"')
    expect(page.text).toContain('two\r\nlines</textarea>')
  })

  test('for a workload of a pattern by its whole name, and for nobody else', async () => {
    const form = await olga.visit(`/tasks/open?agent=${encodeURIComponent(workers)}`)
    expect(form.text).toContain('SPIFFE ID of the workload')
    for (const caller of ['', workers, agentId, 'spiffe://acme.example/ns/workers/a/b', refundAgent])
      expect((await send({ ...asked({ agent: workers, caller }), step: 'check' })).status).toBe(400)
    const caller = 'spiffe://acme.example/ns/workers/w1'
    const once = onceOf((await send({ ...asked({ agent: workers, caller }), step: 'check' })).text)
    expect((await send({ ...asked({ agent: workers, caller }), step: 'open', once })).status).toBe(303)
    expect(await tasksOf(rig, caller)).toMatchObject([{ caller, agent: workers }])
  })

  test('not for an agent that is not live, or that nobody registered: which is said', async () => {
    for (const page of [
      await olga.visit(`/tasks/open?agent=${encodeURIComponent(sleeping)}`),
      await send({ ...asked({ agent: sleeping }), step: 'open', once: 'A'.repeat(22) }),
    ])
      expect(page.text).toContain(`${sleeping} is suspended, not live`)
    const unknown = await send({ ...asked({ agent: 'spiffe://acme.example/nobody' }), step: 'check' })
    expect([unknown.status, unknown.text]).toEqual([404, expect.stringContaining('no agent is registered')])
    expect(await tasksOf(rig, sleeping)).toEqual([])
  })

  test('wider than it was shown it is not: what is sent is what is narrowed, again', async () => {
    const once = onceOf((await send({ ...asked(), step: 'check' })).text)
    expect((await send({ ...asked({ tools: '*' }), step: 'open', once })).status).toBe(403)
    expect((await send({ ...asked({ 'budget.calls': '100000' }), step: 'open', once })).status).toBe(403)
  })
})

describe('people act on tasks on the page', () => {
  let rig: PeopleRig
  beforeAll(async () => {
    rig = await start()
  })
  afterAll(() => rig[Symbol.asyncDispose]())

  test('pause, resume and end them, each with a reason, and find what they typed when it cannot be done', async () => {
    const task = (await rig.asked()).task ?? ''
    const olga = await rig.signedIn('u-olga')
    const csrf = Browser.csrf(await olga.visit(`/tasks/${task}`))
    const act = (verb: string, reason: string) => olga.submit(`/tasks/${task}`, { csrf, verb, reason })
    const state = () => rig.running.sidecar.foundation.state.task(task)?.state
    expect([(await act('pause', ' ')).status, state()]).toEqual([400, 'active'])
    expect([(await act('pause', 'looks odd')).status, state()]).toEqual([303, 'paused'])
    expect((await olga.visit(`/tasks/${task}`)).text).toMatch(/by person: looks odd/)
    expect([(await act('resume', 'it is fine')).status, state()]).toEqual([303, 'active'])
    expect([(await act('revoke', 'wrong\r\ncustomer')).status, state()]).toEqual([303, 'revoked'])
    const again = await act('pause', 'once more')
    expect([again.status, again.text]).toEqual([409, expect.stringContaining('has ended')])
    expect((await olga.visit(`/tasks/${task}`)).text).not.toContain('name="verb"')
    expect((await act('explode', 'x')).status).toBe(400)
    expect(rig.running.entries().filter(({ event, by }) => String(event).startsWith('task.') && by === 'person:u-olga')).toMatchObject([
      { event: 'task.paused', detail: { reason: 'looks odd', method: 'oidc' } },
      { event: 'task.resumed', detail: { method: 'oidc' } },
      { event: 'task.revoked', detail: { cause: 'wrong customer', method: 'oidc' } },
    ])
  })

  test('see whole trees with what is spent, and what has ended', async () => {
    const { task } = await rig.asked()
    const vic = await rig.signedIn('u-vic')
    const page = await vic.visit('/tasks')
    expect(page.text).toContain(`href="/tasks/${task}"`)
    expect(page.text).toContain('Ended last')
    expect((await vic.visit('/tasks/t_00000000000000000000000000')).status).toBe(404)
  })

  test('stop things as operators, and start them again as admins', async () => {
    const olga = await rig.signedIn('u-olga')
    const csrf = Browser.csrf(await olga.visit('/kills'))
    const bad = await olga.submit('/kills', { csrf, scope: 'agent', name: 'no SPIFFE ID', reason: 'typed <this>' })
    expect(bad.status).toBe(400)
    expect(bad.text).toContain('kill agent needs a SPIFFE ID')
    expect(bad.text).toContain('value="no SPIFFE ID"')
    expect(bad.text).toContain('typed &#60;this&#62;</textarea>')
    const stop = { csrf, scope: 'tool', name: 'crm.order.raed', reason: 'odd' }
    for (const typed of ['', 'crm.order.read', 'yes']) {
      const unsure = await olga.submit('/kills', { ...stop, typed })
      expect([unsure.status, unsure.text.includes('type crm.order.raed to confirm it')]).toEqual([400, true])
    }
    expect(rig.running.sidecar.foundation.state.kills.kills()).toEqual([])
    expect((await olga.submit('/kills', { ...stop, typed: 'crm.order.raed' })).status).toBe(303)
    const told = await olga.visit('/kills')
    expect(told.text).toContain('is it spelled right')
    const [kill] = rig.running.sidecar.foundation.state.kills.kills()
    expect(kill).toMatchObject({ scope: 'tool', name: 'crm.order.raed', by: 'person:u-olga' })
    expect(told.text).not.toContain('Lift this kill')
    expect((await olga.submit(`/kills/${kill?.id}`, { csrf, reason: 'x' })).status).toBe(403)
    const ada = await rig.signedIn('u-ada')
    const page = await ada.visit('/kills')
    expect((await ada.submit(`/kills/${kill?.id}`, { csrf: Browser.csrf(page), reason: ' ' })).status).toBe(400)
    expect((await ada.submit(`/kills/${kill?.id}`, { csrf: Browser.csrf(page), reason: 'a typo' })).status).toBe(303)
    expect(rig.running.sidecar.foundation.state.kills.kills()).toEqual([])
    expect((await ada.submit(`/kills/${kill?.id}`, { csrf: Browser.csrf(page), reason: 'again' })).status).toBe(404)
  })

  test('an approval of a kind that has no tool, no route and no body is shown by what it holds', async () => {
    const nothing = { tool: '', route: '', method: '', target: '', destination: '', body: null, bodySha256: null }
    const row = await rig.asked({
      shown: { ...nothing, title: 'open a task for refund-agent', parameters: [{ name: 'tools', value: 'crm.order.read' }] },
    })
    const page = await (await rig.signedIn('u-alice')).visit(`/approvals/${row.id}`)
    for (const text of ['open a task for refund-agent', 'tools = crm.order.read', shown.purpose, 'Your answer', row.digest])
      expect(page.text).toContain(text)
  })
})

describe('nobody does on the page what is not theirs to do', () => {
  let rig: PeopleRig
  let task: string
  let approval: string
  beforeAll(async () => {
    rig = await start()
    const row = await rig.asked()
    task = row.task ?? ''
    approval = row.id
  })
  afterAll(() => rig[Symbol.asyncDispose]())
  const posts = (): [string, Record<string, string>][] => [
    [`/approvals/${approval}`, { verb: 'approve', reason: 'x' }],
    [`/approvals/${approval}`, { verb: 'break-glass', reason: 'x' }],
    ['/tasks/open', { ...asked(), step: 'open', once: 'A'.repeat(22) }],
    [`/tasks/${task}`, { verb: 'revoke', reason: 'x' }],
    ['/kills', { scope: 'everything', reason: 'x' }],
    ['/kills/k_00000000000000000000000000', { reason: 'x' }],
  ]
  const untouched = async (): Promise<void> => {
    const { state, approvals } = rig.running.sidecar.foundation
    expect(await approvals.read(approval)).toMatchObject({ state: 'pending', answers: [] })
    expect(state.task(task)).toMatchObject({ state: 'active' })
    expect(await tasksOf(rig, refundAgent)).toEqual([])
    expect(state.kills.kills()).toEqual([])
  }

  test('a viewer sees everything and no form but the one to sign out, and posts nothing', async () => {
    const vic = await rig.signedIn('u-vic')
    const pages: Page[] = []
    for (const path of ['/', '/tasks', '/kills', `/approvals/${approval}`, `/tasks/${task}`]) pages.push(await vic.visit(path))
    for (const page of pages) {
      expect(page.status).toBe(200)
      expect([...page.text.matchAll(/<form[^>]* action="([^"]+)"/g)].map(([, action]) => action)).toEqual(['/sign-out'])
    }
    expect((await vic.visit('/tasks/open')).status).toBe(403)
    for (const [path, form] of posts()) {
      const answer = await vic.submit(path, { csrf: Browser.csrf(pages[0] as Page), ...form })
      expect([path, answer.status, answer.text]).toEqual([path, 403, expect.stringContaining('this takes the role')])
    }
    await untouched()
  })

  test('an approver neither opens, ends nor stops, and an operator answers nothing', async () => {
    const alice = await rig.signedIn('u-alice')
    const own = Browser.csrf(await alice.visit('/'))
    for (const [path, form] of posts().slice(2))
      expect([path, (await alice.submit(path, { csrf: own, ...form })).status]).toEqual([path, 403])
    const olga = await rig.signedIn('u-olga')
    const csrf = Browser.csrf(await olga.visit('/'))
    for (const [path, form] of posts().slice(0, 2)) expect([path, (await olga.submit(path, { csrf, ...form })).status]).toEqual([path, 403])
    await untouched()
  })

  test('a form of another page, of another session or without its token counts for nothing, for the most powerful too', async () => {
    const ada = await rig.signedIn('u-ada')
    const csrf = Browser.csrf(await ada.visit('/'))
    const foreign = Browser.csrf(await (await rig.signedIn('u-ada', 'Other/1')).visit('/'))
    for (const [path, form] of posts()) {
      for (const bad of [{}, { csrf: '' }, { csrf: foreign }])
        expect([path, (await ada.submit(path, { ...form, ...bad })).status]).toEqual([path, 403])
      for (const headers of [
        { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
        { origin: 'null' },
        { 'sec-fetch-site': 'same-site' },
        { 'content-type': 'text/plain' },
      ])
        expect([path, (await ada.submit(path, { csrf, ...form }, headers)).status]).toEqual([path, 403])
    }
    await untouched()
  })

  test('an agent on loopback without a session gets a page to sign in, and posts nothing', async () => {
    const svid = { authorization: `Bearer ${await rig.running.svid()}` }
    for (const path of ['/', '/tasks', '/tasks/open', '/kills', `/approvals/${approval}`, `/tasks/${task}`]) {
      const page = await ask(rig.port, path, { headers: svid })
      expect([path, page.status, page.text.includes('Sign out')]).toEqual([path, 401, false])
    }
    for (const [path, form] of posts()) {
      const body = new URLSearchParams({ csrf: 'x', ...form }).toString()
      const headers = { ...svid, origin: rig.origin, 'content-type': 'application/x-www-form-urlencoded' }
      expect([path, (await ask(rig.port, path, { method: 'POST', headers, body })).status]).toEqual([path, 401])
    }
    await untouched()
  })

  test('whoever opened the task, or has it act for them, does not answer for it, and is told so before they try', async () => {
    const forAda = await rig.asked({ onBehalfOf: 'u-ada' })
    const ada = await rig.signedIn('u-ada')
    const page = await ada.visit(`/approvals/${forAda.id}`)
    expect(page.text).toContain('somebody else answers it')
    expect(page.text).not.toContain('value="approve"')
    const csrf = Browser.csrf(page)
    for (const verb of ['approve', 'decline'])
      expect((await ada.submit(`/approvals/${forAda.id}`, { csrf, verb, reason: 'mine' })).status).toBe(403)
    const once = onceOf((await ada.submit('/tasks/open', { csrf, ...asked(), step: 'check' })).text)
    const opened = idOf((await ada.submit('/tasks/open', { csrf, ...asked(), step: 'open', once })).headers.location)
    const { approvals, state } = rig.running.sidecar.foundation
    const row = state.task(opened)
    expect(row).not.toBeNull()
    const question = {
      tool: 'crm.order.read',
      route: 'crm',
      call: 'c_1',
      digest: 'sha256:own',
      shown,
      approvers: [],
      quorum: 1,
      ttl: 6e5,
      single: false,
      revision: 'r',
    }
    const own = await approvals.ask({ ...question, task: row })
    expect((await ada.submit(`/approvals/${own.id}`, { csrf, verb: 'approve', reason: 'mine' })).status).toBe(403)
    expect(await approvals.read(own.id)).toMatchObject({ state: 'pending', answers: [] })
  })

  test('who was not taken finds the reason that was typed', async () => {
    const alice = await rig.signedIn('u-alice')
    const csrf = Browser.csrf(await alice.visit('/'))
    const page = await alice.submit(`/approvals/${approval}`, {
      csrf,
      verb: 'approve',
      reason: 'I <looked>',
      tools: 'x.y',
      calls: 'many',
      for: '1h',
    })
    expect(page.status).toBe(400)
    for (const text of ['say all three', 'I &#60;looked&#62;</textarea>', 'value="x.y"', 'value="many"', 'value="1h"'])
      expect(page.text).toContain(text)
  })
})
