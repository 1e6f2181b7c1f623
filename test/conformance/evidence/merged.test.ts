import { beforeAll, describe, expect, test } from 'vitest'
import { canonicalText } from '../../../src/evidence/canonical.ts'
import { mergeSets } from '../../../src/evidence/merge-sets.ts'
import type { SetFiles } from '../../../src/evidence/read-set.ts'
import { verifySet } from '../../../src/evidence/verify-set.ts'
import { exported, idOf, refund, Story, task, trace } from '../../support/evidence-story.ts'

const here = refund()
const there = new Story('ledger.acme.example/two')
const far = idOf('t', 50)
there.opened(far, { root: 'agent:spiffe://cloud.example/two', correlation: { traceId: trace, transaction: { id: 'txn-1' } } })
there.call(far, { root: 'agent:spiffe://cloud.example/two', txn: { id: 'txn-1' } })
there.ended(far)
there.writer.checkpoint()
const saas = new Story('ledger.acme.example/three')
saas.opened(far, { root: 'user:u-9' })
saas.call(far, { root: 'user:u-9', txn: { id: 'txn-1' } })
saas.writer.checkpoint()
const foreign = new Story('ledger.acme.example/four')
foreign.opened(far, { root: 'user:u-8' })
foreign.writer.checkpoint()

const stories = { here, there, saas, foreign }
const sets: Record<string, SetFiles> = {}
beforeAll(async () => {
  for (const [name, story] of Object.entries(stories)) sets[name] = (await exported(story, { task: story === here ? task : far })).files
})
const named = (...names: string[]) => names.map((name) => ({ name, files: sets[name] ?? new Map<string, Uint8Array>() }))
const merged = (...names: string[]): SetFiles => mergeSets(named(...names), 1_790_000_000_000)
const keys = Object.values(stories).map(({ writer }) => writer.key.text)
const found = (files: SetFiles, trusted: readonly string[] = keys): string => {
  const { firstBad } = verifySet(files, trusted)
  return firstBad === null ? 'intact' : `${firstBad.fault} ${firstBad.file}`
}
const edited = (files: SetFiles, path: string, text: string | null): SetFiles =>
  text === null ? new Map([...files].filter(([name]) => name !== path)) : new Map([...files, [path, Buffer.from(text)]])

describe('sets of several ledgers', () => {
  test('that belong together by a trace and a transaction are one, each under the key of its own ledger', () => {
    const files = merged('saas', 'here', 'there')
    expect(verifySet(files, keys)).toMatchObject({
      ok: true,
      kind: 'merged',
      parts: [{ path: 'parts/1/' }, { path: 'parts/2/' }, { path: 'parts/3/' }],
    })
    expect(found(files, [here.writer.key.text, saas.writer.key.text])).toBe('signature parts/3/manifest.json')
    const page = Buffer.from(files.get('report.html') ?? '').toString()
    for (const { writer } of [here, there, saas]) expect(page).toContain(writer.name)
  })

  test('of which one shares nothing with the others are not merged, nor verified when somebody puts it in', () => {
    expect(() => merged('here', 'there', 'foreign')).toThrow(/^correlation: foreign shares no root/)
    const files = new Map(merged('here', 'there', 'saas'))
    const list = JSON.parse(Buffer.from(files.get('merged.json') ?? '').toString())
    // without the one in the middle nothing leads from the first to the last
    const parts = list.parts.filter(({ origin }: { origin: string }) => origin !== there.writer.name)
    const apart = new Map([...files].filter(([path]) => !path.startsWith('parts/3/')))
    expect(found(edited(apart, 'merged.json', canonicalText({ ...list, parts })))).toBe('correlation parts/2/')
  })

  test('are refused when one is not whole, is there twice, or stands alone', () => {
    const broken = edited(sets['there'] ?? new Map(), 'lines.ndjson', 'x')
    expect(() => mergeSets([...named('here'), { name: 'there', files: broken }], 0)).toThrow('there is not whole: manifest: lines.ndjson')
    expect(() => merged('here', 'here')).toThrow('here and here are of the same task of the same ledger')
    expect(() => merged('here')).toThrow('give two sets at least')
  })

  test('that were merged may be merged again with another', () => {
    const again = mergeSets([{ name: 'two', files: merged('here', 'there') }, ...named('saas')], 1_790_000_000_000)
    expect([...again].map(([path, bytes]) => [path, Buffer.from(bytes).toString('hex')])).toEqual(
      [...merged('here', 'there', 'saas')].map(([path, bytes]) => [path, Buffer.from(bytes).toString('hex')]),
    )
  })

  test('name what was changed by where it stands in the whole', () => {
    const files = merged('here', 'there')
    const list = JSON.parse(Buffer.from(files.get('merged.json') ?? '').toString())
    expect(found(edited(files, 'parts/2/lines.ndjson', 'x'))).toBe('manifest parts/2/lines.ndjson')
    expect(found(edited(files, 'parts/2/manifest.json', null))).toBe('manifest parts/2/manifest.json')
    expect(found(edited(files, 'parts/3/manifest.json', '{}'))).toBe('manifest parts/3/manifest.json')
    expect(found(edited(files, 'merged.json', '{}'))).toBe('manifest merged.json')
    const swapped = { ...list, parts: list.parts.toReversed() }
    expect(found(edited(files, 'merged.json', canonicalText(swapped)))).toBe('manifest merged.json')
    const less = { ...list, correlation: { ...list.correlation, traces: [] } }
    expect(found(edited(files, 'merged.json', canonicalText(less)))).toBe('correlation merged.json')
  })
})
