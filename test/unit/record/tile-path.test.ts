import { describe, expect, test } from 'vitest'
import { tileOf, tilePath } from '../../../src/record/tile-path.ts'

describe('paths of tiles (C2SP tlog-tiles)', () => {
  test.each([
    [{ level: 0, index: 0, width: 256 }, 'tile/0/000'],
    [{ level: 0, index: 999, width: 256 }, 'tile/0/999'],
    [{ level: 1, index: 1000, width: 256 }, 'tile/1/x001/000'],
    [{ level: 0, index: 1234067, width: 256 }, 'tile/0/x001/x234/067'],
    [{ level: 0, index: 273, width: 112 }, 'tile/0/273.p/112'],
    [{ level: 'entries', index: 1234067, width: 8 }, 'tile/entries/x001/x234/067.p/8'],
  ] as const)('%j is %s, and back', (tile, path) => {
    expect(tilePath(tile)).toBe(path)
    expect(tileOf(path)).toEqual(tile)
  })

  test.each([
    'tile/0/1',
    'tile/0/0000',
    'tile/0/x000/000',
    'tile/00/000',
    'tile/64/000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/257',
    'tile/0/000.p/012',
    'tile/0/../ledger.key',
    'tile/entries/000/../../../../ledger.key',
    '../ledger.key',
    'tile/-1/000',
    '',
  ])('%s is none', (path) => expect(tileOf(path)).toBeNull())
})
