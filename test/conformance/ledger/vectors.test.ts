import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { exitOf, faults } from '../../../src/record/fault.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { publishedLedgers } from '../../support/vectors.ts'

const vectors = publishedLedgers()

describe('docs/vectors', () => {
  test.each(vectors)('$name is found as the table says', async ({ dir, keyFile, keptFile, from, fault, exit, record }) => {
    const { ok, firstBad } = await verifyLedger(dir, readFileSync(keyFile, 'utf8'), {
      ...(keptFile === null ? {} : { checkpoint: readFileSync(keptFile, 'utf8') }),
      ...(from === null ? {} : { from }),
    })
    expect({ ok, fault: firstBad?.fault ?? null, record: firstBad?.seq ?? null }).toEqual({ ok: fault === null, fault, record })
    expect(firstBad === null ? 0 : exitOf(firstBad.fault)).toBe(exit)
  })

  test('hold every folder that is there, and every kind of fault of a ledger', () => {
    const folders = readdirSync(join(import.meta.dirname, '../../../docs/vectors/ledger'))
    expect(vectors.map(({ name }) => name).sort()).toEqual(folders.sort())
    const ofSets = ['proof', 'manifest', 'correlation', 'summary']
    expect(new Set(vectors.flatMap(({ fault }) => fault ?? []))).toEqual(
      new Set(Object.keys(faults).filter((kind) => !ofSets.includes(kind))),
    )
  })
})
