import { expect, test } from 'vitest'
import type { IdentitySource } from '../../../src/identify/identify.ts'
import { Peers } from '../../../src/identify/peers.ts'
import { rejected } from '../../../src/identify/rejected.ts'
import { Refusal } from '../../../src/refusal.ts'

const peer = { chain: [new Uint8Array([0x30, 0])] }

/** Refuses everybody, and counts how often it was asked. */
function refusing(refusal: () => Refusal) {
  const source = {
    type: 'refusing',
    asked: 0,
    changes: 1,
    verify: () => null,
    verifyPeer: (): null => {
      source.asked += 1
      throw refusal()
    },
    generation: () => source.changes,
    ready: () => true,
    close: () => undefined,
  }
  return source satisfies IdentitySource
}

test('a connection whose certificates were refused is refused again for a second without verifying them, and sooner when keys change', () => {
  const source = refusing(() => rejected('certificate-chain', 'forged'))
  const peers = new Peers([source])
  const ask = (now: number): void => expect(() => peers.caller(peer, now)).toThrow(expect.objectContaining({ code: 'identify.rejected' }))
  for (const now of [10_000, 10_001, 10_999, 9001]) ask(now)
  expect(source.asked).toBe(1)
  ask(11_000)
  ask(9000)
  expect(source.asked).toBe(3)
  source.changes += 1
  ask(9001)
  ask(9001)
  expect(source.asked).toBe(4)
})

test('that there was nothing to verify with is asked again at once', () => {
  const source = refusing(() => new Refusal('identify.unavailable'))
  const peers = new Peers([source])
  for (let call = 0; call < 3; call++) expect(() => peers.caller(peer, 10_000)).toThrow(Refusal)
  expect(source.asked).toBe(3)
})
