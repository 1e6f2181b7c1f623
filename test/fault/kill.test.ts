import { join } from 'node:path'
import { env } from 'node:process'
import { expect, test } from 'vitest'
import { verifyLedger } from '../../src/record/verify.ts'
import { HistoryUpstream, KillLane } from '../support/kill-lane.ts'
import { Random, seedOf } from '../support/random.ts'
import { SidecarProcess } from '../support/sidecar-process.ts'

/** Rounds in all, lanes side by side, kills per ledger folder. */
const rounds = env['COUNTERSIGN_LONG'] === '1' ? 1000 : 50
const lanes = 2
const perFolder = 25

/** From spawning to ready, generously; what it really was is printed. One start may meet a busy machine. */
const usualStartMs = 5000
const mostStartMs = 20_000

interface Totals {
  kills: number
  startKills: number
  asked: number
  acknowledged: number
  effects: number
  decisions: number
  unknown: number
  lent: number
  orphaned: number
  lost: number
  verified: number
  readonly startMs: number[]
}

test(
  'kill -9 under load loses no decision: whatever an upstream or a client saw stands in a ledger that verifies',
  async () => {
    const seed = seedOf(env)
    const totals: Totals = {
      kills: 0,
      startKills: 0,
      asked: 0,
      acknowledged: 0,
      effects: 0,
      decisions: 0,
      unknown: 0,
      lent: 0,
      orphaned: 0,
      lost: 0,
      verified: 0,
      startMs: [],
    }
    console.log(`kill: seed ${seed}, ${rounds} rounds`)
    await using upstream = await HistoryUpstream.start()
    const folders = Array.from({ length: Math.ceil(rounds / perFolder) }, (_, at) => Math.min(perFolder, rounds - at * perFolder))
    const queue = [...folders.entries()]
    const lane = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await folder(next[0], next[1], seed, upstream, totals)
    }
    // a lane that fails ends the others after the folder they are at, so that no process outlives the test
    const over = await Promise.allSettled(Array.from({ length: lanes }, () => lane().finally(() => queue.splice(0))))
    for (const one of over) if (one.status === 'rejected') throw one.reason
    report(totals)
    expect(totals.kills).toBe(rounds)
    expect(totals.lost).toBe(0)
    expect(totals.startMs.toSorted((a, b) => a - b)[Math.floor(rounds / 2)]).toBeLessThan(usualStartMs)
    expect(upstream.bare).toEqual([])
    expect(totals.acknowledged).toBeGreaterThan(rounds)
  },
  env['COUNTERSIGN_LONG'] === '1' ? 3_600_000 : 240_000,
)

async function folder(at: number, kills: number, seed: number, upstream: HistoryUpstream, totals: Totals): Promise<void> {
  const random = new Random(seed + at)
  await using lane = await KillLane.open(`${at}`, at % 2 === 1 ? 'synced' : 'written', upstream.url, random)
  let before = new Set<string>()
  for (let kill = 0; kill < kills; kill++) {
    const ms = random.below(400)
    const answered = random.next() < 0.7
    const what = `seed ${seed}, folder ${at}, kill ${kill} after ${ms} ms`
    await lane.loadAndKill(ms, answered)
    totals.kills++
    before = crashed(lane, before, what)
    const again = random.next() < 0.15
    if (again) {
      await SidecarProcess.startAndKill(join(lane.folder, 'countersign.yaml'), random.below(700))
      totals.startKills++
    }
    const lent = [...upstream.issued].filter(([, { client }]) => client === lane.name).map(([token]) => token)
    await lane.restart()
    // killed between the end of a lease and its line, the ledger does not tell of it; the state does, see `ended`
    if (!again) takenBack(lane, upstream, lent, what)
    await restarted(lane, upstream, totals, what)
  }
  expect(await lane.process.stop()).toBe(0)
  ended(lane, upstream, before)
  count(lane, upstream, totals)
}

/** What the disk holds right after the kill: the state is never behind the ledger. Gives the leases that were out. */
function crashed(lane: KillLane, before: ReadonlySet<string>, what: string): Set<string> {
  const { history } = lane
  history.catchUp()
  using copy = lane.copyState()
  const { state } = copy
  for (const [task, calls] of history.callsPerTask()) {
    const row = state.task(task)
    expect(row, `${what}: task ${task} of a decision is in the state`).not.toBeNull()
    const { spent, sensitivity, step } = state.facts(task, row?.caller ?? '').task
    expect(spent['calls'], `${what}: calls of ${task}`).toBeGreaterThanOrEqual(calls)
    expect(step, `${what}: steps of ${task}`).toBeGreaterThanOrEqual(calls)
    const own = [...history.decisions.values()].filter((one) => one.task === task)
    const orders = own.filter(({ tool }) => tool === 'crm.order.create').length
    expect(spent['eur'] ?? 0, `${what}: euros of ${task}`).toBeGreaterThanOrEqual(orders)
    if (own.some(({ tool }) => tool === 'crm.customer.read')) {
      expect(sensitivity, `${what}: what ${task} has read`).toContain('personal')
      expect(state.facts(task, row?.caller ?? '').caller.sensitivity, `${what}: what its caller has read`).toHaveProperty('personal')
    }
  }
  for (const told of lane.load.history.tasks.values()) {
    const row = state.task(told.id)
    expect(row?.caller, `${what}: a task that was acknowledged is there`).toBe(told.caller)
    if (told.completed) expect(row?.state, `${what}: an end that was acknowledged is there`).toBe('completed')
  }
  const out = state.leases({ states: ['issuing', 'live'] }).map(({ id }) => id)
  expect(
    out.filter((id) => before.has(id)),
    `${what}: leases of a process killed before are no longer live`,
  ).toEqual([])
  return new Set(out)
}

/** What holds once the next process is ready. */
async function restarted(lane: KillLane, upstream: HistoryUpstream, totals: Totals, what: string): Promise<void> {
  const { history, process } = lane
  totals.startMs.push(process.startMs)
  expect(process.startMs, `${what}: restart`).toBeLessThan(mostStartMs)
  const ready = await fetch(`http://127.0.0.1:${process.port('health')}/readyz`)
  expect(ready.status, `${what}: ${await ready.text()}`).toBe(200)
  history.catchUp()
  const verified = await verifyLedger(join(lane.folder, 'ledger'), process.key)
  expect(verified, what).toMatchObject({ ok: true, firstBad: null, open: 0 })
  totals.verified++
  const missing = lost(lane, upstream)
  totals.lost += missing.length
  expect(missing, `${what}: ${missing.join(', ')}`).toEqual([])
  for (const id of history.decisions.keys()) expect(history.outcomes.get(id), `${what}: outcomes of ${id}`).toHaveLength(1)
  for (const id of history.outcomes.keys()) expect(history.decisions.has(id), `${what}: outcome ${id} has a decision`).toBe(true)
  for (const [path, rows] of history.byPath) expect(rows, `${what}: decisions of ${path}`).toHaveLength(1)
}

/** Of the credentials that the dead process was lent: revoked at their issuer, or on record as what nobody can revoke. */
function takenBack({ history }: KillLane, upstream: HistoryUpstream, lent: readonly string[], what: string): void {
  history.catchUp()
  const orphans = history.events.filter(({ event, detail }) => event === 'lease.orphaned' && detail['provider'] === 'pay')
  const left = lent.filter((token) => !upstream.issued.get(token)?.revoked)
  expect(left.length, `${what}: credentials that nobody took back`).toBeLessThanOrEqual(orphans.length)
}

/** Everything that somebody saw and the ledger does not have. */
function lost({ history, load }: KillLane, upstream: HistoryUpstream): string[] {
  const missing: string[] = []
  const decided = new Map([...history.byPath].map(([path, rows]) => [path.slice(path.lastIndexOf('/') + 1), rows[0]?.id]))
  const own = new Set(load.markers)
  for (const [marker, times] of upstream.seen) {
    if (!own.has(marker)) continue
    if (!decided.has(marker)) missing.push(`upstream saw ${marker}`)
    if (times > 1) missing.push(`upstream saw ${marker} ${times} times`)
  }
  for (const { marker, status, call, api } of load.history.got) {
    if (api) continue
    if (status < 300 && decided.get(marker) !== call) missing.push(`client got ${status} for ${marker} as ${call}`)
    // a call that its task's end overtook was decided before it was refused
    if (status === 403 && !history.refusals.has(call) && !history.outcomes.has(call))
      missing.push(`client was refused ${marker} as ${call}`)
  }
  const events = new Set(history.events.map(({ event, task }) => `${event} ${task}`))
  for (const { id, completed } of load.history.tasks.values()) {
    if (!events.has(`task.opened ${id}`)) missing.push(`client opened ${id}`)
    if (completed && !events.has(`task.completed ${id}`)) missing.push(`client completed ${id}`)
  }
  return missing
}

/** After an orderly end nothing is out any more. */
function ended(lane: KillLane, upstream: HistoryUpstream, before: ReadonlySet<string>): void {
  lane.history.catchUp()
  using copy = lane.copyState()
  const live = copy.state.leases({ states: ['issuing', 'live'] }).map(({ id }) => id)
  expect(live).toEqual([])
  for (const id of before) expect(['revoking', 'revoked', 'expired', 'orphaned']).toContain(copy.state.lease(id)?.state)
  const left = [...upstream.issued.values()].filter(({ client, revoked }) => client === lane.name && !revoked)
  const orphans = copy.state.leases({ states: ['orphaned'] }).filter(({ provider }) => provider === 'pay')
  expect(left.length).toBeLessThanOrEqual(orphans.length)
}

function count({ history, load }: KillLane, upstream: HistoryUpstream, totals: Totals): void {
  totals.asked += load.history.asked
  totals.acknowledged += load.history.got.filter(({ status }) => status < 300).length
  totals.decisions += history.decisions.size
  totals.unknown += [...history.outcomes.values()].filter(([first]) => first === 'unknown').length
  totals.orphaned += history.events.filter(({ event }) => event === 'lease.orphaned').length
  totals.lent = upstream.issued.size
  totals.effects = [...upstream.seen.values()].reduce((sum, times) => sum + times, 0)
}

function report(totals: Totals): void {
  const sorted = totals.startMs.toSorted((a, b) => a - b)
  const at = (share: number): string => `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)} ms`
  const { kills, startKills, asked, acknowledged, effects, decisions, unknown, lent, orphaned, lost: gone, verified } = totals
  console.log(
    `kill: ${kills} kills under load and ${startKills} while starting, ${asked} requests, ${acknowledged} answered 2xx, ${effects} upstream effects, ` +
      `${decisions} decisions, ${unknown} outcomes unknown, ${lent} tokens lent by an issuer, ${orphaned} leases orphaned, ${verified} verifications, ${gone} lost; ` +
      `restart p50 ${at(0.5)}, p90 ${at(0.9)}, most ${at(1)}`,
  )
}
