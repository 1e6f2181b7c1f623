/** What goes wrong with evidence: what cannot be made, and what does not hold. */
import type { Fault } from '../record/fault.ts'

/** Evidence that cannot be made or read; the message says why, and what to do. */
export class EvidenceFault extends Error {
  readonly why: 'unknown' | 'damaged' | 'large' | 'input'

  constructor(why: EvidenceFault['why'], message: string) {
    super(message)
    this.name = 'EvidenceFault'
    this.why = why
  }
}

/** The first thing that is wrong with a set. */
export class SetMismatch extends Error {
  readonly fault: Fault
  readonly file: string
  /** Number of the ledger line that is bad; null where the fault is of the file. */
  readonly seq: number | null

  constructor(fault: Fault, file: string, detail: string, seq: number | null = null) {
    super(detail)
    this.name = 'SetMismatch'
    this.fault = fault
    this.file = file
    this.seq = seq
  }
}
