import { mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync, appendFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { SinkConfig, openSink } from '../../../src/record/registry.ts'
import type { RecordSink, SinkLine } from '../../../src/record/sink.ts'
import { sinkServices, storedLine } from '../../support/sink-rig.ts'

const live = new AbortController().signal
const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

class Rig {
  readonly folder = mkdtempSync(join(tmpdir(), 'sink-'))
  readonly path = join(this.folder, 'decisions.ndjson')
  now = Date.parse('2026-09-21T14:13:20.000Z')

  constructor() {
    folders.push(this.folder)
  }

  open(settings: object = {}): RecordSink {
    return openSink(SinkConfig.parse({ type: 'file', path: this.path, ...settings }), sinkServices({ clock: () => this.now })).sink
  }

  names(): string[] {
    return readdirSync(this.folder).sort()
  }

  /** Every line of every file, oldest file first. */
  all(): string {
    const read = (name: string): string => {
      const bytes = readFileSync(join(this.folder, name))
      return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
    }
    const [current, ...old] = this.names()
    return [...old, current!].map(read).join('')
  }
}

const lines = (first: number, last: number): SinkLine[] => Array.from({ length: last - first + 1 }, (_, at) => storedLine(first + at))
const textOf = (some: readonly SinkLine[]): string => some.map(({ line }) => `${line}\n`).join('')

describe('the sink file', () => {
  test('appends stored lines to a file that only its owner may read, and goes on with it after a restart', async () => {
    const rig = new Rig()
    const sink = rig.open({ fsync: true })
    await sink.write(lines(1, 3), live)
    await sink.close()
    const again = rig.open()
    await again.write(lines(4, 5), live)
    await again.close()
    expect(readFileSync(rig.path, 'utf8')).toBe(textOf(lines(1, 5)))
    expect(statSync(rig.path).mode & 0o777).toBe(0o600)
  })

  test('begins a new file before one grows beyond its size, names the old one by its last line, compresses it and loses none', async () => {
    const rig = new Rig()
    const sink = rig.open({ rotate: { size: '4KiB' } })
    for (let at = 1; at <= 60; at++) await sink.write(lines(at, at), live)
    await sink.close()
    const [current, ...old] = rig.names()
    expect(current).toBe('decisions.ndjson')
    expect(old.length).toBeGreaterThan(3)
    for (const name of old) {
      expect(name).toMatch(/^decisions\.ndjson\.\d{12}\.gz$/)
      const text = gunzipSync(readFileSync(join(rig.folder, name))).toString()
      expect(text.length).toBeLessThanOrEqual(4096)
      expect(JSON.parse(text.trimEnd().split('\n').at(-1)!).custom.countersign.seq).toBe(Number(/\d{12}/.exec(name)![0]))
      expect(statSync(join(rig.folder, name)).mode & 0o777).toBe(0o600)
    }
    expect(rig.all()).toBe(textOf(lines(1, 60)))
  })

  test('begins a new file when the first line is too old, also when a restart came in between', async () => {
    const rig = new Rig()
    const sink = rig.open({ rotate: { age: '1h', gzip: false } })
    await sink.write(lines(1, 1), live)
    await sink.close()
    rig.now += 3_600_000
    const again = rig.open({ rotate: { age: '1h', gzip: false } })
    await again.write(lines(2, 2), live)
    await again.close()
    expect(rig.names()).toEqual(['decisions.ndjson', 'decisions.ndjson.000000000001'])
  })

  test('keeps as many old files as it is told, and touches no file of another name', async () => {
    const rig = new Rig()
    for (const name of ['decisions.ndjson.backup', 'decisions.ndjson.000000000001x', 'other']) writeFileSync(join(rig.folder, name), 'mine')
    const sink = rig.open({ rotate: { size: '4KiB', keep: 2 } })
    for (let at = 1; at <= 100; at++) await sink.write(lines(at, at), live)
    await sink.close()
    const names = rig.names()
    expect(names.filter((name) => name.endsWith('.gz'))).toHaveLength(2)
    expect(names).toEqual(expect.arrayContaining(['decisions.ndjson.backup', 'decisions.ndjson.000000000001x', 'other']))
  })

  test('follows somebody who moves the file away, and leaves what was moved as it is', async () => {
    const rig = new Rig()
    const sink = rig.open()
    await sink.write(lines(1, 2), live)
    renameSync(rig.path, join(rig.folder, 'moved'))
    await sink.write(lines(3, 4), live)
    rmSync(rig.path)
    await sink.write(lines(5, 6), live)
    await sink.close()
    expect(readFileSync(join(rig.folder, 'moved'), 'utf8')).toBe(textOf(lines(1, 2)))
    expect(readFileSync(rig.path, 'utf8')).toBe(textOf(lines(5, 6)))
  })

  test('cuts off a line that a kill left unfinished: it is given again', async () => {
    const rig = new Rig()
    const sink = rig.open()
    await sink.write(lines(1, 2), live)
    await sink.close()
    appendFileSync(rig.path, storedLine(3).line.slice(0, 50))
    const again = rig.open()
    await again.write(lines(3, 3), live)
    await again.close()
    expect(readFileSync(rig.path, 'utf8')).toBe(textOf(lines(1, 3)))
  })

  test('finishes what a kill left half compressed', async () => {
    const rig = new Rig()
    writeFileSync(join(rig.folder, 'decisions.ndjson.000000000001'), textOf(lines(1, 1)))
    writeFileSync(join(rig.folder, 'decisions.ndjson.000000000001.gz.part'), 'half')
    const sink = rig.open({ rotate: { size: '4KiB' } })
    for (let at = 2; at <= 30; at++) await sink.write(lines(at, at), live)
    await sink.close()
    expect(rig.names().filter((name) => !name.endsWith('.gz'))).toEqual(['decisions.ndjson'])
    expect(rig.all()).toBe(textOf(lines(1, 30)))
  })

  test('keeps old files in the order they were written, also when a kill had lines given again', async () => {
    const rig = new Rig()
    const rotate = { size: '4KiB', gzip: false, keep: 3 }
    const written: string[] = []
    // each time from the first line on, as when no offset was kept
    for (const upTo of [30, 12, 40]) {
      const sink = rig.open({ rotate })
      for (let at = 1; at <= upTo; at++) await sink.write(lines(at, at), live)
      written.push(textOf(lines(1, upTo)))
      await sink.close()
    }
    const again = (name: string): string => name.replace(/-(\d+)$/, (_, count: string) => `-${count.padStart(6, '0')}`)
    const [current, ...old] = rig.names().sort((a, b) => (again(a) < again(b) ? -1 : 1))
    expect(old).toHaveLength(3)
    const kept = [...old, current!].map((name) => readFileSync(join(rig.folder, name), 'utf8')).join('')
    expect(written.join('').endsWith(kept)).toBe(true)
  })

  test('writes through no link, and says what it was told when the folder is not there', async () => {
    const rig = new Rig()
    const elsewhere = join(rig.folder, 'elsewhere')
    writeFileSync(elsewhere, '')
    symlinkSync(elsewhere, rig.path)
    await expect(rig.open().write(lines(1, 1), live)).rejects.toMatchObject({ reason: 'disk', message: expect.stringContaining('ELOOP') })
    expect(readFileSync(elsewhere, 'utf8')).toBe('')
    const lost = rig.open({ path: join(rig.folder, 'none', 'x') })
    await expect(lost.write(lines(1, 1), live)).rejects.toMatchObject({ reason: 'disk', message: expect.stringContaining('ENOENT') })
  })
})
