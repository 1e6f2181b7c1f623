import { env } from 'node:process'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { expected } from '../support/fault-answers.ts'
import type { Said } from '../support/fault-call.ts'
import { FaultCompany } from '../support/fault-company.ts'
import { diskCells } from '../support/fault-disk.ts'
import { lineFaults } from '../support/fault-line.ts'
import { dependencies, policyAge, type Lane } from '../support/fault-servers.ts'
import { recovery, tableOf, type Cell } from '../support/fault-table.ts'

/** Calls in each cell. */
const calls = env['COUNTERSIGN_LONG'] === '1' ? 20 : 2
/** Room that a busy machine gets besides each deadline, ms. */
const room = 4000

/** Those that fail and heal at the same time, each on lines of its own. */
const together = dependencies.filter((one) => one !== 'bundle')

let company: FaultCompany
/** By name of the lane. */
const during = new Map<string, readonly Said[]>()
/** Calls that reached an upstream during the fault. */
const reached = new Map<string, number>()
const healed = new Map<string, number | null>()
const disk: Cell[] = []

beforeAll(async () => {
  company = await FaultCompany.start()
  const lanes = together.flatMap((dependency) => company.lanesTo(dependency))
  await Promise.all(lanes.map(async (lane) => during.set(lane.name, await said(lane))))
  for (const lane of lanes) reached.set(lane.name, company.reached(lane).length)
  await Promise.all(
    lanes.map(async (lane) => {
      await lane.line.heal()
      healed.set(lane.name, await recovered(lane))
    }),
  )
  const [bundles] = company.lanesTo('bundle')
  for (const fault of lineFaults) if (bundles !== undefined) await outdated({ ...bundles, fault, name: `bundle ${fault}` }, bundles)
}, 240_000)

afterAll(async () => {
  console.log(`faults: ${calls} calls in each cell\n${tableOf([...cells(), ...disk])}`)
  await company[Symbol.asyncDispose]()
})

function said(lane: Lane): Promise<readonly Said[]> {
  return Promise.all(Array.from({ length: calls }, () => company.call(lane)))
}

/** Whether it came to be so before the deadline of recoveries, and a busy machine's room. */
async function within(isSo: () => Promise<boolean>): Promise<boolean> {
  return vi
    .waitFor(async () => expect(await isSo()).toBe(true), { timeout: recovery + room, interval: 25 })
    .then(
      () => true,
      () => false,
    )
}

/** Ms until all is well; infinite when that takes too long. */
async function recovered(lane: Lane): Promise<number> {
  const began = performance.now()
  const { seq } = company.running.sidecar.foundation.recorder.position()
  return (await within(() => isWell(lane, seq))) ? performance.now() - began : Number.POSITIVE_INFINITY
}

/** A call goes as it should; people hear of what is asked now; a receiver has every line up to `seq`. */
async function isWell(lane: Lane, seq: number): Promise<boolean> {
  const { dependency, name } = lane
  if (dependency === 'sink') {
    return company.running.sidecar.foundation.recorder.sinks().some((sink) => sink.name === name && sink.taken >= seq)
  }
  const { said: answer, approval } = await company.call(lane)
  if (dependency !== 'approval') return expected[dependency].well.test(answer)
  return (
    approval !== null &&
    within(async () => company.servers.hooks.seen.some(({ url, body }) => url === `/${name}` && body.includes(approval)))
  )
}

/** The policy is too old to judge and its server fails; then it is confirmed again. */
async function outdated(as: Lane, lane: Lane): Promise<void> {
  await lane.line.be(as.fault)
  company.pass(policyAge + 60_000)
  // an answer that was there before the fault may still have confirmed it
  if ((await company.call(lane)).said === '200') company.pass(policyAge + 60_000)
  const before = company.reached(lane).length
  during.set(as.name, await said(lane))
  reached.set(as.name, company.reached(lane).length - before)
  await lane.line.heal()
  healed.set(as.name, await recovered(lane))
}

/** Every cell of the dependencies behind lines. */
function cells(): Cell[] {
  return dependencies.flatMap((dependency) =>
    lineFaults.map((fault) => {
      const name =
        dependency === 'bundle' ? `bundle ${fault}` : (company.lanesTo(dependency).find((lane) => lane.fault === fault)?.name ?? '')
      const answers = during.get(name) ?? []
      return {
        dependency,
        fault,
        meaning: answers.length === 0 ? 'a Unix socket has no TLS: who may listen there is for its folder to say' : '',
        said: answers.map((one) => one.said),
        slowest: Math.max(0, ...answers.map(({ ms }) => ms)),
        healed: healed.get(name) ?? null,
      }
    }),
  )
}

describe.each(dependencies)('%s', (dependency) => {
  const { deadline, usual, other, well } = expected[dependency]

  test('each fault is answered with the right code within its deadline, and over within five seconds of its end', () => {
    for (const cell of cells().filter((one) => one.dependency === dependency && one.said.length > 0)) {
      const what = `${dependency}, ${cell.fault}`
      const wanted = other?.[cell.fault] ?? usual
      for (const one of cell.said) expect(wanted.test(one) || (cell.fault === 'flapping' && well.test(one)), `${what}: ${one}`).toBe(true)
      expect(cell.slowest, what).toBeLessThan(deadline + room)
      expect(cell.healed, what).toBeLessThan(recovery + room)
    }
  })

  test('nothing reaches an upstream but what had all its proofs, with its own credential', () => {
    for (const [name, answers] of during) {
      if (!name.startsWith(dependency) || dependency === 'upstream') continue
      expect(reached.get(name), name).toBe(answers.filter((one) => one.said === '200').length)
    }
    for (const { headers } of company.servers.upstream.seen) {
      const lent = String(headers['x-vault-token'] ?? headers.authorization)
      const own = lent.startsWith('Bearer ey') || company.servers.issued.has(lent.slice(7)) || lent.startsWith('s.')
      expect(own, lent.slice(0, 12)).toBe(true)
    }
  })
})

test('what is recorded of all that is whole, and receivers have it without a gap', async () => {
  expect(await company.running.verify()).toMatchObject({ ok: true, open: 0 })
  const lines = new Map<string, Set<number>>()
  for (const { path, body } of company.servers.receiver.taken) {
    const seqs = (JSON.parse(body.toString()) as { custom: { countersign: { seq: number } } }[]).map(
      (event) => event.custom.countersign.seq,
    )
    const own = lines.get(path) ?? new Set()
    seqs.forEach((seq) => own.add(seq))
    lines.set(path, own)
  }
  expect(lines.size).toBe(lineFaults.length)
  for (const [path, own] of lines) expect(own.size, path).toBe(Math.max(...own) - Math.min(...own) + 1)
})

test('the disk: each fault is answered with record.failed or found by the verifier, and over within five seconds', async () => {
  disk.push(...(await diskCells(calls)))
  expect(disk.map(({ fault }) => fault)).toEqual(lineFaults)
  for (const cell of disk) {
    const wanted = cell.fault === 'garbage' ? /^200, the verifier names the line$/ : /^503 record\.failed$/
    for (const one of cell.said)
      expect(wanted.test(one) || (cell.fault === 'flapping' && one === '200'), `${cell.fault}: ${one}`).toBe(true)
    expect(cell.slowest, cell.fault).toBeLessThan(room)
    if (cell.healed !== null) expect(cell.healed, cell.fault).toBeLessThan(recovery + room)
  }
})
