/** The lines of a task and of the tasks under it, out of a whole ledger (docs/evidence-format.md, "Which lines"). */
import { textAt, textsAt } from '../author/json-path.ts'
import { EvidenceFault } from './fault.ts'
import { IdFinder, linesWith, TextFinder } from './finders.ts'
import { detailOf, eventOf, readLine, taskOf, type EvidenceLine } from './line.ts'
import { regionsOf, type Extent } from './regions.ts'

export interface GatheredLine {
  readonly line: EvidenceLine
  /** As stored, without the LF. */
  readonly bytes: Buffer
}

/**
 * Reads what of a ledger belongs to a task, in order; at most `most` bytes of it. Looks at bytes first and parses what may be meant.
 * Rejects with EvidenceFault: `unknown` when no line is of the task.
 */
export async function gather(extent: Extent, task: string, most: number): Promise<readonly GatheredLine[]> {
  if (!/^t_[0-9A-HJKMNP-TV-Z]{26}$/.test(task)) throw new EvidenceFault('input', `${JSON.stringify(task)} is no id of a task`)
  const gathering = new Gathering(task, most)
  await gathering.own(extent)
  if (gathering.empty) throw new EvidenceFault('unknown', `no line of the ledger is of ${task}`)
  // each look may find a task further up
  while (await gathering.others(extent));
  return gathering.lines()
}

class Gathering {
  readonly #task: string
  readonly #most: number
  readonly #inside: IdFinder
  readonly #taken = new Map<number, GatheredLine>()
  #bytes = 0
  readonly #activations: GatheredLine[] = []
  /** Named by lines that were taken, and not found themselves yet. */
  readonly #wanted = new Set<string>()
  /** Looked for already. */
  readonly #sought = new Set<string>()

  constructor(task: string, most: number) {
    this.#task = task
    this.#most = most
    this.#inside = new IdFinder([task])
  }

  get empty(): boolean {
    return this.#taken.size === 0
  }

  /** All that names an inside task. */
  async own(extent: Extent): Promise<void> {
    const activated = new TextFinder('policy.activated"')
    for await (const region of regionsOf(extent)) {
      for (const bytes of linesWith(region, [this.#inside, activated])) {
        const line = readLine(bytes)
        if (line === null) continue
        if (this.#isOwn(line)) this.#take(line, bytes)
        else if (eventOf(line) === 'policy.activated') this.#activations.push({ line, bytes: Buffer.from(bytes) })
      }
    }
  }

  /** What the lines name besides: approvals, kills, outcomes of a crash, tasks above. False: nothing was left to look for. */
  async others(extent: Extent): Promise<boolean> {
    const wanted = [...this.#wanted].filter((id) => !this.#sought.has(id))
    if (wanted.length === 0) return false
    for (const id of wanted) this.#sought.add(id)
    const ids = new IdFinder(wanted)
    for await (const region of regionsOf(extent)) {
      for (const bytes of linesWith(region, [ids])) {
        const line = readLine(bytes)
        if (line !== null && !this.#taken.has(line.seq) && isOf(line, ids)) this.#take(line, bytes)
      }
    }
    return true
  }

  /** In order, with the activations of the policies that are named. */
  lines(): readonly GatheredLine[] {
    const revisions = new Map<string, number>()
    const last = [...this.#taken.keys()].reduce((most, seq) => Math.max(most, seq), 0)
    for (const { line } of this.#taken.values()) {
      for (const revision of [textAt(line.event, 'bundles.countersign.revision'), textAt(detailOf(line), 'revision')])
        revisions.set(revision, Math.min(revisions.get(revision) ?? Infinity, line.seq))
    }
    for (const [revision, first] of revisions) {
      const of = this.#activations.filter(({ line }) => textAt(detailOf(line), 'revision') === revision && line.seq < last)
      const from = of.findLast(({ line }) => line.seq < first)?.line.seq ?? 0
      for (const one of of) if (one.line.seq >= from) this.#taken.set(one.line.seq, one)
    }
    return [...this.#taken.values()].toSorted((a, b) => a.line.seq - b.line.seq)
  }

  #isOwn(line: EvidenceLine): boolean {
    const task = taskOf(line)
    const detail = detailOf(line)
    if (eventOf(line) === 'task.opened' && this.#inside.has(textAt(detail, 'parent'))) this.#inside.add(task)
    return this.#inside.has(task) || [textAt(detail, 'task'), ...textsAt(detail, 'tasks')].some((named) => this.#inside.has(named))
  }

  #take(line: EvidenceLine, bytes: Buffer): void {
    this.#bytes += bytes.length
    if (this.#bytes > this.#most)
      throw new EvidenceFault(
        'large',
        `the lines of the task are more than ${Math.round(this.#most / 2 ** 20)} MiB: export from the folder`,
      )
    this.#taken.set(line.seq, { line, bytes: Buffer.from(bytes) })
    this.#want(line)
  }

  #want(line: EvidenceLine): void {
    const { own, kind, id } = line
    const detail = detailOf(line)
    const event = eventOf(line)
    if (kind === 'decision') this.#wanted.add(id)
    if (kind === 'outcome') this.#wanted.delete(id)
    for (const approval of [textAt(own, 'approval'), textAt(own, 'asked.approval'), textAt(detail, 'approval')]) this.#wanted.add(approval)
    this.#wanted.add(textAt(detail, 'kill')).add(event === 'task.revoked' ? killOf(textAt(detail, 'cause')) : '')
    // of the tasks above, their opening alone
    if (event === 'task.opened' && (taskOf(line) === this.#task || !this.#inside.has(taskOf(line))))
      this.#wanted.add(textAt(detail, 'parent'))
    // an approval of a task, and a kill of one, is of that task in all its events: nothing of it is left to look for
    if (event === 'approval.opened' && taskOf(line) !== '') this.#sought.add(textAt(detail, 'approval'))
    if (event === 'kill.engaged' && textAt(detail, 'scope') === 'task') this.#sought.add(textAt(detail, 'kill'))
    this.#wanted.delete('')
  }
}

/** An event of one of these approvals or kills, the opening of one of these tasks, or how one of these calls ended. */
function isOf(line: EvidenceLine, ids: IdFinder): boolean {
  const detail = detailOf(line)
  if (ids.has(textAt(detail, 'approval')) || ids.has(textAt(detail, 'kill'))) return true
  return (eventOf(line) === 'task.opened' && ids.has(taskOf(line))) || (line.kind === 'outcome' && ids.has(line.id))
}

/** `killed by k_…: why`, as a task is told that is ended by a kill. */
export function killOf(cause: string): string {
  return /^killed by (k_[0-9A-HJKMNP-TV-Z]{26}):/.exec(cause)?.[1] ?? ''
}
