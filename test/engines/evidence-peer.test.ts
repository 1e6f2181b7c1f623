import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { SetFiles } from '../../src/evidence/read-set.ts'
import { verifySet } from '../../src/evidence/verify-set.ts'
import { exitOf } from '../../src/record/fault.ts'
import { exported, refund } from '../support/evidence-story.ts'
import { rigPerTest } from '../support/ledger-rig.ts'
import { findEngine } from '../support/spiffe-peer.ts'

/** The second verifier, in Go, on evidence sets and on tiles: `npm run engines` builds it from test/engines/ledger-peer. */
const peer = findEngine('ledger-peer')
const folder = mkdtempSync(join(tmpdir(), 'evidence-peer-'))
afterAll(() => rmSync(folder, { recursive: true }))
const rigged = rigPerTest()

let count = 0

/** Its exit code for a set, as a folder. */
function asked(files: SetFiles, keys: string): number {
  const dir = join(folder, String((count += 1)))
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), bytes)
  }
  const keyFile = `${dir}.pub`
  writeFileSync(keyFile, keys)
  const { status, stderr } = spawnSync(peer ?? '', ['set', dir, '--key', keyFile], { encoding: 'utf8' })
  if (status === null || status === 64) throw new Error(stderr)
  return status
}

const ours = (files: SetFiles, keys: string): number => {
  const { firstBad } = verifySet(files, [keys])
  return firstBad === null ? 0 : exitOf(firstBad.fault)
}

describe.skipIf(peer === null)('the verifier in Go', () => {
  test('finds an evidence set intact that we made, and no byte of it that can be changed', async () => {
    const story = refund()
    const { files } = await exported(story)
    const key = story.writer.key.text
    expect([asked(files, key), ours(files, key)]).toEqual([0, 0])
    for (const [path, bytes] of files) {
      const changed = Buffer.from(bytes)
      const at = Math.floor(changed.length / 2)
      if (changed.length === 0) continue
      changed[at] = (changed[at] ?? 0) ^ 1
      const set = new Map([...files, [path, changed] as const])
      const [theirs, own] = [asked(set, key), ours(set, key)]
      expect({ path, theirs: theirs !== 0 }).toEqual({ path, theirs: true })
      if (path !== 'manifest.json') expect({ path, theirs }).toEqual({ path, theirs: own })
    }
  })

  test('walks the tiles of a ledger that we wrote to the root that is signed', async () => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 50_000 })
    await Promise.all(Array.from({ length: 700 }, (_, at) => recorder.event({ kind: 'x', by: 'clock', detail: { at } })))
    await recorder.close()
    const keyFile = join(folder, 'tiles.pub')
    writeFileSync(keyFile, `${recorder.publicKey()}\n`)
    const { status, stdout, stderr } = spawnSync(peer ?? '', ['tiles', rig.dir, '--key', keyFile], { encoding: 'utf8' })
    expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' })
  })
})
