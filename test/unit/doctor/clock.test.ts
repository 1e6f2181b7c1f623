import { describe, expect, test } from 'vitest'
import { ServerClocks } from '../../../src/doctor/clock.ts'
import { TestClock } from '../../support/identity-rig.ts'

/** Clocks of servers that are this many ms from ours, by URL. */
function clocksOf(offsets: Readonly<Record<string, number>>): ServerClocks {
  const clock = new TestClock()
  const clocks = new ServerClocks(clock.now)
  for (const [url, offset] of Object.entries(offsets)) clocks.answered(url, new Date(clock.now() + offset).toUTCString())
  return clocks
}

describe('clocks of servers', () => {
  test.each([0, 900, -900, 5000, -5900])('that are %d ms off agree with ours', (offset) => {
    expect(clocksOf({ 'https://a.example/x': offset }).checks()).toMatchObject([
      { code: null, seen: 'agrees within 5 s with 1 server that was asked' },
    ])
  })

  test.each([
    [7000, 'warning', 'behind'],
    [-7000, 'warning', 'ahead of'],
    [60_000, 'warning', 'behind'],
    [62_000, 'error', 'behind'],
    [-62_000, 'error', 'ahead of'],
  ])('that are %d ms off are a finding: %s', (offset, severity, way) => {
    const [found, ...more] = clocksOf({ 'https://a.example/x': offset }).checks()
    expect(found).toMatchObject({ code: 'CS2202', severity, subject: 'clock' })
    expect(found?.seen).toMatch(new RegExp(`^our clock is .* ${way} that of https://a\\.example$`))
    expect(more).toEqual([])
  })

  test('are told apart: those that agree say whose clock is wrong', () => {
    const checks = clocksOf({ 'https://a.example/': 0, 'https://b.example/': 0, 'https://c.example/': -120_000 }).checks()
    expect(checks.map(({ severity, seen }) => [severity, seen])).toEqual([
      ['ok', 'agrees within 5 s with 2 servers that were asked'],
      ['error', expect.stringContaining('https://c.example')],
    ])
  })

  test('that say nothing, or no date, count for nothing', () => {
    const clocks = new ServerClocks(new TestClock().now)
    clocks.answered('https://a.example/', null)
    clocks.answered('https://a.example/', 'yesterday')
    expect(clocks.checks()).toEqual([])
  })

  test('are heard through fetch as well, also when the answer is an error', async () => {
    const clock = new TestClock()
    const clocks = new ServerClocks(clock.now)
    const date = new Date(clock.now() - 300_000).toUTCString()
    const answer = (async () => new Response('', { status: 404, headers: { date } })) as typeof fetch
    expect((await clocks.listening(answer)('https://keys.acme.example/bundle')).status).toBe(404)
    expect(clocks.checks()).toMatchObject([
      { code: 'CS2202', severity: 'error', seen: expect.stringContaining('https://keys.acme.example') },
    ])
  })
})
