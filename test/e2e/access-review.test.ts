import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { AccessReview, AgentReview } from '../../src/evidence/review-form.ts'
import { countersign } from '../support/command-line.ts'
import { call, configOf, idle, reviewedOptions, work, workDay } from '../support/reviewed.ts'
import { agentId, Running, TestUpstream, type Settings } from '../support/running.ts'

const env = { MAIL: 'a-mail-key-that-stands' }

async function worked() {
  const upstream = await TestUpstream.start()
  const running = await Running.start(reviewedOptions(upstream))
  await workDay(running)
  return {
    upstream,
    running,
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

async function reviewed(words: readonly string[]): Promise<AccessReview> {
  const ran = await countersign(['agents', 'review', ...words, '-o', 'json'], { env })
  if (ran.code !== 0) throw new Error(ran.stderr)
  return JSON.parse(ran.stdout)
}

const of = ({ agents }: AccessReview, id: string): AgentReview => {
  const found = agents.find(({ agent }) => agent === id)
  if (found === undefined) throw new Error(`${id} is not reviewed`)
  return found
}

describe('a review of a real record', () => {
  test('says what was allowed, used, refused and asked, what stands, and what is not needed', async () => {
    await using rig = await worked()
    const { running } = rig
    const review = await reviewed(['--ledger', running.ledgerFolder, '--config', configOf(running)])
    const one = of(review, agentId)
    expect(one.effective_tools).toEqual(['crm.customer.delete', 'crm.customer.read', 'crm.order.read', 'mail.send', 'pay.refund'])
    expect(one.used).toMatchObject({ calls: 6, tasks: 1, spent: { calls: 6 }, outside: [] })
    expect(one.used.tools.map(({ name, calls }) => [name, calls])).toEqual([
      ['crm.customer.read', 3],
      ['crm.order.read', 1],
      ['mail.send', 1],
      ['pay.refund', 1],
    ])
    expect(one.used.tools[0]).toMatchObject({ effect: 'read', data: ['personal'], egress: ['internal'], resource_count: 3 })
    expect(one.refused.rules.map(({ name }) => name).toSorted()).toEqual([
      'data.beyond-destination',
      'intent.tool',
      'risk.high-needs-person',
    ])
    expect(one.asked).toMatchObject({ questions: 1, ended: { approved: 1 }, tools: { 'pay.refund': 1 } })
    expect(one.asked.people).toEqual([{ name: 'person:ada', approve: 1, decline: 0 }])
    expect(one.standing).toMatchObject([{ provider: 'mail', calls: 1, routes: ['mail'] }])
    expect(one.unused).toMatchObject({
      tools: ['ops.restart'],
      resources: [],
      data: ['secret'],
      egress: ['public'],
      reachable: ['crm.customer.delete'],
    })
    expect(one.unused.budget).toEqual([
      { meter: 'calls', limit: 10_000, used: 6 },
      { meter: 'EUR', limit: 500, used: null },
    ])
    expect(one.unused.ttl).toMatchObject({ limit: 28_800_000 })
    expect(one.lapsed.map(({ says }) => says)).toContainEqual('the business owner business@acme.example is a placeholder: nobody answers')
    expect(one.warnings.join('\n')).toContain('few to conclude from')
    expect(review.warnings.join('\n')).toContain('what is done once a month')
    expect(of(review, idle)).toMatchObject({ used: { calls: 0 }, proposal: null })
    expect(of(review, idle).warnings.join()).toContain('it made no call')
    expect(JSON.stringify(review)).not.toContain(env.MAIL)
  })

  test('proposes a registration under which the same work passes again, and what was not needed does not', async () => {
    await using rig = await worked()
    const { running, upstream } = rig
    const proposal = of(await reviewed(['--ledger', running.ledgerFolder, '--config', configOf(running), agentId]), agentId).proposal
    const [entry]: { readonly intent: Settings }[] = parse(proposal?.yaml ?? '')
    expect(entry?.intent).toEqual({
      tools: ['crm.customer.read', 'crm.order.read', 'mail.send', 'pay.refund'],
      resources: ['customer:*', 'order:1042'],
      data: ['public', 'internal', 'personal'],
      egress: ['internal', 'partner'],
      budget: { calls: 8 },
      ttl: '1m',
    })
    expect(proposal?.diff).toContain('-      - ops.restart')
    await using again = await Running.start(reviewedOptions(upstream, entry?.intent))
    await workDay(again)
    expect((await call(again, '/crm/customers/eu-42', 'DELETE')).json).toMatchObject({ code: 'decide.denied' })
    expect((await call(again, '/crm/orders/7')).json).toMatchObject({ code: 'decide.denied' })
    expect(work.length).toBe(5)
  })

  test('comes from a running Countersign too, with what was registered there', async () => {
    await using rig = await worked()
    const { running } = rig
    const at = ['--addr', `127.0.0.1:${running.port('admin')}`, '--key', join(running.folder, 'admin.key')]
    const one = of(await reviewed(at), agentId)
    expect(one.registered).toMatchObject({
      purpose: 'answer refunds <b>now</b>',
      lifecycle: 'live',
      intent: { tools: ['crm.*', 'mail.*', 'pay.refund', 'ops.restart'] },
    })
    expect(one.effective_tools).toBeNull()
    expect(one.standing).toMatchObject([{ provider: 'mail', calls: 1 }])
    const fromFile = of(await reviewed(['--ledger', running.ledgerFolder, '--config', configOf(running)]), agentId)
    expect(one.proposal?.yaml).toBe(fromFile.proposal?.yaml)
  })

  test('is text, and one HTML file without scripts in which nothing of a record is markup', async () => {
    await using rig = await worked()
    const { running } = rig
    const words = ['agents', 'review', '--ledger', running.ledgerFolder, '--config', configOf(running)]
    const text = await countersign(words, { env })
    expect(text.stdout).toContain('pay.refund 1')
    expect(text.stdout).toContain('standing  mail')
    const out = join(running.folder, 'review.html')
    expect((await countersign([...words, '-o', 'html', '--out', out], { env })).code).toBe(0)
    const page = readFileSync(out, 'utf8')
    expect(page).toContain('answer refunds &#60;b&#62;now&#60;/b&#62;')
    expect(page).not.toMatch(/<script|<b>|\son\w+=|https?:\/\//i)
    expect((await countersign([...words, 'spiffe://acme.example/nobody'], { env })).code).toBe(1)
    expect((await countersign([...words, '-o', 'pdf'], { env })).code).toBe(64)
  })
})

describe('coverage of frameworks', () => {
  test('names what was at work in a real record, by rule, refusal and event', async () => {
    await using rig = await worked()
    const { running } = rig
    const ran = await countersign(['frameworks', 'coverage', '--ledger', running.ledgerFolder, '-o', 'json'])
    const report = JSON.parse(ran.stdout)
    const control = (id: string) => report.controls.find((one: { id: string }) => one.id === id)
    expect(control('leases').by).toMatchObject({ 'lease.issued': 1 })
    expect(control('approvals').by).toMatchObject({ 'risk.high-needs-person': 1, 'approval.opened': 1, 'approval.approved': 1 })
    expect(control('intent').by).toMatchObject({ 'intent.tool': 1, 'task.opened': 1 })
    const row = (framework: string, id: string) =>
      report.frameworks.find((one: { framework: string }) => one.framework === framework).rows.find((one: { id: string }) => one.id === id)
    expect(row('owasp-agentic', 'ASI02').times).toBe(3)
    expect(row('owasp-agentic', 'ASI05')).toMatchObject({ status: 'none', times: 0 })
    expect(row('csa-maestro', 'L6').times).toBe(3)
    expect(row('aarm', 'R3.2')).toMatchObject({ times: 1 })
    const refused = running.entries().find(({ rules }) => Array.isArray(rules) && rules.includes('data.beyond-destination'))
    expect(row('mitre-atlas', 'AML.T0086').examples).toContain(refused?.id)
    expect(report.unknown).toEqual({})
    const task = String(running.entries().find(({ event }) => event === 'task.opened')?.['task'])
    const own = JSON.parse(
      (await countersign(['frameworks', 'coverage', '--ledger', running.ledgerFolder, '--task', task, '-o', 'json'])).stdout,
    )
    expect(own.calls).toBe(9)
    expect(own.lines).toBeLessThan(report.lines)
    expect((await countersign(['frameworks', 'coverage', '--ledger', running.ledgerFolder, '--task', 't_none'])).code).toBe(1)
    const page = await countersign(['frameworks', 'coverage', '--ledger', running.ledgerFolder, '-o', 'markdown'])
    expect(page.stdout).toContain('| ASI02 | enforced | 3 |')
  })
})
