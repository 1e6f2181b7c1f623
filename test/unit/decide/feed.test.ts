import { mkdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, test, vi } from 'vitest'
import { PolicyInForce, type Policy, type Validity } from '../../../src/decide/in-force.ts'
import { makeSigner } from '../../support/bundle-signer.ts'
import { BundleServer, edition, editionFiles, type Files } from '../../support/bundle-server.ts'
import { FeedRig } from '../../support/feed-rig.ts'

function write(folder: string, files: Files): void {
  rmSync(folder, { recursive: true, force: true })
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
}

describe('a path', () => {
  test('is taken up when it changes, and a bad one changes nothing', async () => {
    await using rig = new FeedRig()
    rig.file('p.tar.gz', edition({ number: 1, signer: rig.signer }))
    await rig.start({ path: 'p.tar.gz' })
    rig.file('p.tar.gz', edition({ number: 2, signer: rig.signer }))
    await rig.look()
    rig.file('p.tar.gz', edition({ number: 3, signer: makeSigner('ES256') }))
    await rig.look()
    await rig.look()
    expect(rig.revisions).toEqual(['r1', 'r2'])
    expect(rig.told.filter((one) => one.kind === 'failed' && one.first)).toHaveLength(1)
    rig.file('p.tar.gz', edition({ number: 4, signer: rig.signer }))
    await rig.look()
    expect(rig.judge()).toBe('r4')
  })

  test('may be a folder with the files of a bundle', async () => {
    await using rig = new FeedRig()
    const folder = join(rig.folder, 'bundle')
    write(folder, editionFiles({ number: 1, signer: rig.signer }))
    await rig.start({ path: 'bundle' })
    expect(rig.judge()).toBe('r1')
    const next = join(rig.folder, 'next')
    write(next, editionFiles({ number: 2, signer: rig.signer }))
    renameSync(folder, join(rig.folder, 'before'))
    await rig.look()
    expect(rig.faults[0]?.message).toContain('ENOENT')
    renameSync(next, folder)
    await rig.look()
    expect(rig.judge()).toBe('r2')
  })

  test.each(['p.tar.gz', 'bundle'])('that is bad at a start leaves the last good one in force: %s', async (path) => {
    await using rig = new FeedRig()
    const put = (number: number, signer = rig.signer): void => {
      if (path === 'bundle') write(join(rig.folder, path), editionFiles({ number, signer }))
      else rig.file(path, edition({ number, signer }))
    }
    put(1)
    await rig.start({ path })
    await rig.end()
    put(2, makeSigner('ES256'))
    await rig.start({ path })
    expect(rig.judge()).toBe('r1')
    expect(rig.log.lines.filter(({ level }) => level === 'error').at(-1)?.message).toContain('the last good one judges in its place')
    expect(rig.inForce.status()).toMatchObject({ policy: { kept: true }, fault: null })
    put(3)
    await rig.look()
    expect(rig.judge()).toBe('r3')
    expect(rig.inForce.status()).toMatchObject({ policy: { kept: false } })
  })

  test('that is gone or old at a start leaves the last good one in force too', async () => {
    await using rig = new FeedRig()
    const path = rig.file('p.tar.gz', edition({ number: 2, signer: rig.signer }))
    await rig.start({ path })
    await rig.end()
    unlinkSync(path)
    await rig.start({ path })
    expect(rig.judge()).toBe('r2')
    await rig.end()
    rig.file('p.tar.gz', edition({ number: 1, signer: rig.signer }))
    await rig.start({ path })
    expect(rig.judge()).toBe('r2')
    expect(rig.faults.at(-1)).toMatchObject({ reason: 'backwards' })
  })

  test('that is bad at the first start, or at a reload, is an error', async () => {
    await using rig = new FeedRig()
    await expect(rig.start({ path: 'none' })).rejects.toThrow('ENOENT')
    rig.file('p.tar.gz', edition({ number: 1, signer: null }))
    await expect(rig.start({ path: 'p.tar.gz' })).rejects.toThrow('not signed')
    rig.file('p.tar.gz', edition({ number: 1, signer: rig.signer }))
    await rig.start({ path: 'p.tar.gz' })
    await rig.end()
    rig.file('p.tar.gz', edition({ number: 2, signer: null }))
    await expect(rig.start({ path: 'p.tar.gz' }, { must: true })).rejects.toThrow('not signed')
  })

  test('is taken unsigned only where the configuration says so, and may then go back', async () => {
    await using rig = new FeedRig()
    rig.file('p.tar.gz', edition({ number: 2, signer: null }))
    await rig.start({ path: 'p.tar.gz', unsafe_unsigned: true })
    rig.file('p.tar.gz', edition({ number: 1, signer: null }))
    await rig.look()
    expect(rig.judge()).toBe('r1')
    expect(rig.inForce.policy?.signedBy).toBeNull()
  })

  test('is verified by the key that a signature names, in the scope that is asked for', async () => {
    await using rig = new FeedRig()
    const other = makeSigner('EdDSA')
    rig.file('other.pub', other.text)
    rig.file('p.tar.gz', edition({ number: 1, signer: rig.signer, scope: 'write' }))
    const keys = { release: { file: 'policy.pub' }, other: { file: 'other.pub' } }
    await rig.start({ path: 'p.tar.gz', keys, scope: 'write' })
    expect(rig.inForce.policy?.signedBy).toBe('release')
    await rig.end()
    await expect(rig.start({ path: 'p.tar.gz', keys, scope: 'read', persist: 'other' })).rejects.toThrow('scope')
    await expect(rig.start({ path: 'p.tar.gz', key: { file: 'none.pub' } })).rejects.toThrow('ENOENT')
    rig.file('none.pub', 'no key')
    await expect(rig.start({ path: 'p.tar.gz', key: { file: 'none.pub' } })).rejects.toThrow('not PEM')
  })
})

test('a server that gives nothing while no policy judges is asked every four seconds, however long polls are apart', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    await using rig = new FeedRig()
    await using server = await BundleServer.start(edition({ number: 1, signer: rig.signer }))
    server.instead = (_, response) => void response.writeHead(503).end()
    await rig.start({ url: server.url })
    for (let failures = 1; failures <= 12; failures++) {
      for (let turn = 0; rig.faults.length < failures && turn < 10_000; turn++) await new Promise(setImmediate)
      expect(rig.faults.length).toBe(failures)
      await new Promise(setImmediate)
      await vi.advanceTimersByTimeAsync(4000)
    }
  } finally {
    vi.useRealTimers()
  }
})

test('a clock that is put back does not lose what is kept of a path, which has no age', async () => {
  await using rig = new FeedRig()
  rig.file('p.tar.gz', edition({ number: 1, signer: rig.signer }))
  await rig.start({ path: 'p.tar.gz' })
  await rig.end()
  unlinkSync(join(rig.folder, 'p.tar.gz'))
  for (const _ of [1, 2]) {
    rig.now -= 3_600_000
    await rig.start({ path: 'p.tar.gz' })
    expect(rig.judge()).toBe('r1')
    await rig.end()
  }
})

test('the same content, packed anew each time, is put into force once', async () => {
  await using rig = new FeedRig()
  const bytes = edition({ number: 1, signer: rig.signer })
  rig.file('p.tar.gz', bytes)
  await rig.start({ path: 'p.tar.gz' })
  const engine = rig.inForce.engine()
  for (const level of [1, 2, 3]) {
    rig.file('p.tar.gz', gzipSync(gunzipSync(bytes), { level }))
    await rig.look()
  }
  expect(rig.revisions).toEqual(['r1'])
  expect(rig.faults).toEqual([])
  expect(rig.inForce.engine()).toBe(engine)
})

describe('the policy in force', () => {
  test('is swapped whole: who is told sees the next in force, and the one before is let go of after that', () => {
    const inForce = new PolicyInForce()
    const seen: string[] = []
    const policy = (revision: string): Policy => ({
      engine: { revision, answers: () => true, evaluate: () => revision, close: () => void seen.push(`close ${revision}`) },
      revision,
      digest: revision,
      content: revision,
      made: '',
      source: 'test',
      kept: false,
      signedBy: null,
      order: null,
      activated: 1,
    })
    inForce.watch({
      changed: (next, before) => void seen.push(`${before?.revision ?? 'none'} → ${next.revision}, ${inForce.engine().revision} judges`),
      failed: () => undefined,
      stale: (_, why) => void seen.push(why),
    })
    expect(() => inForce.engine()).toThrow('no policy has been activated yet')
    inForce.take(policy('a'), null, null)
    const held = inForce.engine()
    inForce.take(policy('b'), null, null)
    expect(held.revision).toBe('a')
    inForce.take(policy('b'), null, 'again')
    // other settings of its rules make another policy of the same bundle
    inForce.take({ ...policy('b'), made: 'otherwise' }, null, 'again')
    expect(seen).toEqual(['none → a, a judges', 'a → b, b judges', 'close a', 'close b', 'b → b, b judges', 'close b'])
    expect(inForce.status().mark).toBe('again')
  })

  test('that has lapsed is told of once, until it is good again', () => {
    const inForce = new PolicyInForce()
    let why: string | null = null
    const told: string[] = []
    const validity: Validity = { confirmed: 0, since: () => 0, lapsed: () => why }
    const engine = { revision: 'a', answers: () => true, evaluate: () => null, close: () => undefined }
    inForce.watch({ changed: () => undefined, failed: () => undefined, stale: (_, reason) => void told.push(reason) })
    inForce.take(
      { engine, revision: 'a', digest: 'a', content: 'a', made: '', source: 's', kept: false, signedBy: null, order: null, activated: 1 },
      validity,
      null,
    )
    for (const next of ['old', 'old', null, 'old again']) {
      why = next
      if (next === null) expect(inForce.engine()).toBe(engine)
      else expect(() => inForce.engine()).toThrow(next)
    }
    expect(told).toEqual(['old', 'old again'])
  })
})
