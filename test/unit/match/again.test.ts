import { describe, expect, test } from 'vitest'
import { makeAgain } from '../../../src/match/again.ts'
import type { Route } from '../../../src/match/route.ts'
import { sketchCall, sketchRoute, sketchTarget, sketchTool } from '../../support/question.ts'

const again = (...routes: Route[]) => makeAgain(new Map(routes.map((route) => [route.name, route])))
const call = sketchCall()
const was = sketchTarget()
const elsewhere = { ...was.route.to, origin: 'https://other.acme.example' }

describe('a call under way', () => {
  test('is what it was while its route is the same', () => {
    expect(again(was.route).call(call, was)).toBe(was)
  })

  test('is what the new catalogue says: labelled anew, another tool, or none', () => {
    const labelled = sketchTool({ data: ['secret'] })
    expect(again(sketchRoute({ tools: [labelled] })).call(call, was)).toMatchObject({ tool: { data: ['secret'] }, resource: 'customer:42' })
    const renamed = sketchTool({ name: 'crm.person.read', resource: 'person:{id}' })
    expect(again(sketchRoute({ tools: [renamed] })).call(call, was)).toMatchObject({
      tool: { name: 'crm.person.read' },
      resource: 'person:42',
    })
    const other = sketchTool({ name: 'crm.order.read', match: 'GET /orders/{id}' })
    const rest = again(sketchRoute({ tools: [other] })).call(call, was)
    expect(rest).toMatchObject({ tool: { name: 'crm.uncatalogued', catalogued: false }, resource: null })
  })

  test('is nothing when its route is gone or leads elsewhere', () => {
    expect(again(sketchRoute({ name: 'erp' })).call(call, was)).toBe(null)
    expect(again(sketchRoute({ to: elsewhere })).call(call, was)).toBe(null)
  })
})

describe('a lease that is out', () => {
  const lent = { tool: 'crm.customer.read', destination: 'https://crm.acme.example/api', provider: 'crm' }

  test('is of the tool that has its name, on whichever route leads there', () => {
    expect(again(sketchRoute()).lease(lent)).toMatchObject({ tool: { name: 'crm.customer.read', catalogued: true }, resource: null })
    const first = sketchRoute({ tools: [] })
    const second = sketchRoute({ name: 'crm2' })
    expect(again(first, second).lease(lent)).toMatchObject({ route: { name: 'crm2' }, tool: { catalogued: true } })
  })

  test('is of no tool when that left the catalogue', () => {
    expect(again(sketchRoute({ tools: [] })).lease(lent)).toMatchObject({ tool: { name: 'crm.uncatalogued', catalogued: false } })
  })

  test('is nothing when no route leads there with a credential of its provider', () => {
    expect(again(sketchRoute({ to: elsewhere })).lease(lent)).toBe(null)
    expect(again(sketchRoute({ credential: 'other' })).lease(lent)).toBe(null)
    expect(again(sketchRoute({ credential: null })).lease(lent)).toBe(null)
    expect(again().lease(lent)).toBe(null)
  })
})
