import { describe, expect, it } from 'vitest'
import { makeMatch } from '../../../src/match/match.ts'
import { Refusal } from '../../../src/refusal.ts'
import type { Route } from '../../../src/match/route.ts'
import { sketchAgent, sketchCall, sketchRoute, sketchRow, sketchTool, type CallSketch } from '../../support/question.ts'

const task = { row: sketchRow(), agent: sketchAgent() }
const json = ['content-type', 'application/json'] as const

const matcher = (route: Partial<Route> = {}) => {
  const match = makeMatch({ routes: new Map([['crm', sketchRoute(route)]]), judgedBody: 1024 })
  return (sketch: CallSketch = {}) => match(sketchCall(sketch), task)
}
const codeOf = async (attempt: () => unknown): Promise<string> => {
  try {
    await attempt()
    return 'matched'
  } catch (error) {
    return Refusal.from(error).code
  }
}

describe('match', () => {
  it('answers a call without a judged body in the same tick', () => {
    expect(matcher()({ target: '/customers/42?expand=orders' })).toMatchObject({
      tool: { name: 'crm.customer.read' },
      params: { id: '42' },
      resource: 'customer:42',
      body: { kind: 'none', judged: true },
      debit: { calls: 1 },
    })
  })

  it('takes a call that no tool describes for the worst there is, its body unread', () => {
    expect(matcher()({ method: 'POST', target: '/other', headers: [json], body: ['{"a":1}'] })).toMatchObject({
      tool: { name: 'crm.uncatalogued', effect: 'unknown', risk: 'critical', egress: 'public', catalogued: false },
      resource: null,
      body: { kind: 'stream', judged: false, bytes: null, size: 7 },
      debit: { calls: 1 },
    })
  })

  it.each([
    ['an address that is no route', { kind: 'none', route: null }],
    ['the agent API', { kind: 'agent-api', route: null }],
    ['a route that is not there', { route: 'payments' }],
    ['a route named like a member of Object', { route: 'constructor' }],
  ] as const)('refuses %s', async (_case, address) => {
    expect(await codeOf(() => matcher()(address))).toBe('match.unroutable')
  })

  describe('a resource', () => {
    const named = (match: string, resource: string, target: string) => matcher({ tools: [sketchTool({ match, resource })] })({ target })

    it.each([
      ['GET /repos/{org}/{name}', 'repo:{org}/{name}', '/repos/acme/tool', 'repo:acme/tool'],
      ['GET /repos/{org}/{name}', 'repo:{org}/{name}', '/repos/acme/a%2Fb', 'repo:acme/a/b'],
      ['GET /customers/{id}', 'customer:{id}', '/customers/*', 'customer:*'],
      ['GET /customers/{id}', 'customer:{id}', '/customers/42:x', 'customer:42:x'],
      ['GET /files/{+path}', 'file:{path}', '/files/a/b', 'file:a/b'],
      ['GET /status', 'crm', '/status', 'crm'],
    ])('of %s as %s on %s is %s', async (match, resource, target, expected) => {
      expect((await named(match, resource, target)).resource).toBe(expected)
    })

    it.each([
      ['GET /repos/{org}/{name}', 'repo:{org}/{name}', '/repos/acme%2Fsecret/tool'],
      ['GET /x/{a}/{b}', 'x:{a}--{b}', '/x/1-/2'],
      ['GET /customers/{id}', 'customer:{id}', '/customers/4%0A2'],
      ['GET /customers/{id}', 'customer:{id}', '/customers/4%7F2'],
      ['GET /customers/{id}', 'customer:{id}', '/customers/4%C2%852'],
    ])('of %s as %s on %s could be read in two ways and is refused', async (match, resource, target) => {
      expect(await codeOf(() => named(match, resource, target))).toBe('match.unroutable')
    })
  })

  describe('a debit', () => {
    const refund = (debit: Record<string, string | number>) =>
      matcher({ tools: [sketchTool({ match: 'POST /refunds', resource: null, args: 'json', debit })] })
    const post = (body: string): CallSketch => ({ method: 'POST', target: '/refunds', headers: [json], body: [body] })

    it.each([
      ['/amount', '{"amount":12.5}', 12.5],
      ['/amount', '{"amount":0}', 0],
      ['/lines/1/price', '{"lines":[{"price":1},{"price":2}]}', 2],
      ['/a~1b/m~0n', '{"a/b":{"m~n":3}}', 3],
      ['/~01', '{"~1":4}', 4],
      ['', '7', 7],
    ])('points to %j in %s', async (pointer, body, expected) => {
      expect({ ...(await refund({ eur: pointer })(post(body))).debit }).toEqual({ calls: 1, eur: expected })
    })

    it.each([
      ['/amount', '{}'],
      ['/amount', '{"Amount":5}'],
      ['/amount', '{"amount":"5"}'],
      ['/amount', '{"amount":-5}'],
      ['/amount', '{"amount":null}'],
      ['/amount', '{"amount":[5]}'],
      ['/amount', '[5]'],
      ['/amount', '5'],
      ['/length', '[5]'],
      ['/0', '{"1":5}'],
      ['/01', '[5,6]'],
      ['/-', '[5]'],
      ['/constructor/length', '{"a":1}'],
      ['/__proto__/x', '{"a":1}'],
    ])('that %j does not find as an amount in %s refuses the call', async (pointer, body) => {
      expect(await codeOf(() => refund({ eur: pointer })(post(body)))).toBe('match.body')
    })

    it('refuses a call whose body is empty or was not judged', async () => {
      expect(await codeOf(() => refund({ eur: '/amount' })({ method: 'POST', target: '/refunds' }))).toBe('match.body')
      expect(await codeOf(() => refund({ eur: '/amount' })(post(`{"amount":1,"x":"${'y'.repeat(2000)}"}`)))).toBe('match.body')
    })

    it('takes minus zero for nothing, and keeps fixed amounts apart from one call to the next', async () => {
      const match = refund({ eur: '/amount', mails: 2, calls: 3 })
      const one = await match(post('{"amount":-0}'))
      expect({ ...one.debit }).toEqual({ calls: 3, mails: 2, eur: 0 })
      expect(Object.is(one.debit['eur'], 0)).toBe(true)
      expect({ ...(await match(post('{"amount":4}'))).debit }).toEqual({ calls: 3, mails: 2, eur: 4 })
    })
  })

  it('names route and tool when a catalogue cannot be compiled', () => {
    expect(() => matcher({ tools: [sketchTool({ match: 'GET nowhere' })] })).toThrow(/^route crm: tool crm\.customer\.read: /)
  })
})
