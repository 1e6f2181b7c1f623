import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { edgeNodes, inclusionProof, includes, leafHash, rootOf, TreeEdge } from '../../../src/record/merkle.ts'
import { tileHashes, tilesAt } from '../../../src/record/tiles.ts'

let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tiles-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const sha256 = (text: string) => createHash('sha256').update(text).digest()
const line = (at: number) => `{"line":${at}}`

function lines(count: number): TreeEdge {
  const edge = new TreeEdge()
  const all = Array.from({ length: count }, (_, at) => line(at))
  for (const one of all) edge.append(leafHash(sha256(one)))
  const middle = Math.floor(count / 2)
  writeFileSync(
    join(dir, '000000000001.ndjson'),
    all
      .slice(0, middle)
      .map((one) => `${one}\n`)
      .join(''),
  )
  if (middle < count)
    writeFileSync(
      join(dir, `${String(middle + 1).padStart(12, '0')}.ndjson`),
      all
        .slice(middle)
        .map((one) => `${one}\n`)
        .join(''),
    )
  return edge
}

function put(path: string, bytes: Buffer): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), bytes)
}

describe('a tile', () => {
  test('is partial at the right side of each level alone', () => {
    expect([0, 1, 2].map((level) => tilesAt(level, 70_000))).toEqual([
      { whole: 273, partial: 112 },
      { whole: 1, partial: 17 },
      { whole: 0, partial: 1 },
    ])
  })
})

describe('the nodes of a tree', () => {
  test.each([0, 1, 2, 255, 256, 257, 700])('are had from the lines alone (%i lines)', (count) => {
    const edge = lines(count)
    const hashOf = tileHashes(dir, count, edge.root)
    expect(rootOf(edgeNodes(count).map(hashOf)).equals(edge.root)).toBe(true)
    for (let at = 0; at < count; at += 97)
      expect(includes(leafHash(sha256(line(at))), at, count, inclusionProof(at, count, hashOf), edge.root)).toBe(true)
  })

  test('are had from whole tiles where the lines are gone', () => {
    const edge = lines(600)
    const all = Array.from({ length: 600 }, (_, at) => leafHash(sha256(line(at))))
    put('tile/0/000', Buffer.concat(all.slice(0, 256)))
    put('tile/0/001', Buffer.concat(all.slice(256, 512)))
    rmSync(join(dir, '000000000001.ndjson'))
    const proof = inclusionProof(400, 600, tileHashes(dir, 600, edge.root))
    expect(includes(leafHash(sha256(line(400))), 400, 600, proof, edge.root)).toBe(true)
  })

  test('are had of an earlier size from a wider partial tile', () => {
    lines(200)
    const all = Array.from({ length: 200 }, (_, at) => leafHash(sha256(line(at))))
    put('tile/0/000.p/200', Buffer.concat(all))
    rmSync(join(dir, '000000000001.ndjson'))
    const edge = new TreeEdge()
    for (const leaf of all.slice(0, 150)) edge.append(leaf)
    expect(rootOf(edgeNodes(150).map(tileHashes(dir, 150))).equals(edge.root)).toBe(true)
  })

  test('of a tile that was changed are computed from the lines', () => {
    const edge = lines(600)
    const wrong = Buffer.alloc(256 * 32, 7)
    put('tile/0/001', wrong)
    put('tile/1/000.p/2', Buffer.concat([0, 1].map((index) => tileHashes(dir, 256 * (index + 1))({ level: 8, index }))))
    const hashOf = tileHashes(dir, 600, edge.root)
    expect(includes(leafHash(sha256(line(300))), 300, 600, inclusionProof(300, 600, hashOf), edge.root)).toBe(true)
  })

  test('are not made up: what neither tile nor line tells throws', () => {
    const edge = lines(600)
    rmSync(join(dir, '000000000001.ndjson'))
    expect(() => tileHashes(dir, 600, edge.root)).toThrow('neither the tiles nor the lines')
    expect(() => tileHashes(dir, 600)({ level: 0, index: 5 })).toThrow('is not in the ledger any more')
    expect(() => tileHashes(dir, 600)({ level: 0, index: 600 })).toThrow('not whole in a tree of 600')
  })
})
