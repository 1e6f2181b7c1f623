import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { env } from 'node:process'
import { expect, test } from 'vitest'
import type { LedgerIo } from '../../src/record/ledger-io.ts'
import { verifyLedger } from '../../src/record/verify.ts'
import { sketchOutcome } from '../support/decision.ts'
import { LedgerRig } from '../support/ledger-rig.ts'
import { Random, seedOf } from '../support/random.ts'

/** Runs, each cut at every one of its calls to the disk. */
const runs = env['COUNTERSIGN_LONG'] === '1' ? 200 : 1

/** A segment when the power went. */
interface Lying {
  readonly name: string
  /** As programs saw it. */
  readonly bytes: Buffer
  /** So many of them are sure to last. */
  readonly synced: number
  /** Whether its name is. */
  readonly named: boolean
}

interface Cut {
  readonly files: readonly Lying[]
  /** Calls whose decision was acknowledged before. */
  readonly acknowledged: ReadonlySet<string>
}

/** A disk that knows what of it outlives a loss of power: bytes that were synced since they were written, names whose folder was. */
class Disk {
  readonly cuts: Cut[] = []
  readonly acknowledged = new Set<string>()
  readonly io: LedgerIo
  readonly #dir: string
  readonly #synced = new Map<string, number>()
  readonly #named = new Set<string>()
  readonly #paths = new Map<number, string>()

  constructor(dir: string, io: LedgerIo) {
    this.#dir = dir
    const pathOf = (fd: number): string => this.#paths.get(fd) ?? ''
    this.io = {
      ...io,
      open: (path, flags) => {
        const fd = io.open(path, flags)
        this.#paths.set(fd, path)
        this.#look()
        return fd
      },
      write: (fd, bytes, offset, length) => this.#after(() => io.write(fd, bytes, offset, length)),
      sync: (fd, done) => {
        const { size } = statSync(pathOf(fd))
        io.sync(fd, (error) => {
          if (error === null) this.#synced.set(pathOf(fd), size)
          this.#look()
          done(error)
        })
      },
      syncNow: (fd) => {
        io.syncNow(fd)
        if (pathOf(fd) === this.#dir) for (const name of readdirSync(this.#dir)) this.#named.add(name)
        else this.#synced.set(pathOf(fd), statSync(pathOf(fd)).size)
        this.#look()
      },
    }
  }

  #after<Result>(act: () => Result): Result {
    const result = act()
    this.#look()
    return result
  }

  /** The power may go now. */
  #look(): void {
    const segments = readdirSync(this.#dir).filter((name) => name.endsWith('.ndjson'))
    const files = segments.map((name) => ({
      name,
      bytes: readFileSync(join(this.#dir, name)),
      synced: this.#synced.get(join(this.#dir, name)) ?? 0,
      named: this.#named.has(name),
    }))
    this.cuts.push({ files, acknowledged: new Set(this.acknowledged) })
  }
}

const remains = ['only what was synced', 'a part of the rest', 'the rest as zeros'] as const

/** What is found of a file when the power is back; null: nothing. */
function foundOf({ bytes, synced, named }: Lying, remain: (typeof remains)[number], random: Random): Buffer | null {
  if (!named && remain === 'only what was synced') return null
  const part = synced + random.below(bytes.length - synced + 1)
  if (remain === 'only what was synced') return bytes.subarray(0, synced)
  if (remain === 'a part of the rest') return bytes.subarray(0, part)
  return Buffer.concat([bytes.subarray(0, part), Buffer.alloc(bytes.length - part)])
}

async function traffic(rig: LedgerRig, disk: Disk, random: Random): Promise<void> {
  const recorder = await rig.open({ durability: 'synced', io: disk.io, segmentBytes: 5000 })
  for (let round = 0; round < 4; round++) {
    const calls = Array.from({ length: 1 + random.below(3) }, async () => {
      const call = rig.call()
      const entry = rig.judged(recorder, call)
      await entry.commit()
      disk.acknowledged.add(call.id)
      if (random.next() < 0.8) entry.close(sketchOutcome())
    })
    await Promise.all(calls)
    if (random.next() < 0.5) await recorder.checkpoint()
  }
}

test(
  'a loss of power at any call to the disk loses no acknowledged decision of a synced ledger, however its last bytes are torn',
  async () => {
    const seed = seedOf(env)
    let cuts = 0
    for (let run = 0; run < runs; run++) {
      const random = new Random(seed + run)
      const rig = new LedgerRig()
      const disk = new Disk(rig.dir, rig.io())
      await traffic(rig, disk, random)
      for (const [at, cut] of disk.cuts.entries()) {
        const remain = remains[(at + run) % remains.length] ?? 'only what was synced'
        await comesBack(rig, cut, remain, random, `seed ${seed + run}, cut ${at}, ${remain}`)
        cuts += 1
      }
      await rig.end()
    }
    console.log(`power: seed ${seed}, ${runs} runs, ${cuts} cuts, none lost an acknowledged decision`)
    expect(cuts).toBeGreaterThan(20 * runs)
  },
  env['COUNTERSIGN_LONG'] === '1' ? 1_800_000 : 60_000,
)

async function comesBack(before: LedgerRig, cut: Cut, remain: (typeof remains)[number], random: Random, what: string): Promise<void> {
  const rig = new LedgerRig()
  Object.assign(rig, { key: before.key, now: before.now })
  try {
    mkdirSync(rig.dir, { recursive: true })
    for (const file of cut.files) {
      const found = foundOf(file, remain, random)
      if (found !== null) writeFileSync(join(rig.dir, basename(file.name)), found)
    }
    const recorder = await rig.open({ durability: 'synced' })
    await rig.permitted(recorder)
    await recorder.close()
    expect(await verifyLedger(rig.dir, recorder.publicKey()), what).toMatchObject({ ok: true, firstBad: null, open: 0 })
    const decided = rig.ofKind('decision').map((line) => line.decision_id)
    for (const id of cut.acknowledged) expect(decided, what).toContain(id)
    expect(new Set(rig.ofKind('outcome').map((line) => line.decision_id)), what).toEqual(new Set(decided))
  } finally {
    await rig.end()
  }
}
