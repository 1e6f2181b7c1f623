import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { expect, test } from 'vitest'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { openSqlite } from '../../src/state/sqlite.ts'
import type { LeaseRow } from '../../src/state/leases.ts'
import { app, appKey, GithubApp, installation } from '../support/github-app.ts'
import type { IssuerRequest } from '../support/issuer-server.ts'
import { LeakFinder } from '../support/leaks.ts'
import { LedgerHistory } from '../support/ledger-history.ts'
import { Random, seedOf } from '../support/random.ts'
import { agentId, ask, audience, configText, freeAgent, routeTo, TestUpstream } from '../support/running.ts'
import { SidecarProcess } from '../support/sidecar-process.ts'
import { account, namespace, ownToken, TokenApi } from '../support/token-api.ts'

/** Kills of each kind. */
const rounds = env['COUNTERSIGN_LONG'] === '1' ? 20 : 3
const tasks = 6
/** From the spawning of the next process on. */
const mostMs = 5000

/** When the process dies: the issuer has done it, and its answer is on its way or held; or calls are under way; or what was lent is being taken back. */
const moments = ['the answer is held', 'the answer was sent', 'it is used', 'it is revoked'] as const
type Moment = (typeof moments)[number]

/** Issuers that outlive every kill: one whose handles are known and sealed beforehand, one whose handle is in its answer. */
class Issuers implements AsyncDisposable {
  readonly kube = new TokenApi()
  readonly hub = new GithubApp()

  async listen(): Promise<void> {
    for (const { server } of [this.kube, this.hub]) await server.listen()
  }

  /** Waits until so many requests of this kind are done at both, and holds their answers where asked to. */
  reached(kind: (request: IssuerRequest) => boolean, count: number, hold: boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    let seen = 0
    for (const { server } of [this.kube, this.hub])
      server.hold = (request) => {
        if (!kind(request)) return null
        if (++seen === count) resolve()
        return hold ? new Promise(() => {}) : null
      }
    return promise
  }

  let(): void {
    for (const { server } of [this.kube, this.hub]) server.hold = () => null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server } of [this.kube, this.hub]) await server[Symbol.asyncDispose]()
  }
}

const gives = ({ method, path }: IssuerRequest): boolean => method === 'POST' && /\/(token|access_tokens)$/.test(path)
const takes = ({ method }: IssuerRequest): boolean => method === 'DELETE'

class Lane implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-kill-leases-'))
  readonly history = new LedgerHistory(join(this.folder, 'ledger'))
  readonly issuers: Issuers
  readonly upstream: TestUpstream
  readonly logged: string[] = []
  #token = ''
  #process: SidecarProcess | null = null
  #copies = 0

  private constructor(issuers: Issuers, upstream: TestUpstream) {
    this.issuers = issuers
    this.upstream = upstream
  }

  static async open(issuers: Issuers, upstream: TestUpstream): Promise<Lane> {
    const lane = new Lane(issuers, upstream)
    const people = await developmentIssuer('acme.example')
    lane.#token = await people.mint(agentId, audience, 7200)
    const file = (name: string, text: string): void => writeFileSync(join(lane.folder, name), text)
    file('bundle.json', people.bundle)
    file('own.token', ownToken)
    file('app.pem', appKey)
    file('countersign.yaml', configOf(lane.folder, issuers, upstream.url))
    await lane.start()
    return lane
  }

  async start(): Promise<void> {
    this.#process = await SidecarProcess.start(join(this.folder, 'countersign.yaml'))
  }

  async kill(): Promise<void> {
    await this.#process?.kill()
    this.logged.push(...(this.#process?.logged ?? []))
  }

  async stop(): Promise<void> {
    expect(await this.#process?.stop()).toBe(0)
    this.logged.push(...(this.#process?.logged ?? []))
  }

  async call(path: string, task: string | null = null, method = 'GET'): Promise<string> {
    const headers = { authorization: `Bearer ${this.#token}`, ...(task === null ? {} : { 'countersign-task': task }) }
    const body = method === 'POST' ? { body: path.endsWith('/complete') ? '' : '{"purpose":"test"}' } : {}
    return (await ask(this.#process?.port() ?? 0, path, { method, headers, ...body })).text
  }

  async openTask(): Promise<string> {
    return String(JSON.parse(await this.call('/.countersign/v1/tasks', null, 'POST')).id)
  }

  /** The rows on the disk; the process that held them must be gone. */
  rows(): readonly LeaseRow[] {
    const path = join(this.folder, `copy-${++this.#copies}.db`)
    for (const end of ['', '-wal'])
      if (existsSync(join(this.folder, `state.db${end}`))) copyFileSync(join(this.folder, `state.db${end}`), path + end)
    const state = openSqlite({ path, clock: Date.now })
    const rows = state.leases({})
    state.close()
    return rows
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function configOf(folder: string, { kube, hub }: Issuers, upstream: string): string {
  return configText({
    routes: {
      kube: routeTo(`${upstream}/kube`, 'kube', { credential: 'kube' }),
      hub: routeTo(`${upstream}/hub`, 'hub', { credential: 'hub' }),
    },
    providers: {
      kube: {
        type: 'kubernetes',
        server: kube.server.url,
        identity: { token_file: join(folder, 'own.token') },
        namespace,
        service_account: account,
        audiences: ['https://crm.acme.example'],
      },
      hub: {
        type: 'github',
        app,
        key: { file: 'app.pem' },
        installation,
        permissions: ['contents:read'],
        api: hub.server.url,
      },
    },
    agents: [freeAgent({ implicit: false })],
  })
}

/** Brings the process to the moment, and kills it there. Gives the tasks that were open. */
async function killAt(moment: Moment, lane: Lane, random: Random): Promise<readonly string[]> {
  const { issuers } = lane
  const opened = await Promise.all(Array.from({ length: tasks }, () => lane.openTask()))
  const calls = (): Promise<unknown>[] =>
    opened.flatMap((task, at) => ['kube', 'hub'].map((name) => lane.call(`/${name}/${at}`, task).catch(() => null)))
  if (moment === 'it is revoked') {
    await Promise.all(calls())
    // some are revoked and confirmed, some revoked and not confirmed
    const under = issuers.reached(takes, 1 + random.below(tasks), random.next() < 0.5)
    const ends = opened.map((task) => lane.call(`/.countersign/v1/tasks/${task}/complete`, null, 'POST').catch(() => null))
    await under
    await lane.kill()
    await Promise.all(ends)
  } else {
    const count = moment === 'it is used' ? 2 * tasks : 1 + random.below(2 * tasks)
    const under = issuers.reached(gives, count, moment === 'the answer is held')
    const all = calls()
    await under
    if (moment === 'it is used') await expect.poll(() => lane.upstream.seen.length, { interval: 1 }).toBeGreaterThan(0)
    await lane.kill()
    await Promise.all(all)
  }
  issuers.let()
  return opened
}

/** Without a handle yet nobody can take back what came: of GitHub whatever came, of Kubernetes nothing, for it was not asked yet. */
const unseen = ({ state, sealed }: LeaseRow): boolean => state === 'issuing' && sealed === null

/** Starts the next process; gives the ms until nothing that could be taken back is left at the issuers. */
async function cleared(lane: Lane, left: number): Promise<number> {
  const { kube, hub } = lane.issuers
  const began = performance.now()
  await lane.start()
  await expect.poll(() => [kube.secrets.size, hub.live.size <= left], { timeout: 15_000, interval: 5 }).toEqual([0, true])
  return performance.now() - began
}

test(
  'kill -9 while credentials are asked for, used or taken back: at the next start all that can be is taken back within 5 s, once',
  async () => {
    const seed = seedOf(env)
    const random = new Random(seed)
    console.log(`kill-leases: seed ${seed}`)
    await using issuers = new Issuers()
    await issuers.listen()
    await using upstream = await TestUpstream.start()
    await using lane = await Lane.open(issuers, upstream)
    const took: Record<string, number[]> = {}
    let left = 0
    for (let round = 0; round < rounds; round++)
      for (const moment of moments) {
        const opened = await killAt(moment, lane, random)
        left += lane.rows().filter(unseen).length
        const ms = await cleared(lane, left)
        ;(took[moment] ??= []).push(ms)
        expect(ms, `seed ${seed}, round ${round}: ${moment}`).toBeLessThan(mostMs)
        // a caller may have 64 open, and those of a round are still open after the kill
        await Promise.all(opened.map((task) => lane.call(`/.countersign/v1/tasks/${task}/complete`, null, 'POST').catch(() => null)))
      }
    await lane.stop()
    honest(lane, left)
    hidden(lane)
    for (const [moment, all] of Object.entries(took))
      console.log(`kill-leases: ${moment}: gone ${all.map((ms) => Math.round(ms)).join(', ')} ms after the start`)
  },
  env['COUNTERSIGN_LONG'] === '1' ? 900_000 : 120_000,
)

/** Rows and ledger say what became of each: nothing is open, nothing is double. */
function honest(lane: Lane, left: number): void {
  const rows = lane.rows()
  const by = (state: string): readonly LeaseRow[] => rows.filter((row) => row.state === state)
  expect([...new Set(rows.map(({ state }) => state))].filter((state) => ['issuing', 'live', 'revoking'].includes(state))).toEqual([])
  expect(rows.filter(({ sealed }) => sealed !== null)).toEqual([])
  expect(by('orphaned').filter(({ revocation }) => revocation !== 'expiry')).toEqual([])
  expect(by('orphaned').length).toBe(left)
  expect(lane.issuers.hub.live.size).toBeLessThanOrEqual(left)
  lane.history.catchUp()
  const told = new Map<string, string[]>()
  for (const { event, detail } of lane.history.events) {
    const id = String(detail['id'])
    if (/^lease\.(issued|revoked|expired|discarded|orphaned)$/.test(event)) told.set(id, [...(told.get(id) ?? []), event])
  }
  // a kill between the row and its line leaves the row without a line, never two lines
  const doubled = [...told].filter(([, all]) => new Set(all).size !== all.length || all.filter((one) => one !== 'lease.issued').length > 1)
  expect(doubled).toEqual([])
  const made = lane.issuers.kube.server.seen.filter(({ method, path }) => method === 'POST' && path.endsWith('/secrets'))
  const names = made.map(({ body }) => String(JSON.parse(body).metadata.name))
  expect(new Set(names).size).toBe(names.length)
  const orphans = by('orphaned').filter(({ provider }) => provider === 'kube')
  expect(orphans.filter(({ id }) => names.includes(`countersign-${id.replaceAll('_', '-').toLowerCase()}`))).toEqual([])
  // each call came once, with a credential that was its own
  for (const { headers } of lane.upstream.seen) expect(headers.authorization).toMatch(/^Bearer (ey|ghs_)/)
  const tokens = lane.upstream.seen.map(({ headers }) => headers.authorization)
  expect(new Set(tokens).size).toBe(tokens.length)
  console.log(
    `kill-leases: ${rows.length} leases, ${by('revoked').length} revoked, ${by('discarded').length} discarded, ${left} orphaned, ` +
      `of which GitHub gave ${lane.issuers.hub.live.size} and Kubernetes none, ${lane.upstream.seen.length} calls reached the upstream`,
  )
}

/** What crashed left no word of what it held. */
function hidden(lane: Lane): void {
  const tokens = lane.upstream.seen.map(({ headers }) => String(headers.authorization).replace('Bearer ', ''))
  const finder = new LeakFinder([...new Set(tokens)].slice(0, 12))
  const events = JSON.stringify(lane.history.events)
  expect(finder.find(lane.logged.join('\n'))).toBeNull()
  expect(finder.find(events)).toBeNull()
  expect(events.length).toBeGreaterThan(1000)
}
