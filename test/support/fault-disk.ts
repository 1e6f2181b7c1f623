import { lineFaults, type LineFault } from './fault-line.ts'
import { LedgerRig, until } from './ledger-rig.ts'
import type { Cell } from './fault-table.ts'
import type { LedgerIo } from '../../src/record/ledger-io.ts'
import type { OpenRecorder } from '../../src/record/recorder.ts'
import { Refusal } from '../../src/refusal.ts'
import { verifyLedger } from '../../src/record/verify.ts'
import { sketchOutcome } from './decision.ts'

/** What each fault is at a disk. */
const meanings: Readonly<Record<LineFault, string>> = {
  refused: 'no file can be opened (EACCES)',
  'black hole': 'a sync that never ends',
  '5xx': 'every write fails (EIO)',
  slow: 'a sync that takes longer than it may',
  garbage: 'the disk keeps other bytes than it was given: no write tells, the verifier does',
  truncated: 'a write takes 7 bytes, then there is no room',
  'TLS wrong': 'no counterpart; in its place a full disk (ENOSPC)',
  flapping: 'every other write fails (EIO)',
}

/** Longest wait for a sync here, ms. */
const syncMs = 100

function failing(code: string): never {
  throw Object.assign(new Error(code), { code })
}

/** A disk that can be told to fail. */
class Disk {
  fault: LineFault | null = null
  readonly io: LedgerIo
  #writes = 0
  readonly #held: (() => void)[] = []

  constructor(io: LedgerIo) {
    this.io = {
      ...io,
      open: (path, flags) => (this.fault === 'refused' ? failing('EACCES') : io.open(path, flags)),
      write: (fd, bytes, offset, length) => this.#write(io, fd, bytes, offset, length),
      // at once, so that a busy machine is not taken for a slow disk
      sync: (_, done) => {
        const synced = (): void => done(null)
        if (this.fault === 'black hole' || this.fault === 'slow') this.#held.push(synced)
        else synced()
      },
    }
  }

  heal(): void {
    this.fault = null
    for (const release of this.#held.splice(0)) release()
  }

  #write(io: LedgerIo, fd: number, bytes: Uint8Array, offset: number, length: number): number {
    this.#writes += 1
    switch (this.fault) {
      case '5xx':
        return failing('EIO')
      case 'TLS wrong':
        return failing('ENOSPC')
      case 'flapping':
        return this.#writes % 2 === 1 ? failing('EIO') : io.write(fd, bytes, offset, length)
      case 'truncated':
        return length > 7 ? io.write(fd, bytes, offset, 7) : failing('ENOSPC')
      case 'garbage': {
        const other = Uint8Array.from(bytes)
        const at = offset + Math.floor(length / 2)
        other[at] = (other[at] ?? 0) ^ 1
        return io.write(fd, other, offset, length)
      }
      default:
        return io.write(fd, bytes, offset, length)
    }
  }
}

/** One cell for each fault, each with a ledger of its own and so many calls. */
export async function diskCells(calls: number): Promise<Cell[]> {
  const cells: Cell[] = []
  for (const fault of lineFaults) cells.push(await diskCell(fault, calls))
  return cells
}

async function diskCell(fault: LineFault, calls: number): Promise<Cell> {
  const rig = new LedgerRig()
  try {
    const disk = new Disk(rig.io())
    // a segment for every group, so that files are opened too
    const recorder = await rig.open({ durability: 'synced', io: disk.io, syncMs, segmentBytes: 1 })
    disk.fault = fault
    const answers: { readonly said: string; readonly ms: number }[] = []
    for (let at = 0; at < calls; at++) answers.push(await call(rig, recorder))
    const began = performance.now()
    disk.heal()
    await until(() => !recorder.failed)
    await rig.permitted(recorder)
    const healed = performance.now() - began
    await recorder.close()
    const { ok, firstBad } = await verifyLedger(rig.dir, recorder.publicKey())
    const found = fault === 'garbage' && !ok && firstBad !== null
    const said = answers.map((one) => (found && one.said === '200' ? '200, the verifier names the line' : one.said))
    if (!ok && !found) said.push(`the ledger does not verify: ${JSON.stringify(firstBad)}`)
    const slowest = Math.max(...answers.map(({ ms }) => ms))
    return { dependency: 'disk', fault, meaning: meanings[fault], said, slowest, healed: found ? null : healed }
  } finally {
    await rig.end()
  }
}

/** One permitted call: 200 when its line is in the ledger. */
async function call(rig: LedgerRig, recorder: OpenRecorder): Promise<{ readonly said: string; readonly ms: number }> {
  const began = performance.now()
  const entry = rig.judged(recorder)
  try {
    await entry.commit()
    entry.close(sketchOutcome())
    return { said: '200', ms: performance.now() - began }
  } catch (error) {
    const { status, code } = await entry.refuse(Refusal.from(error))
    return { said: `${status} ${code}`, ms: performance.now() - began }
  }
}
