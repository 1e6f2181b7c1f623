import { randomBytes } from 'node:crypto'
import { env } from 'node:process'
import { expect, test } from 'vitest'
import type { CredentialProvider } from '../../src/credential/credential.ts'
import { makeSeal } from '../../src/state/seal.ts'
import type { LeaseRow, LeaseState } from '../../src/state/leases.ts'
import { CredentialRig, permitFor, type PermitSketch } from '../support/credential-rig.ts'
import { FaultyIssuer } from '../support/faulty-issuer.ts'
import { TestClock } from '../support/identity-rig.ts'
import { Random, seedOf } from '../support/random.ts'

const tasks = 500
const atOnce = 50
/** Of what the issuer gives: far beyond the lease, so that no expiry hides what was left behind. */
const life = 3_600_000

/** From each state to which others; anything else is a bug. */
const legal: Readonly<Record<LeaseState, readonly LeaseState[]>> = {
  issuing: ['live', 'revoking', 'discarded', 'orphaned'],
  live: ['revoking', 'expired', 'discarded', 'orphaned'],
  revoking: ['revoked', 'expired', 'orphaned'],
  revoked: [],
  expired: [],
  discarded: [],
  orphaned: [],
}

test('500 tasks at an issuer that fails in every way leave nothing behind that their rows do not own up to', async () => {
  const seed = seedOf(env)
  console.log(`leases: seed ${seed}`)
  const clock = new TestClock()
  await using issuer = new FaultyIssuer(new Random(seed), clock.now, life)
  await issuer.listen()
  const rig = new CredentialRig({ clock: clock.now, ticks: clock.now, seal: makeSeal(randomBytes(32)) })
  const steps = transitions(rig)
  await rig.stage.change(
    new Map<string, CredentialProvider>([
      ['prepares', issuer.provider(true)],
      ['asks', issuer.provider(false)],
    ]),
  )
  const all = Array.from({ length: tasks }, (_, at): PermitSketch & { readonly id: string } => {
    const id = `t_${at}`
    return { id, provider: at % 2 === 0 ? 'prepares' : 'asks', task: { id, expires: clock.now() + 600_000 } }
  })
  for (const { task } of all) rig.open(task)
  Object.assign(issuer.share, { PUT: 0.6, POST: 0.6, DELETE: 0.7 })

  // each asks up to three times, as agents do; some end while they still ask
  await inWaves(all, async (sketch) => {
    for (let attempt = 0; attempt < 3; attempt++) {
      const call = Promise.resolve(rig.stage.credential(permitFor(sketch))).catch(() => null)
      if (sketch.id.endsWith('7')) await rig.stage.revokeTask(sketch.id, 'completed')
      if ((await call) !== null) return
    }
  })
  const lent = rig.stage.sizes().out
  expect(lent).toBeGreaterThan(tasks / 10)

  // near their end they are renewed, or replaced where the issuer fails
  clock.move(55_000)
  await inWaves(all, async (sketch) => {
    for (let attempt = 0; attempt < 2; attempt++) await Promise.resolve(rig.stage.credential(permitFor(sketch))).catch(() => null)
  })

  await inWaves(all, ({ id }) => rig.stage.revokeTask(id, 'completed'))
  expect(rig.stage.sizes().out).toBe(0)
  const failing = rig.stage.sizes().ending
  expect(failing).toBeGreaterThan(10)
  issuer.share['DELETE'] = 0.3
  for (let second = 0; second < 900 && rig.stage.sizes().ending > 0; second++) {
    clock.move(1000)
    await rig.stage.tick()
  }
  await rig.stage.close()

  expect(rig.stage.sizes()).toEqual({ out: 0, ending: 0, overdue: 0 })
  const rows = new Map(rig.rows().map((row) => [row.id, row]))
  expect([...rows.values()].filter(({ state }) => ['issuing', 'live', 'revoking'].includes(state))).toEqual([])
  // what lives on is what nobody could take back, and the row says so
  const left = [...issuer.lives.keys()].map((lease) => rows.get(lease) ?? ({ id: lease } as LeaseRow))
  expect(left.filter(({ state, revocation }) => state !== 'orphaned' || revocation !== 'expiry')).toEqual([])
  expect(left.filter(({ provider }) => provider === 'prepares')).toEqual([])
  expect([...rows.values()].filter(({ sealed }) => sealed !== null)).toEqual([])
  const bad = [...steps.values()].flatMap((path) => path.slice(1).filter((to, at) => !legal[path[at] ?? 'issuing'].includes(to)))
  expect(bad).toEqual([])
  // the faults were there
  for (const verb of ['PUT', 'POST', 'DELETE']) expect([...issuer.counted.keys()].filter((what) => what.startsWith(verb)).length).toBe(8)
  for (const kind of [
    'lease.renewed',
    'lease.renewal-failed',
    'lease.revocation-failed',
    'lease.revocation-overdue',
    'lease.orphaned',
    'lease.revoked',
  ])
    expect(rig.kinds()).toContain(kind)
  console.log(`leases: ${rows.size} rows, ${lent} lent, ${failing} revocations failed at first, ${left.length} left to their expiry`)
}, 120_000)

async function inWaves<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items]
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next)
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}

/** The states that each lease goes through, in order. */
function transitions({ state }: CredentialRig): ReadonlyMap<string, readonly LeaseState[]> {
  const steps = new Map<string, LeaseState[]>()
  const put = state.putLease.bind(state)
  const change = state.changeLease.bind(state)
  state.putLease = (row) => {
    steps.set(row.id, [row.state])
    return put(row)
  }
  state.changeLease = (id, from, to) => {
    const row = change(id, from, to)
    const path = steps.get(id)
    if (row !== null && path?.at(-1) !== row.state) path?.push(row.state)
    return row
  }
  return steps
}
