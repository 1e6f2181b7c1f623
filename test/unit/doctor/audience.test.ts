import { describe, expect, test } from 'vitest'
import { audienceChecks } from '../../../src/doctor/audience.ts'
import { wrongs } from '../../support/doctor-rig.ts'

const own = 'spiffe://acme.example/countersign'

describe('the audience', () => {
  test('is well when it is our own SPIFFE ID', () => {
    expect(audienceChecks(own, own)).toMatchObject([{ code: null, severity: 'ok' }])
  })

  test('of a Countersign without identity is not compared', () => {
    expect(audienceChecks('countersign', null)).toEqual([])
  })

  test.each([
    ['spiffe://acme.example', 'warning CS2305'],
    ['spiffe://acme.example/', 'warning CS2305'],
    ['spiffe://partner.example/countersign', 'warning CS2306'],
    ['spiffe://acme.example/other', 'warning CS2304'],
    ['countersign', 'note CS2304'],
    ['https://countersign.acme.example', 'note CS2304'],
  ])('%s is found out: %s', (audience, finding) => {
    const checks = audienceChecks(audience, own)
    expect(wrongs(checks)).toEqual([`${finding} identify.audience`])
    expect(checks[0]?.fix).toContain(own)
  })

  test('as wide as a trust domain is told without an identity of our own too', () => {
    expect(wrongs(audienceChecks('spiffe://acme.example', null))).toEqual(['warning CS2305 identify.audience'])
  })
})
