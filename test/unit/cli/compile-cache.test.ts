import { chmodSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isOurs, ownFolder } from '../../../src/cli/compile-cache.ts'

let folder = ''
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'cs-compiled-')))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A folder below this test's own, with the mode that it says. */
function made(name: string, mode: number): string {
  const path = join(folder, name)
  mkdirSync(path, { recursive: true })
  chmodSync(path, mode)
  return path
}

describe('compiled code is taken from a folder', () => {
  test('that its user alone can write, also below one in which each may remove only their own', () => {
    expect(isOurs(made('own', 0o700))).toBe(true)
    made('shared', 0o1777)
    expect(isOurs(made('shared/own', 0o755))).toBe(true)
  })

  test.each([
    ['others can write', 0o777],
    ['its group can write', 0o770],
    ['anybody can write, if each only their own', 0o1777],
  ])('never that %s', (_how, mode) => {
    expect(isOurs(made('open', mode))).toBe(false)
  })

  test('never that lies in one that others can write, for they can put another in its place', () => {
    made('open', 0o777)
    expect(isOurs(made('open/own', 0o700))).toBe(false)
  })

  test('and a link is as good as where it leads', () => {
    symlinkSync(made('open', 0o777), join(folder, 'link'))
    expect(isOurs(join(folder, 'link'))).toBe(false)
  })

  test('only if it is there', () => {
    expect(isOurs(join(folder, 'missing'))).toBe(false)
  })
})

describe('the folder of a user', () => {
  test('is made below the cache that the environment names, else below the home, for nobody else', () => {
    const named = ownFolder({ XDG_CACHE_HOME: join(folder, 'cache') })
    expect(named).toBe(join(folder, 'cache/countersign/compiled'))
    expect(statSync(named ?? '').mode & 0o777).toBe(0o700)
    expect(ownFolder({ XDG_CACHE_HOME: 'not/absolute' }, () => folder)).toBe(join(folder, '.cache/countersign/compiled'))
  })

  test('is none where others could write it', () => {
    made('cache', 0o777)
    expect(ownFolder({ XDG_CACHE_HOME: join(folder, 'cache') })).toBeNull()
  })

  test('is none where it cannot be made, and nothing fails', () => {
    writeFileSync(join(folder, 'file'), '')
    expect(ownFolder({}, () => join(folder, 'file'))).toBeNull()
    expect(existsSync(join(folder, 'file/.cache'))).toBe(false)
  })
})
