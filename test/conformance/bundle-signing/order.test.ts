import { describe, expect, it } from 'vitest'
import { readBundle, type Bundle } from '../../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import { orderOf, refuseBackwards, succeeded, type Seen } from '../../../src/decide/bundle/order.ts'
import { makeSigner, signed, trustIn } from '../../support/bundle-signer.ts'
import { packBundle } from '../../support/policy-rig.ts'

const signer = makeSigner('ES256')

interface Made {
  readonly serial?: number
  readonly revision?: string
  readonly iat?: number
  /** What tells its content from another's. */
  readonly says?: string
  readonly level?: number
}

function made({ serial, revision, iat, says = 'x' }: Made): Bundle {
  const manifest = { revision, roots: ['countersign'], wasm: [], metadata: { countersign: { serial } } }
  const files = { '.manifest': JSON.stringify(manifest), 'policy.wasm': says }
  return readBundle(packBundle(signed(files, { signer, claims: { iat } })), trustIn(signer))
}

const after = (...bundles: readonly Bundle[]): Seen | null => bundles.reduce<Seen | null>(succeeded, null)
const passes = (next: Bundle, seen: Seen | null): void => expect(() => refuseBackwards(next, seen)).not.toThrow()
const fails = (next: Bundle, seen: Seen | null, why: RegExp): void => {
  expect(() => refuseBackwards(next, seen)).toThrow(BundleFault)
  expect(() => refuseBackwards(next, seen)).toThrow(why)
}

describe('the order of bundles', () => {
  it('[Countersign: bundle order] is the serial, else a numeric revision, else the time of the signature, else none', () => {
    expect(orderOf(made({ serial: 3, revision: '7', iat: 1 }))).toEqual({ kind: 'serial', value: 3 })
    expect(orderOf(made({ revision: '7', iat: 1 }))).toEqual({ kind: 'revision', value: 7 })
    expect(orderOf(made({ revision: 'v7', iat: 1 }))).toEqual({ kind: 'issued', value: 1000 })
    for (const revision of ['', '07', '7.0', '-7', '+7', '1e3', '9007199254740993', 'v7', undefined]) {
      expect(orderOf(made(revision === undefined ? {} : { revision })), revision).toBeNull()
    }
    expect(orderOf({ ...made({ iat: 1 }), signature: null })).toBeNull()
  })

  it('[Countersign: bundle order] is refused as a serial that is none', () => {
    for (const serial of [-1, 1.5, 2 ** 53, '7', null, [7]]) {
      expect(() => made({ serial: serial as number }), String(serial)).toThrow(/serial of the manifest is not a whole number/)
    }
  })

  it('[Countersign: bundle order] lets anything come first', () => {
    for (const first of [made({}), made({ serial: 1 }), made({ iat: 1 })]) passes(first, null)
  })

  it('[Countersign: bundle order] refuses a lower one of the same kind, and an equal one with other content', () => {
    for (const at of [
      (value: number) => ({ serial: value }),
      (value: number) => ({ revision: `${value}` }),
      (value: number) => ({ iat: value }),
    ]) {
      const seen = after(made(at(7)))
      passes(made({ ...at(8), says: 'y' }), seen)
      passes(made(at(7)), seen)
      fails(made({ ...at(6), says: 'y' }), seen, /older than/)
      fails(made({ ...at(7), says: 'y' }), seen, /so had another/)
    }
  })

  it('[Countersign: bundle order] knows the content in force however it is packed or signed again', () => {
    const seen = after(made({ serial: 7, iat: 5 }))
    for (const iat of [4, 5, 6]) passes(made({ serial: 7, iat }), seen)
    fails(made({ iat: 4 }), after(made({ iat: 5 })), /older than/)
  })

  it('[Countersign: bundle order] refuses content that was superseded where no order tells', () => {
    const [one, two, three] = [made({ says: '1' }), made({ says: '2' }), made({ says: '3' })]
    const seen = after(one, two)
    passes(three, seen)
    passes(two, seen)
    fails(one, seen, /superseded/)
    fails(made({ says: '1', iat: 9 }), seen, /superseded/)
    fails(two, after(one, two, three), /superseded/)
  })

  it('[Countersign: bundle order] may change its kind, but not back to what was superseded', () => {
    const [numbered, dated] = [made({ revision: '7' }), made({ iat: 5, says: 'y' })]
    passes(dated, after(numbered))
    passes(made({ says: 'z' }), after(numbered))
    fails(numbered, after(numbered, dated), /superseded/)
  })

  it('[Countersign: bundle order] goes by the times of the signatures where the kinds differ', () => {
    const numbered = made({ revision: '7', iat: 20 })
    fails(made({ revision: 'v6', iat: 10, says: 'y' }), after(numbered), /signed before/)
    fails(made({ serial: 3, iat: 10, says: 'y' }), after(numbered), /signed before/)
    passes(made({ revision: 'v8', iat: 30, says: 'y' }), after(numbered))
    passes(made({ serial: 3, iat: 30, says: 'y' }), after(numbered))
    // one in between that did not say when it was made forgets nothing
    fails(made({ revision: 'v6', iat: 10, says: 'y' }), after(numbered, made({ revision: '8', says: 'z' })), /signed before/)
  })

  it('[Countersign: bundle order] does not leave a serial behind', () => {
    const seen = after(made({ says: 'old' }), made({ serial: 7 }))
    for (const next of [made({ says: 'y' }), made({ revision: '9', says: 'y' }), made({ iat: 9, says: 'y' })])
      fails(next, seen, /no .*serial/)
    passes(made({ serial: 8, says: 'y' }), seen)
  })

  it('[Countersign: bundle order] remembers 256 that were superseded, oldest gone first', () => {
    const bundle = made({})
    const contents = Array.from({ length: 300 }, (_, index) => `content ${index}`)
    const seen = contents.map((content) => ({ ...bundle, content })).reduce<Seen | null>(succeeded, null)
    expect(seen?.digest).toBe('content 299')
    expect(seen?.superseded).toEqual(contents.slice(43, 299))
    expect(succeeded(seen, { ...bundle, content: 'content 299' })).toEqual(seen)
    expect(succeeded(seen, { ...bundle, content: 'content 50' }).superseded).toEqual([
      ...contents.slice(43, 299).filter((one) => one !== 'content 50'),
      'content 299',
    ])
  })
})
