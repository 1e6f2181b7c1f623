import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { settingsOf } from '../../../src/inject/settings-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-settings-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('settings are read again when their file changes, and a bad file leaves those before in force, told once', () => {
  const file = join(folder, 'inject.yaml')
  const told: string[] = []
  const log = { info: () => told.push('read'), error: (fields: object) => told.push(JSON.stringify(fields)) }
  writeFileSync(file, 'version: 1\nimage: a:1\n')
  const settings = settingsOf(file, log)
  writeFileSync(file, 'version: 1\nimage: a:20\n')
  expect(settings().image).toBe('a:20')
  writeFileSync(file, 'version: 1\nimagee: a:300\n')
  expect([settings().image, settings().image]).toEqual(['a:20', 'a:20'])
  rmSync(file)
  expect(settings().image).toBe('a:20')
  writeFileSync(file, 'version: 1\nimage: a:4000\n')
  expect(settings().image).toBe('a:4000')
  expect(told).toEqual(['read', expect.stringContaining('imagee'), expect.stringContaining('ENOENT'), 'read'])
})

test('settings that cannot be used at first are an error', () => {
  const log = { info: () => undefined, error: () => undefined }
  expect(() => settingsOf(join(folder, 'absent.yaml'), log)).toThrow('ENOENT')
})
