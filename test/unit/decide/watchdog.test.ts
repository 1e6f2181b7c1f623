import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { afterAll, describe, expect, it } from 'vitest'
import { markerOf, readMarker, removeMarker } from '../../../src/decide/stalled.ts'
import { startWatchdog } from '../../../src/decide/watchdog.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-watchdog-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const module = new URL('../../../src/decide/watchdog.ts', import.meta.url).href
let count = 0

interface Ended {
  readonly signal: NodeJS.Signals | null
  readonly code: number | null
  readonly marker: string
  readonly stderr: string
}

/** A process with a watchdog, which may take 200 ms for an evaluation; `body` sees `watch`, `code`, `dog` and `busy(ms)`. */
async function inProcess(body: string, during: (pid: number) => void = () => undefined): Promise<Ended> {
  const marker = join(folder, `marker.${++count}`)
  const script = `
    import { startWatchdog } from ${JSON.stringify(module)}
    const dog = startWatchdog({ stall: 200, marker: ${JSON.stringify(marker)}, log: { error: (o, m) => console.error(m) } })
    const { watch } = dog
    const code = watch.code(watch.policy('${'ab'.repeat(32)}', 'r-7'), 'countersign/continue')
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
    const busy = (ms) => { const end = performance.now() + ms; while (performance.now() < end); }
    ${body}
    await dog.close()`
  const child = spawn(execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part))
  child.stdout.once('data', () => during(child.pid ?? 0))
  const [code, signal]: [number | null, NodeJS.Signals | null] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { code, signal, marker, stderr }
}

describe('the watchdog', () => {
  it('writes down which evaluation does not end and kills the process, also when it began before the thread was up', async () => {
    const began = Date.now()
    const { signal, marker, stderr } = await inProcess('watch.begin(code); busy(20_000)')
    expect(signal).toBe('SIGKILL')
    const found = readMarker(marker)
    expect(found).toMatchObject({ entrypoint: 'countersign/continue', revision: 'r-7', digest: 'ab'.repeat(32) })
    expect(found?.since).toBeGreaterThanOrEqual(began)
    expect(found?.ms).toBeGreaterThanOrEqual(200)
    expect(JSON.parse(stderr)).toMatchObject({ level: 60, code: 'CS1713' })
  })

  it('lets many evaluations be that are short each, and one that ends in time', async () => {
    const { code, signal, marker } = await inProcess(
      'await wait(100); for (let n = 0; n < 40; n++) { watch.begin(code); busy(20); watch.end() } watch.begin(code); busy(90); watch.end(); busy(600)',
    )
    expect([code, signal, existsSync(marker)]).toEqual([0, null, false])
  })

  it('does not take a process that does nothing, as in a debugger, for one that is stuck', async () => {
    const { code, signal } = await inProcess('watch.begin(code); await wait(1500); watch.end()')
    expect([code, signal]).toEqual([0, null])
  })

  it('does not count the time in which the process was stopped', async () => {
    const { code, signal } = await inProcess('await wait(100); watch.begin(code); console.log("begun"); busy(60); watch.end()', (pid) => {
      process.kill(pid, 'SIGSTOP')
      setTimeout(() => process.kill(pid, 'SIGCONT'), 1000)
    })
    expect([code, signal]).toEqual([0, null])
  })

  it('takes another bound while it runs, and ends with its owner', async () => {
    const { code, signal } = await inProcess('dog.setStall(60_000); watch.begin(code); busy(700); watch.end()')
    expect([code, signal]).toEqual([0, null])
  })

  it('is killed with, when the disk does not take the marker', async () => {
    const { signal, marker, stderr } = await inProcess(
      `(await import('node:fs')).mkdirSync(${JSON.stringify(join(folder, `marker.${count + 1}`))}); watch.begin(code); busy(20_000)`,
    )
    expect(signal).toBe('SIGKILL')
    expect(stderr).toContain('what stalled could not be written down')
    expect(() => readMarker(marker)).toThrow()
  })

  it('says when its thread is gone, once, and evaluations go on', async () => {
    const logged: object[] = []
    const dog = startWatchdog({ stall: 60_000, marker: join(folder, 'none'), log: { error: (fields) => void logged.push(fields) } })
    expect(dog.watching).toBe(true)
    await dog.close()
    expect(logged).toEqual([])
    dog.watch.begin(dog.watch.code(dog.watch.policy('d', 'r'), 'countersign/task'))
    dog.watch.end()
  })
})

describe('a marker', () => {
  it('stands beside the state', () => {
    expect(markerOf('/var/lib/state.db')).toBe('/var/lib/state.db.stalled')
  })

  it('is read as far as it is sound, and removed', () => {
    const path = join(folder, 'read')
    expect(readMarker(path)).toBeNull()
    for (const [text, read] of [
      ['', {}],
      ['{"entry', {}],
      ['null', {}],
      ['[1]', {}],
      ['{"entrypoint":1,"revision":"r","since":"x","ms":5,"more":true}', { revision: 'r', ms: 5 }],
    ] as const) {
      writeFileSync(path, text)
      expect(readMarker(path), text).toEqual(read)
    }
    writeFileSync(path, JSON.stringify({ revision: 'r'.repeat(500) }))
    expect(readMarker(path)?.revision?.length).toBe(128)
    removeMarker(path)
    removeMarker(path)
    expect(existsSync(path)).toBe(false)
    expect(readFileSync(join(folder, 'marker.1'), 'utf8')).not.toBe('')
  })
})
