/** Notices of approvals: channels hear of everything that is asked and answered, and the incident owner when nobody answers. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Approvals } from '../approve/approvals.ts'
import type { ApprovalNotice, Channel } from '../approve/channel.ts'
import type { LedgerEvent } from '../record/record.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import { Queue, type QueueOptions } from './queue.ts'

export interface ApprovalNoticesOptions {
  readonly approvals: Pick<Approvals, 'watch' | 'list'>
  /** Resolves when the event is in the ledger. */
  readonly event: (event: LedgerEvent) => Promise<void>
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: { warn(fields: object, message: string): void; error(fields: object, message: string): void }
  /** Told of every notice that was handed on, or was not. */
  readonly count: QueueOptions['count']
  /** How queues wait before they try again; real time by default. */
  readonly wait?: QueueOptions['wait']
}

/** Where notices go, from one configuration. */
export interface Telling {
  /** By name. */
  readonly channels: ReadonlyMap<string, Channel>
  /** Null: nobody is told of silence. `to`: the channel that tells; null: all of them. */
  readonly escalate: { readonly after: number; readonly to: string | null } | null
  /** What links begin with; null: there are none. */
  readonly publicUrl: string | null
}

/** An approval that is not over, as channels know it. */
interface Known {
  row: ApprovalRow
  /** Epoch ms of what was last said: the question, or an answer. */
  last: number
  escalated: boolean
}

const second = 1000
const closingTime = 2000

/**
 * A call waits for none of it. A notice has the same id each time it is told, so that what was told before a restart and is told again is
 * known as the same. What a channel does not take in the end is logged and counted: the approval itself is in the state, and on the page.
 */
export class ApprovalNotices {
  readonly #options: ApprovalNoticesOptions
  readonly #queues = new Map<string, Queue<ApprovalNotice>>()
  readonly #unwatch: () => void
  /** By id. Written by `#heard` and `change`. */
  readonly #known = new Map<string, Known>()
  #telling: Telling = { channels: new Map(), escalate: null, publicUrl: null }
  #timer: NodeJS.Timeout | null = null

  constructor(options: ApprovalNoticesOptions) {
    this.#options = options
    this.#unwatch = options.approvals.watch((row) => this.#heard(row))
  }

  get channels(): ReadonlyMap<string, Channel> {
    return this.#telling.channels
  }

  /** Tells through these from now on. The first time, what a process before this one left pending is told again. */
  async change(telling: Telling): Promise<void> {
    this.#telling = telling
    for (const [name, queue] of this.#queues) {
      if (telling.channels.get(name)?.deliver) continue
      queue.stop()
      this.#queues.delete(name)
    }
    const { log, count, wait = patiently } = this.#options
    for (const [name, { deliver }] of telling.channels) {
      if (deliver === null) continue
      const queue = this.#queues.get(name)
      const counted: QueueOptions['count'] = (_name, delivery) => count(`approve.${name}`, delivery)
      if (queue === undefined) this.#queues.set(name, new Queue({ deliver }, { name: `approve.${name}`, log, count: counted, wait }))
      else queue.use({ deliver })
    }
    if (this.#timer !== null) return
    this.#timer = setInterval(() => this.sweep(), second).unref()
    for (const row of await this.#options.approvals.list({ states: ['pending'], limit: 10_000 })) this.#heard(row)
  }

  /** Tells the incident owners of what nobody answers; runs every second. */
  sweep(): void {
    const { escalate } = this.#telling
    if (escalate === null) return
    const now = this.#options.clock()
    for (const known of this.#known.values()) {
      if (known.row.state !== 'pending' || known.escalated || now < known.last + escalate.after) continue
      known.escalated = true
      this.#escalate(known.row, escalate.to, now)
    }
  }

  /** Gives the queues a moment, and stops. */
  async close(): Promise<void> {
    this.#unwatch()
    if (this.#timer !== null) clearInterval(this.#timer)
    const queues = [...this.#queues.values()]
    const enough = new AbortController()
    const late = delay(closingTime, undefined, { signal: enough.signal, ref: false }).catch(() => undefined)
    await Promise.race([Promise.all(queues.map((queue) => queue.settled())), late])
    enough.abort()
    for (const queue of queues) queue.stop()
    await Promise.all(queues.map((queue) => queue.settled()))
  }

  #heard(row: ApprovalRow): void {
    const before = this.#known.get(row.id)
    const answers = row.answers.length
    const more = answers > (before?.row.answers.length ?? 0)
    if (row.state === 'expired' || row.state === 'withdrawn') this.#tell('closed', row)
    else if (before === undefined && answers === 0) this.#tell('asked', row)
    // one that is used up was answered before
    else if (more && row.state !== 'redeemed') this.#answered(row)
    if (row.state !== 'pending' && row.state !== 'approved') return void this.#known.delete(row.id)
    this.#known.set(row.id, { row, last: row.answers.at(-1)?.at ?? row.opened, escalated: !more && before?.escalated === true })
  }

  /** Breaking the glass is loud: every channel, the incident owner by name, the log. */
  #answered(row: ApprovalRow): void {
    const last = row.answers.at(-1)
    if (last?.breakGlass !== true) return this.#tell('answered', row)
    this.#options.log.warn({ approval: row.id, task: row.task, caller: row.caller, by: last.by }, 'a person broke the glass')
    this.#tell('break-glass', row, row.shown.owners['incident'] ?? null)
  }

  #escalate(row: ApprovalRow, to: string | null, now: number): void {
    const owner = row.shown.owners['incident'] ?? null
    const detail = { approval: row.id, owner, channel: to, since: row.opened }
    const event = { kind: 'approval.escalated', ...(row.task !== null && { task: row.task }), caller: row.caller, by: 'clock', detail }
    // the owner is told whether or not it could be written down: it narrows nothing and widens nothing
    this.#options
      .event(event)
      .catch(() => this.#options.log.error({ approval: row.id }, 'an escalation could not be written to the ledger'))
    this.#tell('escalated', row, owner, to, now)
  }

  #tell(
    kind: ApprovalNotice['kind'],
    row: ApprovalRow,
    owner: string | null = null,
    to: string | null = null,
    at = this.#options.clock(),
  ): void {
    const { publicUrl } = this.#telling
    const link = publicUrl === null ? null : `${publicUrl}/approvals/${row.id}`
    const id = `${row.id}.${kind}.${row.answers.length}`
    for (const [name, queue] of this.#queues) if (to === null || name === to) queue.push({ id, kind, row, link, owner, at })
  }
}

function patiently(ms: number, signal: AbortSignal): Promise<unknown> {
  return delay(ms, undefined, { signal, ref: false })
}
