import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { keyDocument } from '../../../../src/identify/keys/key-document.ts'
import { KeySource } from '../../../../src/identify/keys/key-source.ts'
import { KeptLog, TestClock } from '../../../support/identity-rig.ts'
import { Issuer, signingKey } from '../../../support/issuer.ts'

const one = signingKey('ES256', 'one')
const two = signingKey('ES256', 'two')
const first = new Issuer({ keys: [one] })
const both = new Issuer({ keys: [one, two] })
const maxAge = 3_600_000

const opened: KeySource[] = []
afterEach(() => {
  for (const source of opened.splice(0)) source.close()
})

describe('keys in a file', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keys-'))
    return () => rmSync(folder, { recursive: true })
  })

  function overFile(path: string): { keys: KeySource; log: KeptLog; clock: TestClock } {
    const [clock, log] = [new TestClock(), new KeptLog()]
    const keys = new KeySource({
      document: keyDocument({ file: path }, fetch),
      format: null,
      maxAge,
      interval: 2000,
      clock: clock.now,
      log,
      trustDomain: 'acme.example',
    })
    opened.push(keys)
    return { keys, log, clock }
  }

  test('are there before the first call', () => {
    const path = join(folder, 'bundle.json')
    writeFileSync(path, first.bundle())
    const { keys } = overFile(path)
    expect(keys.ready()).toBe(true)
    expect(keys.find('one')).toMatchObject({ kid: 'one' })
  })

  test('are read again when the file changes, also when a link to it is turned round', async () => {
    writeFileSync(join(folder, 'old.json'), first.bundle())
    writeFileSync(join(folder, 'new.json'), both.bundle())
    symlinkSync('old.json', join(folder, 'bundle.json'))
    const { keys } = overFile(join(folder, 'bundle.json'))
    symlinkSync('new.json', join(folder, 'next'))
    renameSync(join(folder, 'next'), join(folder, 'bundle.json'))
    await keys.refresh()
    expect(keys.find('two')).toMatchObject({ kid: 'two' })
  })

  test('half written serve the old keys, and the new ones once they are whole', async () => {
    const path = join(folder, 'bundle.json')
    writeFileSync(path, first.bundle())
    const { keys } = overFile(path)
    writeFileSync(path, both.bundle().slice(0, 100))
    await keys.refresh()
    expect(keys.find('one')).toMatchObject({ kid: 'one' })
    writeFileSync(path, both.bundle())
    await keys.refresh()
    expect(keys.find('two')).toMatchObject({ kid: 'two' })
  })

  test('that is missing or too large are unavailable until it is right', async () => {
    const path = join(folder, 'bundle.json')
    const { keys, log } = overFile(path)
    expect(keys.ready()).toBe(false)
    writeFileSync(path, ' '.repeat(1024 * 1024 + 1))
    await keys.refresh()
    expect(log.lines.map(({ members }) => members)).toEqual([
      { trustDomain: 'acme.example', place: path, fault: expect.stringContaining('ENOENT') },
      { trustDomain: 'acme.example', place: path, fault: 'larger than 1 MiB' },
    ])
    writeFileSync(path, first.bundle())
    expect(await keys.find('one')).toMatchObject({ kid: 'one' })
  })
})
