import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { loadConfig, type Loaded } from '../../src/config/load.ts'
import { Watch } from '../../src/decide/watch.ts'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import type { Foundation } from '../../src/foundation.ts'
import { folderOf, openStage, rehearse } from '../../src/rehearsal/rehearsal.ts'
import { openSidecar, type Sidecar } from '../../src/sidecar.ts'
import { ask, configText, routeTo, Running, TestUpstream } from '../support/running.ts'

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
/** Long enough for some calls on any machine. */
const ms = 1000
const never = new AbortController().signal

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cs-rehearsal-'))
  folders.push(folder)
  return folder
}

async function configured(): Promise<Loaded> {
  const folder = freshFolder()
  writeFileSync(join(folder, 'bundle.json'), (await developmentIssuer('acme.example')).bundle)
  const listen = { health: { at: `unix:${join(folder, 'health')}` } }
  const admin = { at: `unix:${join(folder, 'admin')}` }
  const settings = { listen, admin, credential: { providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } } } }
  const routes = { api: routeTo('http://127.0.0.1:9', 'api', { credential: 'api' }) }
  writeFileSync(join(folder, 'countersign.yaml'), configText({ routes, settings }))
  return loadConfig(join(folder, 'countersign.yaml'), {})
}

function open(loaded: Loaded, held: (on: Foundation) => Promise<void>): Promise<Sidecar> {
  return openSidecar(loaded, { env: {}, log: silent, version: 'test', rehearse: held })
}

/** One request over a unix socket of the folder. */
function reach({ folder }: Loaded, socket: string, path: string, act: { method?: string; body?: string } = {}): Promise<[number, string]> {
  const key = join(folder, 'admin.key')
  const authorization = socket === 'admin' ? `Bearer ${readFileSync(key, 'utf8').trim()}` : ''
  return new Promise((resolve, reject) => {
    const headers = { authorization, 'content-type': 'application/json' }
    const sent = request({ socketPath: join(folder, socket), path, method: act.method ?? 'GET', headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve([response.statusCode ?? 0, text]))
    })
    sent.on('error', reject)
    sent.end(act.body)
  })
}

/** What a sidecar has written and counted, without what differs from one to the next. */
async function traces(loaded: Loaded, sidecar: Sidecar): Promise<object> {
  const { recorder, state, credential } = sidecar.foundation
  const kinds: unknown[] = []
  for await (const { line } of recorder.tail({ fromSeq: 1, follow: false })) kinds.push(JSON.parse(line).custom.countersign.kind)
  const metrics = (await reach(loaded, 'health', '/metrics'))[1]
    .split('\n')
    .filter((line) => /^countersign_[a-z_]*(total|count|bucket)/.test(line))
  return { kinds, metrics, tasks: state.tasks({}), leases: credential.sizes(), stored: state.leases({}) }
}

describe('a rehearsal', () => {
  test('takes calls through the whole path, and leaves no trace in ledger, state, metrics, leases or folder', async () => {
    const [without, loaded] = [await configured(), await configured()]
    const plain = await open(without, async () => {})
    let answers: ReadonlyMap<string, number> = new Map()
    const sidecar = await open(loaded, async (on) => void (answers = await rehearse(loaded, on, { ms, signal: never })))
    try {
      expect(answers.get('200')).toBeGreaterThan(0)
      expect(answers.get('502')).toBeUndefined()
      expect(await traces(loaded, sidecar)).toEqual(await traces(without, plain))
      expect(existsSync(folderOf(loaded))).toBe(false)
    } finally {
      await sidecar.close()
      await plain.close()
    }
    expect(readFileSync(join(loaded.folder, 'state.db'), 'latin1')).not.toContain('rehears')
  })

  test('is over before agents are served and readiness is given; health answers and kills are taken meanwhile', async () => {
    const loaded = await configured()
    const during: unknown[] = []
    const sidecar = await open(loaded, async (on) => {
      during.push(await reach(loaded, 'health', '/livez'), await reach(loaded, 'health', '/readyz'))
      const body = JSON.stringify({ scope: 'everything', by: 'oncall', reason: 'a test' })
      during.push((await reach(loaded, 'admin', '/v1/kills', { method: 'POST', body }))[0], on.state.kills.kills().length)
    })
    try {
      expect(during).toEqual([[200, 'ok\n'], [503, 'not listening yet\n'], 201, 1])
      expect(await reach(loaded, 'health', '/readyz')).toEqual([200, 'ok\n'])
    } finally {
      await sidecar.close()
    }
  })

  test('is nothing that an agent can use: its listener knows no other identity, nobody else knows its own, its upstream answers its path alone', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api') } })
    const stage = await openStage(join(freshFolder(), 'stage'), { version: 'test', watchdog: unwatched() })
    try {
      const as = async (port: number, svid: string | null): Promise<number> =>
        (await ask(port, '/api/items/1', { headers: svid === null ? {} : { authorization: `Bearer ${svid}` } })).status
      expect(await as(stage.port, null)).toBe(401)
      expect(await as(stage.port, await running.svid())).toBe(401)
      expect(await as(running.port(), stage.svid())).toBe(401)
      expect(upstream.seen).toEqual([])
      for (const path of ['/', '/items/1', '/api/items/1']) expect((await ask(Number(new URL(stage.stub.url).port), path)).status).toBe(404)
    } finally {
      await stage.close()
    }
  })

  test('keeps its keys, its state and its ledger in a folder that nobody else can read, and removes it', async () => {
    const folder = join(freshFolder(), 'stage')
    mkdirSync(folder)
    writeFileSync(join(folder, 'left-by-a-crash'), 'x')
    const stage = await openStage(folder, { version: 'test', watchdog: unwatched() })
    expect(existsSync(join(folder, 'left-by-a-crash'))).toBe(false)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    await stage.close()
    expect(existsSync(folder)).toBe(false)
  })

  test('ends when the process is told to stop, and leaves nothing then either', async () => {
    const loaded = await configured()
    const stop = new AbortController()
    const sidecar = await open(loaded, async (on) => {
      const held = rehearse(loaded, on, { ms: 3_600_000, signal: stop.signal })
      stop.abort('SIGTERM')
      await held
    })
    await sidecar.close()
    expect(existsSync(folderOf(loaded))).toBe(false)
  })

  test('that cannot be held is said, and the start goes on', async () => {
    const loaded = await configured()
    const said: unknown[] = []
    const nowhere = { ...loaded, folder: join(loaded.folder, 'missing') }
    const sidecar = await open(loaded, async (on) => {
      const log = { ...silent, warn: (_fields: object, message: string) => void said.push(message) }
      expect((await rehearse(nowhere, { ...on, log }, { ms, signal: never })).size).toBe(0)
    })
    expect(sidecar.notReady()).toEqual([])
    await sidecar.close()
    expect(said).toEqual(['no rehearsal could be held: the first calls will be slower'])
  })
})

function unwatched(): Foundation['watchdog'] {
  return { watch: new Watch(), watching: false, setStall: () => undefined, close: async () => undefined }
}
