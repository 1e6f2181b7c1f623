/**
 * An open loop: calls are sent at a fixed rate, whatever becomes of those before, and each is timed from the moment that it was meant to
 * leave, so that a target that stalls is charged for every call that had to wait. A program of its own, for the core of the load: it is
 * given a file with `Pace` and prints `Paced`.
 *
 * A worker keeps the time, since timers of Node come a millisecond late at most rates; all else happens on one thread.
 */

import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'

export interface Pace {
  readonly port: number
  /** Calls a second. */
  readonly rate: number
  readonly seconds: number
  /** Most calls under way. */
  readonly connections: number
  /** Whole heads of calls without a body, in turn. */
  readonly requests: readonly string[]
}

export interface Paced {
  readonly sent: number
  readonly answered: number
  /** Answers other than 200, and calls that none came for. */
  readonly wrong: number
  /** Milliseconds from the intended moment to the last byte. */
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly most: number
}

const pace: Pace = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'))
const interval = 1e9 / pace.rate
const total = Math.round(pace.rate * pace.seconds)
/** Nanoseconds. */
const now = (): number => Number(process.hrtime.bigint())
/** How long answers are waited for after the last call, ms. */
const patience = 5000

const requests: readonly Buffer[] = pace.requests.map((text) => Buffer.from(text, 'latin1'))
const nothing: Buffer = Buffer.alloc(0)
const took: number[] = []
/** Intended moments of calls for which no connection was free. */
const waiting: number[] = []
const free: Lane[] = []
let [sent, refused, broken, began] = [0, 0, 0, 0]

/** One connection, and the call that is under way on it. */
class Lane {
  readonly #socket: Socket
  #meant = 0
  /** Bytes of the answer that are still to come; -1: its head is. */
  #left = -1
  #head = ''
  #well = false

  constructor(opened: (lane: Lane) => void) {
    this.#socket = connect({ port: pace.port, host: '127.0.0.1', noDelay: true })
    this.#socket.once('connect', () => opened(this))
    this.#socket.on('data', (piece) => typeof piece !== 'string' && this.#take(piece))
    this.#socket.on('error', () => undefined)
    this.#socket.on('close', () => this.#broken())
  }

  call(meant: number): void {
    this.#meant = meant
    this.#socket.write(requests[sent % requests.length] ?? nothing)
    sent += 1
  }

  #take(piece: Buffer): void {
    let body = piece.length
    if (this.#left === -1) {
      this.#head += piece.toString('latin1')
      const end = this.#head.indexOf('\r\n\r\n')
      if (end === -1) return
      const length = /^content-length: *(\d+)/im.exec(this.#head)?.[1]
      if (length === undefined) throw new Error(`an answer without a length: ${this.#head.slice(0, end)}`)
      this.#well = this.#head.startsWith('HTTP/1.1 200')
      body = this.#head.length - end - 4
      this.#left = Number(length)
      this.#head = ''
    }
    this.#left -= body
    if (this.#left === 0) this.#done()
  }

  #done(): void {
    took.push(now() - this.#meant)
    if (!this.#well) refused += 1
    this.#left = -1
    this.#meant = 0
    const next = waiting.shift()
    if (next === undefined) free.push(this)
    else this.call(next)
    if (took.length + broken >= total) finish()
  }

  #broken(): void {
    if (this.#meant === 0) return
    broken += 1
    this.#meant = 0
    if (took.length + broken >= total) finish()
  }
}

let planned = 0

/** Sends what is due. */
function tick(): void {
  const at = now()
  for (; planned < total && began + planned * interval <= at; planned++) {
    const meant = began + planned * interval
    const lane = free.pop()
    if (lane === undefined) waiting.push(meant)
    else lane.call(meant)
  }
  if (planned === total) setTimeout(finish, patience).unref()
}

/** Wakes this thread at each moment. */
const clock = `
const { parentPort, workerData: { began, interval, total } } = require('node:worker_threads')
const cell = new Int32Array(new SharedArrayBuffer(4))
for (let at = 0; at < total; at++) {
  const left = began + at * interval - Number(process.hrtime.bigint())
  if (left > 0) Atomics.wait(cell, 0, 0, left / 1e6)
  parentPort.postMessage(null)
}
`

function finish(): void {
  const sorted = Float64Array.from(took).sort()
  const at = (share: number): number => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN) / 1e6
  const found: Paced = {
    sent,
    answered: took.length,
    wrong: refused + total - took.length,
    p50: at(0.5),
    p99: at(0.99),
    p999: at(0.999),
    most: at(1),
  }
  process.stdout.write(JSON.stringify(found), () => process.exit(0))
}

let lanes: readonly Lane[] = []
await new Promise<void>((resolve) => {
  const opened = (lane: Lane): void => {
    if (free.push(lane) === lanes.length) resolve()
  }
  lanes = Array.from({ length: pace.connections }, () => new Lane(opened))
})
// a moment for the worker to start
began = now() + 100e6
new Worker(clock, { eval: true, workerData: { began, interval, total } }).on('message', tick)
setTimeout(finish, pace.seconds * 1000 + patience + 1000).unref()
