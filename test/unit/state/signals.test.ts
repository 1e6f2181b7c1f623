import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { signalsText } from '../../../src/decide/signal-input.ts'
import type { SignalRow } from '../../../src/state/signals.ts'
import { openSqlite } from '../../../src/state/sqlite.ts'

const noon = 1_790_000_000_000
const row = (change: Partial<SignalRow> = {}): SignalRow => ({
  scope: 'resource',
  key: 'file:1',
  name: 'malware-scan',
  value: 'clean',
  source: 'scanner',
  by: 'person:ada',
  reason: 'scanned',
  at: noon,
  expires: noon + 60_000,
  ...change,
})

function rig(path = ':memory:') {
  const time = { now: noon }
  const state = openSqlite({ path, clock: () => time.now })
  return { time, state, signals: state.signals }
}

const about = { task: 't_1', caller: 'spiffe://a', resource: 'file:1' }

describe('signals', () => {
  it('count for their resource, task or caller, the narrowest of one name first, and in time only', () => {
    const { signals } = rig()
    expect(signals.of(about, noon)).toEqual([])
    signals.give(row({ scope: 'caller', key: 'spiffe://a', value: 1 }))
    signals.give(row({ scope: 'task', key: 't_1', value: 2, name: 'size' }))
    expect(signals.of(about, noon).map(({ value }) => value)).toEqual([2, 1])
    signals.give(row())
    expect(signals.of(about, noon).map(({ value }) => value)).toEqual(['clean', 2])
    expect(signals.of({ ...about, resource: null }, noon).map(({ value }) => value)).toEqual([2, 1])
    expect(signals.of({ task: 't_2', caller: 'spiffe://b', resource: 'file:2' }, noon)).toEqual([])
    expect(signals.of(about, noon + 60_000)).toEqual([])
  })

  it('take the place of the one before, are listed, and are withdrawn once', () => {
    const { signals, time } = rig()
    signals.give(row())
    signals.give(row({ value: 'infected' }))
    signals.give(row({ scope: 'task', key: 't_1' }))
    expect(signals.signals().map(({ scope, value }) => [scope, value])).toEqual([
      ['resource', 'infected'],
      ['task', 'clean'],
    ])
    expect(signals.signals({ scope: 'task' })).toHaveLength(1)
    expect(signals.signals({ key: 'file:9' })).toEqual([])
    expect(signals.withdraw('resource', 'file:1', 'malware-scan')).toMatchObject({ value: 'infected' })
    expect(signals.withdraw('resource', 'file:1', 'malware-scan')).toBeNull()
    time.now += 60_000
    expect(signals.withdraw('task', 't_1', 'malware-scan')).toBeNull()
  })

  it('are at most ten of one key, until some are late', () => {
    const { signals, time } = rig()
    for (let at = 0; at < 10; at++) expect(signals.give(row({ name: `s-${at}` }))).not.toBeNull()
    expect(signals.give(row({ name: 's-10' }))).toBeNull()
    expect(signals.give(row({ name: 's-3', value: 'other' }))).not.toBeNull()
    expect(signals.give(row({ key: 'file:2', name: 's-10' }))).not.toBeNull()
    time.now += 60_000
    expect(signals.give(row({ name: 's-10', expires: time.now + 1 }))).not.toBeNull()
    expect(signals.signals().map(({ name }) => name)).toEqual(['s-10'])
  })

  it('outlive the process', () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-signals-'))
    try {
      const path = join(folder, 'state.db')
      const first = rig(path)
      first.signals.give(row())
      first.signals.give(row({ name: 'gone' }))
      first.signals.withdraw('resource', 'file:1', 'gone')
      first.state.close()
      const again = rig(path)
      expect(again.signals.of(about, noon)).toEqual([row()])
      again.state.close()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('signals in the input', () => {
  it('are an empty object where there is none, and whole JSON whatever they say', () => {
    expect(signalsText(undefined, noon)).toBe('{}')
    expect(signalsText([], noon)).toBe('{}')
    const rows = [row({ value: '"}\ud800' }), row({ name: 'n', value: 1.5 }), row({ name: 'b', value: false, at: noon + 5 })]
    expect(JSON.parse(signalsText(rows, noon + 3))).toEqual({
      'malware-scan': { value: '"}\ufffd', source: 'scanner', ago: 3 },
      n: { value: 1.5, source: 'scanner', ago: 3 },
      b: { value: false, source: 'scanner', ago: 0 },
    })
    expect(() => signalsText([row({ value: 'x'.repeat(257) })], noon)).toThrow()
    expect(() =>
      signalsText(
        Array.from({ length: 33 }, (_, at) => row({ name: `s-${at}` })),
        noon,
      ),
    ).toThrow()
  })
})
