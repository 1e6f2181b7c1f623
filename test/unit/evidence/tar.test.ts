import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readTar } from '../../../src/decide/bundle/tar.ts'
import { writeTar } from '../../../src/evidence/tar.ts'

const long = `parts/1/${'a'.repeat(90)}/${'b'.repeat(60)}.json`
const files = new Map<string, Uint8Array>([
  ['manifest.json', Buffer.from('{}')],
  ['empty', new Uint8Array()],
  ['block', Buffer.alloc(512, 7)],
  [long, Buffer.alloc(1000, 1)],
])

test('an archive is read back as it was written, by us and by tar', () => {
  const bytes = writeTar(files, 1_790_000_000_000)
  expect([...readTar(bytes)].map(([path, content]) => [path, Buffer.from(content).toString('hex')])).toEqual(
    [...files].map(([path, content]) => [path, Buffer.from(content).toString('hex')]),
  )
  const folder = mkdtempSync(join(tmpdir(), 'tar-'))
  try {
    writeFileSync(join(folder, 'set.tar'), bytes)
    execFileSync('tar', ['-xf', 'set.tar'], { cwd: folder })
    expect(readFileSync(join(folder, long))).toEqual(Buffer.alloc(1000, 1))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the same files at the same time are the same bytes', () => {
  expect(writeTar(files, 1_790_000_000_999)).toEqual(writeTar(files, 1_790_000_000_000))
})

test('a path that leads out, or that does not fit, is refused', () => {
  for (const path of ['a b', 'é', 'a'.repeat(120), `${'a'.repeat(300)}/b`])
    expect(() => writeTar(new Map([[path, new Uint8Array()]]), 0), path).toThrow(RangeError)
})
