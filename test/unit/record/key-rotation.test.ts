import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { copyFileSync, existsSync, linkSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { noteSigner } from '../../../src/record/checkpoint.ts'
import { openLedgerKey, rotateLedgerKey } from '../../../src/record/key.ts'
import type { LedgerIo } from '../../../src/record/ledger-io.ts'
import type { RecorderOptions } from '../../../src/record/recorder-options.ts'
import type { OpenRecorder } from '../../../src/record/recorder.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { rigPerTest, type LedgerRig } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()
const said: string[] = []
const log = { info: () => undefined, warn: (_: object, text: string) => void said.push(text), error: () => undefined }
const event = { kind: 'x', by: 'clock', detail: {} } as const

/** A ledger with its key files beside its lines. */
class Keyed {
  readonly rig: LedgerRig
  readonly path: string
  readonly old: string
  readonly published: string

  constructor(rig: LedgerRig) {
    this.rig = rig
    this.path = join(rig.dir, 'ledger.key')
    this.old = `${this.path}.previous`
    this.published = join(rig.dir, 'ledger.pub')
  }

  async open(more: Partial<RecorderOptions> = {}): Promise<OpenRecorder> {
    const { name, key, previous } = openLedgerKey({ path: this.path, dir: this.rig.dir, log })
    return this.rig.open({ ledgerId: name, key, previous, ...more })
  }

  /** One whole run; gives the verifier key that signed last. */
  async run(more: Partial<RecorderOptions> = {}): Promise<string> {
    const recorder = await this.open(more)
    await recorder.event(event)
    await recorder.close()
    return recorder.publicKey()
  }

  keyAt(path: string): string {
    const [line = ''] = readFileSync(this.published, 'utf8').split('\n')
    return noteSigner(line.slice(0, line.indexOf('+')), createPrivateKey(readFileSync(path))).verifierKey
  }

  async verified(key: string): Promise<boolean> {
    return (await verifyLedger(this.rig.dir, key)).ok
  }
}

const keyed = () => new Keyed(rigged())

describe('a start on lines that are not its own', () => {
  test('is refused when ledger.pub is lost, whatever the key, writes nothing, and goes on once it is back', async () => {
    const ledger = keyed()
    await ledger.run()
    const [kept, lines] = [readFileSync(ledger.published), ledger.rig.text()]
    for (const lost of [() => rmSync(ledger.published), () => writeFileSync(ledger.published, '\n')]) {
      lost()
      await expect(ledger.open()).rejects.toThrow(/ledger\.pub is lost, and the ledger has lines: put it back/)
    }
    writeFileSync(ledger.published, 'half a k')
    await expect(ledger.open()).rejects.toThrow('does not hold verifier keys: put it back')
    expect(ledger.rig.text()).toBe(lines)
    writeFileSync(ledger.published, kept)
    expect(await ledger.verified(await ledger.run())).toBe(true)
  })

  test('is refused when the key is lost, and makes none in its place', async () => {
    const ledger = keyed()
    await ledger.run()
    rmSync(ledger.path)
    await expect(ledger.open()).rejects.toThrow('which is not there: put that key back')
    expect(existsSync(ledger.path)).toBe(false)
  })

  test('is refused when the last checkpoint is by another key or of another name, and says what to do', async () => {
    const rig = rigged()
    await (await rig.open()).close()
    const lines = rig.text()
    const key = generateKeyPairSync('ed25519').privateKey
    await expect(rig.open({ key })).rejects.toThrow(
      /are signed by another key: .* put the key file .* and the ledger\.pub of this ledger back/,
    )
    await expect(rig.open({ ledgerId: 'ledger.acme.example/two' })).rejects.toThrow('are signed by another key')
    const strange = { key: generateKeyPairSync('ed25519').privateKey, done: () => undefined }
    await expect(rig.open({ key, previous: strange })).rejects.toThrow('are signed by another key')
    expect(rig.text()).toBe(lines)
  })

  test('is refused when the last checkpoint names its key and is not signed by it', async () => {
    const rig = rigged()
    await (await rig.open()).close()
    const [segment = ''] = rig.segments()
    const text = readFileSync(segment, 'utf8')
    const at = text.lastIndexOf(' ') + 20
    writeFileSync(segment, `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`)
    await expect(rig.open()).rejects.toThrow('is not signed by the key that it names')
  })
})

describe('a rotation that ended early', () => {
  test('before its new key was in place leaves the present key, which signs on, and may be done again', async () => {
    const ledger = keyed()
    const first = await ledger.run()
    linkSync(ledger.path, ledger.old)
    expect(await ledger.run()).toBe(first)
    expect(said.at(-1)).toContain('rotate-key did not end')
    expect(existsSync(ledger.old)).toBe(false)
    linkSync(ledger.path, ledger.old)
    rotateLedgerKey(ledger.path)
    expect(ledger.keyAt(ledger.old)).toBe(first)
    const second = await ledger.run()
    expect(second).not.toBe(first)
    expect(await ledger.verified(first)).toBe(true)
    expect(await ledger.verified(second)).toBe(true)
  })

  test('after the present key was moved aside hands over to a new one', async () => {
    const ledger = keyed()
    const first = await ledger.run()
    renameSync(ledger.path, ledger.old)
    expect(() => rotateLedgerKey(ledger.path)).toThrow('start Countersign')
    expect(await ledger.run()).not.toBe(first)
    expect(await ledger.verified(first)).toBe(true)
    expect(existsSync(ledger.old)).toBe(false)
  })

  test('never takes the only copy: a name that leads to the key stays, and so does a key that has never signed', async () => {
    const ledger = keyed()
    const first = await ledger.run()
    renameSync(ledger.path, ledger.old)
    symlinkSync(ledger.old, ledger.path)
    expect(await ledger.run()).toBe(first)
    expect(ledger.keyAt(ledger.old)).toBe(first)
    expect(() => rotateLedgerKey(ledger.path)).toThrow('leads to the same file')
    rmSync(ledger.path)
    renameSync(ledger.old, ledger.path)
    writeFileSync(ledger.old, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
    const strange = readFileSync(ledger.old)
    expect(await ledger.run()).toBe(first)
    expect(readFileSync(ledger.old)).toEqual(strange)
    expect(said.at(-1)).toContain('has never signed the ledger')
  })

  test('leaves the present key in its place when the new one cannot be put there', async () => {
    const ledger = keyed()
    const first = await ledger.run()
    writeFileSync(ledger.old, 'something else')
    expect(() => rotateLedgerKey(ledger.path)).toThrow('start Countersign')
    expect(ledger.keyAt(ledger.path)).toBe(first)
  })
})

describe('the key that hands over', () => {
  /** What is done to the disk, with whether the old key is there yet. */
  function watched({ rig, old }: Keyed, fails: (call: string, n: number) => boolean): { io: LedgerIo; seen: string[] } {
    const seen: string[] = []
    const io = rig.io()
    const note = (call: string): void => {
      seen.push(`${call} ${existsSync(old) ? 'there' : 'gone'}`)
      if (fails(call, seen.length)) throw Object.assign(new Error('EIO'), { code: 'EIO' })
    }
    return {
      seen,
      io: { ...io, write: (...given) => (note('write'), io.write(...given)), syncNow: (fd) => (note('sync'), io.syncNow(fd)) },
    }
  }

  test.each(['written', 'synced'] as const)('is erased once its checkpoint is synced, and not before (%s)', async (durability) => {
    const ledger = keyed()
    await ledger.run()
    rotateLedgerKey(ledger.path)
    const { io, seen } = watched(ledger, () => false)
    const recorder = await ledger.open({ io, durability })
    expect(existsSync(ledger.old)).toBe(false)
    const gone = seen.findIndex((one) => one.endsWith('gone'))
    expect(seen.slice(0, gone)).toContain('sync there')
    expect(ledger.rig.text().match(/"next":/g)).toHaveLength(1)
    await recorder.close()
    expect(seen.findIndex((one) => one.startsWith('sync'))).toBeGreaterThan(seen.findIndex((one) => one.startsWith('write')))
  })

  test('stays while its checkpoint cannot be synced, and goes with one that can', async () => {
    const ledger = keyed()
    const first = await ledger.run()
    rotateLedgerKey(ledger.path)
    let failing = true
    const recorder = await ledger.open({ io: watched(ledger, (call) => call === 'sync' && failing).io })
    expect(ledger.keyAt(ledger.old)).toBe(first)
    failing = false
    await recorder.checkpoint()
    expect(existsSync(ledger.old)).toBe(false)
    await recorder.close()
    expect(ledger.rig.text().match(/"next":/g)).toHaveLength(1)
    expect(await ledger.verified(first)).toBe(true)
  })

  test('hands over again where the checkpoint that did was lost', async () => {
    const ledger = keyed()
    const first = await ledger.run()
    const before = ledger.rig.text()
    rotateLedgerKey(ledger.path)
    copyFileSync(ledger.old, join(ledger.rig.dir, 'kept'))
    await ledger.run()
    // as if the power had gone: published, and the lines since are not there
    const [segment = ''] = ledger.rig.segments()
    writeFileSync(segment, before)
    renameSync(join(ledger.rig.dir, 'kept'), ledger.old)
    const second = await ledger.run()
    expect(readFileSync(ledger.published, 'utf8')).toBe(`${first}\n${second}\n`)
    expect(await ledger.verified(first)).toBe(true)
    expect(existsSync(ledger.old)).toBe(false)
  })
})
