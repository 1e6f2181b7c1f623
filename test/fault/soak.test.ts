import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { env, platform } from 'node:process'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { developmentIssuer, type DevelopmentIssuer } from '../../src/demo/issuer.ts'
import { verifyLedger } from '../../src/record/verify.ts'
import { expected } from '../support/fault-answers.ts'
import { callBy } from '../support/fault-call.ts'
import { lineFaults } from '../support/fault-line.ts'
import { configOf, dependencies, Servers, type Lane } from '../support/fault-servers.ts'
import { Random, seedOf } from '../support/random.ts'
import { ask, configText } from '../support/running.ts'
import { SidecarProcess } from '../support/sidecar-process.ts'

/** How long, s: twenty minutes in the long form; none without it, unless somebody says so. */
const seconds = Number(env['COUNTERSIGN_SOAK'] ?? (env['COUNTERSIGN_LONG'] === '1' ? 1200 : 0))
const onLinux = platform === 'linux'
/** Calls at the same time, and how long each client rests, ms. */
const clients = 8
const rest = 120
/** A question to people is asked so often, ms: an agent that asks all the time is refused for that. */
const askEvery = 10_000
/** Growth from the second quarter to the last that is no leak: MiB of memory, open descriptors. */
const mostMemory = 32
const mostDescriptors = 32

interface Sample {
  readonly rss: number
  readonly descriptors: number
}

/** What the kernel says of the process: MiB, descriptors. */
function sampled({ pid }: SidecarProcess): Sample {
  const [, kib = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return { rss: Number(kib) / 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length }
}

function middle(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0
}

/** A process with one line to each dependency, that fail one after the other, at times several at once. */
class Soak {
  readonly tally = new Map<string, number>()
  readonly faults = new Map<string, number>()
  readonly strange: string[] = []
  readonly samples: Sample[] = []
  readonly #servers: Servers
  readonly #lanes: readonly Lane[]
  readonly #running: SidecarProcess
  readonly #issuer: DevelopmentIssuer
  readonly #random: Random
  readonly #end = performance.now() + seconds * 1000

  constructor(servers: Servers, lanes: readonly Lane[], running: SidecarProcess, issuer: DevelopmentIssuer, random: Random) {
    this.#servers = servers
    this.#lanes = lanes
    this.#running = running
    this.#issuer = issuer
    this.#random = random
  }

  async run(): Promise<void> {
    const calling = Array.from({ length: clients }, () => this.#client())
    await Promise.all([...calling, this.#asking(), this.#failing(), this.#failing(), this.#sampling()])
    for (const { line } of this.#lanes) await line.heal()
  }

  get #on(): boolean {
    return performance.now() < this.#end && this.#running.alive
  }

  async #client(): Promise<void> {
    const lanes = this.#lanes.filter(({ dependency }) => dependency !== 'approval')
    while (this.#on) {
      await this.#call(this.#random.pick(lanes))
      await wait(rest)
    }
  }

  async #asking(): Promise<void> {
    const lane = this.#lanes.find(({ dependency }) => dependency === 'approval')
    if (lane === undefined) return
    while (this.#on) {
      await this.#call(lane)
      await wait(Math.min(askEvery, seconds * 100))
    }
  }

  async #call(lane: Lane): Promise<void> {
    const { said } = await callBy(lane, this.#servers, this.#running.port(), this.#issuer)
    const { usual, other = {}, well } = expected[lane.dependency]
    const known = [usual, well, ...Object.values(other)].some((one) => one.test(said))
    this.tally.set(`${lane.dependency} ${said}`, (this.tally.get(`${lane.dependency} ${said}`) ?? 0) + 1)
    if (!known) this.strange.push(`${lane.dependency}: ${said}`)
  }

  /** A line fails for a while, then is well for a while; TLS is left out, for these lines speak plainly. */
  async #failing(): Promise<void> {
    const some = lineFaults.filter((fault) => fault !== 'TLS wrong')
    while (this.#on) {
      const lane = this.#random.pick(this.#lanes)
      if (lane.line.fault !== null) {
        await wait(rest)
        continue
      }
      const fault = this.#random.pick(some)
      const what = `${lane.dependency} ${fault}`
      this.faults.set(what, (this.faults.get(what) ?? 0) + 1)
      await lane.line.be(fault)
      await wait(500 + this.#random.below(4000))
      await lane.line.heal()
      await wait(this.#random.below(1000))
    }
  }

  async #sampling(): Promise<void> {
    while (this.#on) {
      if (onLinux) this.samples.push(sampled(this.#running))
      await wait(Math.min(5000, seconds * 20))
    }
  }
}

test.skipIf(seconds === 0)(
  `${seconds} s of random faults end no process, and its memory and descriptors stay flat (${seconds === 0 ? 'long form only' : 'the long form'})`,
  async () => {
    const seed = seedOf(env)
    await using servers = new Servers()
    await servers.start()
    const lanes = await Promise.all(dependencies.map((dependency) => servers.lane(dependency, 'refused')))
    const issuer = await developmentIssuer('acme.example')
    writeFileSync(servers.file('bundle.json'), issuer.bundle)
    writeFileSync(servers.file('countersign.yaml'), configText(configOf(servers, lanes)))
    await using running = await SidecarProcess.start(servers.file('countersign.yaml'))
    await vi.waitFor(async () => expect((await ask(running.port('health'), '/readyz')).status).toBe(200), { timeout: 20_000, interval: 50 })
    const soak = new Soak(servers, lanes, running, issuer, new Random(seed))
    await soak.run()
    expect(running.alive, running.logged.slice(-3).join('\n')).toBe(true)
    const quarter = (at: number): readonly Sample[] =>
      soak.samples.slice((soak.samples.length * at) / 4, (soak.samples.length * (at + 1)) / 4)
    const grown = (of: keyof Sample): number => middle(quarter(3).map((one) => one[of])) - middle(quarter(1).map((one) => one[of]))
    const calls = [...soak.tally.values()].reduce((sum, one) => sum + one, 0)
    console.log(
      `soak: seed ${seed}, ${seconds} s, ${calls} calls, ${[...soak.faults.values()].reduce((sum, one) => sum + one, 0)} faults of ${soak.faults.size} kinds; ` +
        `memory ${grown('rss').toFixed(1)} MiB and descriptors ${grown('descriptors')} more in the last quarter than in the second\n` +
        JSON.stringify(Object.fromEntries([...soak.tally].toSorted(([one], [other]) => (one < other ? -1 : 1)))),
    )
    expect(soak.strange).toEqual([])
    await vi.waitFor(async () => expect((await ask(running.port('health'), '/readyz')).status).toBe(200), { timeout: 5000, interval: 50 })
    expect(grown('rss')).toBeLessThan(mostMemory)
    expect(grown('descriptors')).toBeLessThan(mostDescriptors)
    expect(await running.stop()).toBe(0)
    expect(await verifyLedger(join(servers.folder, 'ledger'), running.key)).toMatchObject({ ok: true, open: 0 })
  },
  (seconds + 300) * 1000,
)
