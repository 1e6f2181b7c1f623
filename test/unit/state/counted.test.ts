import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSqlite } from '../../../src/state/sqlite.ts'

const rule = { id: 'too-many', most: 3, span: 1000 }

function open(path = ':memory:', now = 0) {
  return openSqlite({ path, clock: () => now })
}

describe('what a rule counts', () => {
  it('lies within its span, and is counted no further than it matters', () => {
    const { counted } = open()
    expect([0, 500, 999].map((now) => counted.add(rule, 'a', now))).toEqual([1, 2, 3])
    expect(counted.add(rule, 'b', 999)).toBe(1)
    expect(counted.add({ ...rule, id: 'another' }, 'a', 999)).toBe(1)
    expect(counted.add(rule, 'a', 1400)).toBe(3)
    expect(counted.add(rule, 'a', 2401)).toBe(1)
    // a clock put back forgets nothing
    expect(counted.add(rule, 'a', 0)).toBe(2)
    counted.forget(rule, 'a')
    expect(counted.add(rule, 'a', 2402)).toBe(1)
  })

  it('goes on counting after a restart, until it is forgotten or long ago', () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-counted-'))
    try {
      const path = join(folder, 'state.db')
      let state = open(path)
      for (const key of ['a', 'b']) for (const now of [100, 200]) state.counted.add(rule, key, now)
      state.flush()
      state.counted.forget(rule, 'b')
      state.close()
      state = open(path, 300)
      expect(state.counted.add(rule, 'a', 300)).toBe(3)
      expect(state.counted.add(rule, 'b', 300)).toBe(1)
      state.close()
      state = open(path, 5000)
      expect(state.counted.dirty).toBe(2)
      expect(state.counted.add(rule, 'a', 1250)).toBe(1)
      state.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('makes room by what was quiet for longest', () => {
    const { counted } = open()
    for (let at = 0; at <= 16_384; at++) counted.add(rule, `task ${at}`, 0)
    expect(counted.add(rule, 'task 0', 0)).toBe(1)
    expect(counted.add(rule, 'task 16384', 0)).toBe(2)
  })
})
