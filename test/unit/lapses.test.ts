import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { Lapses } from '../../src/lapses.ts'
import { configText, routeTo } from '../support/running.ts'
import { noon, sketchAgent } from '../support/task-rig.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const { config } = parseConfig(configText({ routes: { crm: routeTo('https://crm.acme.example', 'crm') } }), 'countersign.yaml', {})

function rig(until: number | null) {
  const time = { now: noon }
  const told: string[] = []
  const agents = [sketchAgent({ approved: { model: null, toolchain: null, until } })]
  let ended = 0
  const log = { warn: (fields: object) => void told.push(JSON.stringify(fields)) }
  const lapses = new Lapses({ clock: () => time.now, log, of: () => ({ config, agents }), ended: () => void ended++ })
  return { time, told, lapses, ended: () => ended }
}

describe('an approval that ends', () => {
  test('has open work judged once, within a second', () => {
    const { time, lapses, ended } = rig(noon + 1500)
    vi.advanceTimersByTime(1000)
    expect(ended()).toBe(0)
    time.now = noon + 1500
    vi.advanceTimersByTime(1000)
    expect(ended()).toBe(1)
    time.now += 10_000
    vi.advanceTimersByTime(10_000)
    expect(ended()).toBe(1)
    lapses.stop()
  })

  test('is named to the operator when little is left of it, and when nothing is', () => {
    const codes = (until: number | null): string[] => {
      const { told, lapses } = rig(until)
      lapses.tell()
      lapses.stop()
      return told.map((line) => String(JSON.parse(line).code))
    }
    expect([codes(null), codes(noon + 31 * 86_400_000), codes(noon + 86_400_000), codes(noon)]).toEqual([[], [], ['CS1606'], ['CS1605']])
  })

  test('is looked for no longer once it was stopped', () => {
    const { time, lapses, ended } = rig(noon + 1)
    lapses.stop()
    time.now = noon + 2
    vi.advanceTimersByTime(5000)
    expect(ended()).toBe(0)
  })
})
