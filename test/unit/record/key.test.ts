import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openLedgerKey } from '../../../src/record/key.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { rigPerTest } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()
const warned: string[] = []
const log = { info: () => undefined, warn: (_: object, text: string) => void warned.push(text), error: () => undefined }

describe('the ledger key', () => {
  test('is made once, readable by its owner only, with its public half beside the ledger', async () => {
    const rig = rigged()
    const path = join(rig.dir, 'keys', 'ledger.key')
    const dir = join(rig.dir, 'ledger')
    const made = openLedgerKey({ path, dir, log })
    const loaded = openLedgerKey({ path, dir, log })
    expect(loaded.verifierKey).toBe(made.verifierKey)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(dir, 'ledger.pub'), 'utf8')).toBe(`${made.verifierKey}\n`)
    expect(readdirSync(join(rig.dir, 'keys'))).toEqual(['ledger.key'])
    const recorder = await rig.open({ dir, ledgerId: loaded.name, key: loaded.key })
    await recorder.close()
    expect(await verifyLedger(dir, readFileSync(join(dir, 'ledger.pub'), 'utf8'))).toMatchObject({ ok: true, signed: true })
  })

  test('of another ledger is refused for this one', () => {
    const rig = rigged()
    openLedgerKey({ path: join(rig.dir, 'one.key'), dir: rig.dir, log })
    expect(() => openLedgerKey({ path: join(rig.dir, 'two.key'), dir: rig.dir, log })).toThrow('belongs to another key')
  })

  test('that others can read is warned of; one that is not Ed25519 is refused', () => {
    const rig = rigged()
    const path = join(rig.dir, 'one.key')
    openLedgerKey({ path, dir: rig.dir, log })
    chmodSync(path, 0o644)
    openLedgerKey({ path, dir: rig.dir, log })
    expect(warned).toEqual(['the ledger key can be read by others than its owner'])
    const other = join(rig.dir, 'ec.key')
    writeFileSync(other, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }), {
      mode: 0o600,
    })
    expect(() => openLedgerKey({ path: other, dir: rig.dir, log })).toThrow('no Ed25519 key')
  })
})
