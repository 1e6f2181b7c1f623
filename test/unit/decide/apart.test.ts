import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { readBundle } from '../../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import { readApart } from '../../../src/decide/source/apart.ts'
import type { Content } from '../../../src/decide/source/source.ts'
import { makeSigner, signed, trustIn } from '../../support/bundle-signer.ts'
import { BundleServer, edition, editionFiles } from '../../support/bundle-server.ts'
import { FeedRig } from '../../support/feed-rig.ts'
import { packBundle } from '../../support/policy-rig.ts'

const packed = (bytes: Uint8Array): Content => ({ form: 'packed', bytes })
const live = new AbortController().signal

/** Names and signature of a real bundle, and data that costs seconds before its hash is known. */
function costly(files: Readonly<Record<string, Uint8Array | string>>): Uint8Array {
  const data = `{${Array.from({ length: 300_000 }, (_, index) => `"${index}":0`).join(',')}}`
  return packBundle({ ...files, 'data.json': data })
}

test('a bundle is what it is when it is read here, and so is what is wrong with it', async () => {
  const signer = makeSigner('ES256')
  const bytes = edition({ number: 7, signer })
  const read = await readApart(packed(bytes), trustIn(signer), live)
  const here = readBundle(bytes, trustIn(signer))
  expect({ ...read, wasm: Buffer.from(read.wasm), data: Buffer.from(read.data) }).toEqual({
    ...here,
    wasm: Buffer.from(here.wasm),
    data: Buffer.from(here.data),
  })
  const other = readApart(packed(bytes), trustIn(makeSigner('ES256')), live)
  await expect(other).rejects.toThrow(BundleFault)
  await expect(other).rejects.toThrow('the signature of the bundle does not verify')
  const files = new Map(Object.entries(editionFiles({ number: 7, signer })).map(([name, content]) => [name, Buffer.from(content)]))
  expect((await readApart({ form: 'files', files }, trustIn(signer), live)).revision).toBe('r7')
})

test('it takes no longer and no more memory than it may, and ends with its signal', async () => {
  const signer = makeSigner('ES256')
  const bytes = packed(costly(signed({ '.manifest': '{}', 'policy.wasm': '', 'data.json': '{}' }, { signer })))
  const read = (more: object, signal = live): Promise<unknown> => readApart(bytes, trustIn(signer), signal, more)
  await expect(read({})).rejects.toThrow('data.json is not what was signed')
  await expect(read({ time: 1 })).rejects.toThrow('the bundle took too long to read')
  await expect(read({ memory: 16 })).rejects.toThrow('the bundle could not be read in the memory there is for it')
  const stop = new AbortController()
  const stopped = read({}, stop.signal)
  stop.abort(new Error('held'))
  await expect(stopped).rejects.toThrow('held')
})

test('a server that has the signature of another bundle and no key holds nobody up', async () => {
  await using rig = new FeedRig()
  await using server = await BundleServer.start(edition({ number: 1, signer: rig.signer }))
  await rig.start({ url: server.url })
  server.put(costly(editionFiles({ number: 2, signer: rig.signer })))
  const judged = { longest: 0, over: false }
  const began = performance.now()
  const looked = rig.look().finally(() => (judged.over = true))
  for (let last = began; !judged.over;) {
    await turn()
    const now = performance.now()
    judged.longest = Math.max(judged.longest, now - last)
    last = now
  }
  await looked
  expect(rig.faults.map(({ message }) => message)).toEqual([expect.stringMatching(/data\.json is not (among|what)/)])
  expect(rig.judge()).toBe('r1')
  expect(judged.longest).toBeLessThan((performance.now() - began) / 3)
})
