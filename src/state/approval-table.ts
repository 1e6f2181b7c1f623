/** Approvals: the open ones in memory, all of them in the state file. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { ApprovalAnswer, ApprovalBook, ApprovalRow, ApprovalState, Objective, Wanted } from './approvals.ts'

/** Somebody may still answer it, or some call use it. */
const openStates: ReadonlySet<ApprovalState> = new Set(['pending', 'approved'])
const mostListed = 500

/**
 * `ApprovalBook` on the state file. Openings, answers and ends are written before they are true in memory; a use is true in the tick of the
 * mint and reaches the file with `flush`. What the approver saw of a body is kept no longer than it is open.
 */
export class ApprovalTable implements ApprovalBook {
  /** Open ones by id and by task. Written by `#keep` and `#forget`; a row that was used up stays until it is written. */
  readonly #open = new Map<string, ApprovalRow>()
  readonly #byTask = new Map<string | null, Set<string>>()
  /** Caller → how many are pending. Written by `#count`. */
  readonly #pending = new Map<string, number>()
  /** Used since the last flush. */
  readonly #dirty = new Set<string>()
  readonly #put: StatementSync
  readonly #get: StatementSync
  readonly #list: StatementSync
  readonly #latest: StatementSync

  constructor(db: DatabaseSync) {
    this.#put = db.prepare(
      'INSERT INTO approvals (id, task, state, expires, row) VALUES (?, ?, ?, ?, ?)' +
        ' ON CONFLICT (id) DO UPDATE SET state = excluded.state, expires = excluded.expires, row = excluded.row',
    )
    this.#get = db.prepare('SELECT row FROM approvals WHERE id = ?')
    this.#list = db.prepare('SELECT row FROM approvals WHERE (?1 IS NULL OR task = ?1) ORDER BY rowid DESC')
    this.#latest = db.prepare("SELECT row FROM approvals WHERE row ->> '$.digest' = ?2 AND task IS ?1 ORDER BY rowid DESC LIMIT 1")
    for (const { row } of db.prepare("SELECT row FROM approvals WHERE state IN ('pending', 'approved')").all()) {
      const open = decode(row)
      if (open !== null) this.#keep(open)
    }
  }

  open(row: ApprovalRow): ApprovalRow {
    for (const known of this.#ofTask(row.task)) if (known.state === 'pending' && known.digest === row.digest) return known
    return this.#change(row)
  }

  approval(id: string): ApprovalRow | null {
    return this.#open.get(id) ?? decode(this.#get.get(id)?.['row'])
  }

  approvals(filter: {
    readonly task?: string
    readonly states?: readonly ApprovalState[]
    readonly limit?: number
  }): readonly ApprovalRow[] {
    const { task, states, limit = mostListed } = filter
    const wanted = (row: ApprovalRow): boolean => states === undefined || states.includes(row.state)
    const onlyOpen = states !== undefined && states.every((state) => openStates.has(state))
    const found: ApprovalRow[] = []
    if (onlyOpen) {
      for (const row of task === undefined ? this.#open.values() : this.#ofTask(task)) if (wanted(row)) found.push(row)
      return found.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit)
    }
    for (const { row } of this.#list.iterate(task ?? null)) {
      const written = decode(row)
      const current = written && (this.#open.get(written.id) ?? written)
      if (current !== null && wanted(current)) found.push(current)
      if (found.length >= limit) break
    }
    return found
  }

  latest({ task, digest }: Pick<Wanted, 'task' | 'digest'>): ApprovalRow | null {
    const row = decode(this.#latest.get(task, digest)?.['row'])
    return row && (this.#open.get(row.id) ?? row)
  }

  pending(caller?: string): number {
    if (caller === undefined) return this.#pending.values().reduce((sum, count) => sum + count, 0)
    return this.#pending.get(caller) ?? 0
  }

  answer(
    id: string,
    answer: ApprovalAnswer,
    grant: { readonly expires: number; readonly objective: Objective | null },
  ): ApprovalRow | null {
    const row = this.#open.get(id)
    if (row?.state !== 'pending' || row.answers.some(({ by }) => by === answer.by)) return null
    const answers = [...row.answers, answer]
    if (answer.verdict === 'decline')
      return this.#change({ ...row, answers, state: 'declined', closed: { at: answer.at, by: answer.by, reason: answer.reason } })
    if (!answer.breakGlass && people(answers) < row.quorum) return this.#change({ ...row, answers })
    const { expires, objective } = grant
    return this.#change({ ...row, answers, state: 'approved', granted: answer.at, expires, objective })
  }

  close(id: string, to: 'expired' | 'withdrawn', closed: NonNullable<ApprovalRow['closed']>): ApprovalRow | null {
    const row = this.approval(id)
    if (row === null) return null
    const may = openStates.has(row.state) || (to === 'withdrawn' && row.state === 'redeemed')
    return may ? this.#change({ ...row, state: to, closed }) : null
  }

  overdue(now: number): readonly ApprovalRow[] {
    const late: ApprovalRow[] = []
    for (const row of this.#open.values()) if (openStates.has(row.state) && row.expires <= now) late.push(row)
    return late
  }

  usable({ task, caller, digest, tool }: Wanted, now: number): readonly ApprovalRow[] {
    const exact: ApprovalRow[] = []
    const objectives: ApprovalRow[] = []
    for (const row of this.#ofTask(task)) {
      if (!isUsable(row, now)) continue
      if (row.objective === null) {
        if (row.digest === digest) exact.push(row)
      } else if (tool !== null && row.objective.tools.some((pattern) => fits(pattern, tool))) objectives.push(row)
    }
    const wide = tool === null || caller === undefined ? [] : this.#wide(caller, tool, now)
    // newest first: an older answer was given before people knew better
    return [...exact.reverse(), ...objectives.reverse(), ...wide.reverse()]
  }

  redeemable(id: string, { task, caller }: { readonly task: string; readonly caller: string }, now: number): boolean {
    const row = this.#open.get(id)
    if (row === undefined || row.matter !== 'call' || !isUsable(row, now)) return false
    return row.task === task || (row.task === null && row.objective !== null && row.caller === caller)
  }

  redeem(id: string, now: number): boolean {
    const row = this.#open.get(id)
    if (row === undefined || !isUsable(row, now)) return false
    const used = row.used + 1
    const last = used >= (row.objective?.calls ?? 1)
    const closed = last ? { at: now, by: row.caller, reason: 'it was used' } : null
    this.#keep({ ...row, used, state: last ? 'redeemed' : 'approved', closed })
    this.#dirty.add(id)
    return true
  }

  spend(id: string, now: number, opens: string | null): ApprovalRow | null {
    const row = this.#open.get(id)
    if (row === undefined || row.objective !== null || !isUsable(row, now)) return null
    const closed = { at: now, by: row.caller, reason: 'it was used' }
    return this.#change({ ...row, used: 1, state: 'redeemed', closed, ...(opens !== null && { opens }) })
  }

  get dirty(): number {
    return this.#dirty.size
  }

  /** Writes what is dirty; the marks stay until `clean`, for the transaction may yet fail. */
  writeDirty(): void {
    for (const id of this.#dirty) {
      const row = this.#open.get(id)
      if (row !== undefined) this.#write(withoutBody(row))
    }
  }

  clean(): void {
    for (const id of this.#dirty) {
      const row = this.#open.get(id)
      if (row !== undefined && !openStates.has(row.state)) this.#forget(row)
    }
    this.#dirty.clear()
  }

  /** Objectives for every task of a caller. */
  #wide(caller: string, tool: string, now: number): ApprovalRow[] {
    const covering = ({ objective }: ApprovalRow): boolean => objective?.tools.some((pattern) => fits(pattern, tool)) === true
    return [...this.#ofTask(null)].filter((row) => row.caller === caller && row.matter === 'call' && isUsable(row, now) && covering(row))
  }

  /** Writes through, then keeps. */
  #change(given: ApprovalRow): ApprovalRow {
    const row = withoutBody(given)
    this.#write(row)
    this.#dirty.delete(row.id)
    if (openStates.has(row.state)) this.#keep(row)
    else this.#forget(row)
    return row
  }

  #write(row: ApprovalRow): void {
    this.#put.run(row.id, row.task, row.state, row.expires, JSON.stringify(row))
  }

  *#ofTask(task: string | null): Iterable<ApprovalRow> {
    for (const id of this.#byTask.get(task) ?? []) {
      const row = this.#open.get(id)
      if (row !== undefined) yield row
    }
  }

  #keep(row: ApprovalRow): void {
    this.#count(this.#open.get(row.id), row)
    this.#open.set(row.id, row)
    let own = this.#byTask.get(row.task)
    if (own === undefined) this.#byTask.set(row.task, (own = new Set()))
    own.add(row.id)
  }

  #forget(row: ApprovalRow): void {
    this.#count(this.#open.get(row.id), undefined)
    this.#open.delete(row.id)
    const own = this.#byTask.get(row.task)
    own?.delete(row.id)
    if (own?.size === 0) this.#byTask.delete(row.task)
  }

  #count(before: ApprovalRow | undefined, after: ApprovalRow | undefined): void {
    const change = Number(after?.state === 'pending') - Number(before?.state === 'pending')
    const caller = (after ?? before)?.caller
    if (change === 0 || caller === undefined) return
    const left = this.pending(caller) + change
    if (left > 0) this.#pending.set(caller, left)
    else this.#pending.delete(caller)
  }
}

/** How many different people said yes, as far as it is proven that they differ. */
function people(answers: readonly ApprovalAnswer[]): number {
  return new Set(answers.flatMap(({ verdict, method, by }) => (verdict === 'approve' ? [method === 'local-key' ? method : by] : []))).size
}

function isUsable({ state, expires, objective, used }: ApprovalRow, now: number): boolean {
  return state === 'approved' && now < expires && (objective === null ? used === 0 : used < objective.calls && now < objective.until)
}

function fits(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function withoutBody(row: ApprovalRow): ApprovalRow {
  return openStates.has(row.state) || row.shown.body === null ? row : { ...row, shown: { ...row.shown, body: null } }
}

/** Rows are ours: nobody else writes the file. */
function decode(text: unknown): ApprovalRow | null {
  return typeof text === 'string' ? (JSON.parse(text) as ApprovalRow) : null
}
