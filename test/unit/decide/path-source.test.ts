import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stampOf } from '../../../src/config/stamp.ts'
import { pathSource } from '../../../src/decide/source/path.ts'
import type { BundleSource, Known, Sight } from '../../../src/decide/source/source.ts'

const nothing: Known = { adopted: null, refused: null }
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-path-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function sourceAt(path: string, stamp = stampOf): BundleSource {
  return pathSource({ kind: 'path', path, stamp, poll: { min: 1000, max: 1000 } })
}

function look(source: BundleSource, known = nothing): Promise<Sight> {
  return source.look(known, new AbortController().signal)
}

/** Name → text of the files that a look found. */
function textsOf(sight: Sight): Readonly<Record<string, string>> {
  if (sight.is !== 'new' || sight.content.form !== 'files') throw new Error('no files')
  return Object.fromEntries([...sight.content.files].map(([name, bytes]) => [name, Buffer.from(bytes).toString()]))
}

describe('a file', () => {
  test('is given once, and again when it changes', async () => {
    const path = join(folder, 'policy.tar.gz')
    writeFileSync(path, 'one')
    const source = sourceAt(path)
    const first = await look(source)
    expect(first).toMatchObject({ is: 'new', content: { form: 'packed', bytes: Buffer.from('one') } })
    const mark = first.is === 'new' ? first.mark : null
    expect(await look(source, { adopted: mark, refused: null })).toEqual({ is: 'adopted', mark })
    expect(await look(source, { adopted: null, refused: mark })).toEqual({ is: 'refused' })
    writeFileSync(path, 'another')
    expect(await look(source, { adopted: mark, refused: null })).toMatchObject({ is: 'new' })
  })

  test('that is not there, or too large, is a fault that says so', async () => {
    await expect(look(sourceAt(join(folder, 'none')))).rejects.toThrow('ENOENT')
    writeFileSync(join(folder, 'large'), Buffer.alloc(16 * 1024 * 1024 + 1))
    await expect(look(sourceAt(join(folder, 'large')))).rejects.toThrow('larger than 16 MiB')
  })

  test('that changes while it is read is not given', async () => {
    writeFileSync(join(folder, 'a'), 'one')
    let stamp = 0
    await expect(look(sourceAt(join(folder, 'a'), () => String(stamp++)))).rejects.toThrow('changed while it was read')
  })
})

describe('a folder', () => {
  test('gives its files by their paths, hidden ones too', async () => {
    mkdirSync(join(folder, 'countersign'))
    writeFileSync(join(folder, '.manifest'), 'm')
    writeFileSync(join(folder, 'countersign/a.rego'), 'a')
    expect(textsOf(await look(sourceAt(folder)))).toEqual({ '.manifest': 'm', 'countersign/a.rego': 'a' })
  })

  test('that is a ConfigMap is read through its symlinks, and seen when they are swapped', async () => {
    const version = (name: string, text: string): void => {
      mkdirSync(join(folder, name, 'sub'), { recursive: true })
      writeFileSync(join(folder, name, '.manifest'), text)
      writeFileSync(join(folder, name, 'sub/data.json'), text)
    }
    version('..2026_1', 'one')
    symlinkSync('..2026_1', join(folder, '..data'))
    symlinkSync('..data/.manifest', join(folder, '.manifest'))
    symlinkSync('..data/sub', join(folder, 'sub'))
    const source = sourceAt(folder)
    const first = await look(source)
    expect(textsOf(first)).toEqual({ '.manifest': 'one', 'sub/data.json': 'one' })
    version('..2026_2', 'two')
    symlinkSync('..2026_2', join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
    const next = await look(source, { adopted: first.is === 'new' ? first.mark : null, refused: null })
    expect(textsOf(next)).toEqual({ '.manifest': 'two', 'sub/data.json': 'two' })
  })

  test('is not left, by a file, a folder or a loop', async () => {
    const path = join(folder, 'bundle')
    mkdirSync(path)
    const outside = join(folder, 'secret')
    writeFileSync(outside, 'secret')
    for (const target of [outside, folder, '../secret']) {
      symlinkSync(target, join(path, 'data.json'))
      await expect(look(sourceAt(path))).rejects.toThrow('data.json leads out of the folder')
      unlinkSync(join(path, 'data.json'))
    }
    mkdirSync(join(path, 'a'))
    symlinkSync('../a', join(path, 'a/again'))
    await expect(look(sourceAt(path))).rejects.toThrow('lies too deep')
  })

  test('of too many files is not read', async () => {
    for (let number = 0; number <= 1000; number++) writeFileSync(join(folder, `f${number}.rego`), '')
    await expect(look(sourceAt(folder))).rejects.toThrow('more than 1000 files')
  })

  test('that changes while it is read is not given', async () => {
    writeFileSync(join(folder, 'a.rego'), 'one')
    let stamp = 0
    await expect(look(sourceAt(folder, () => String(stamp++)))).rejects.toThrow('changed while it was read')
  })
})

test('a path that becomes a folder is read as one', async () => {
  const path = join(folder, 'policy')
  writeFileSync(path, 'packed')
  const source = sourceAt(path)
  expect(await look(source)).toMatchObject({ is: 'new', content: { form: 'packed' } })
  unlinkSync(path)
  mkdirSync(path)
  writeFileSync(join(path, '.manifest'), 'm')
  expect(textsOf(await look(source))).toEqual({ '.manifest': 'm' })
})
