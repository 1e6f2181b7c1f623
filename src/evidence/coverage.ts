/** Which controls were at work in a span of time or in a task, as the record shows it. */

import { isRecord, textAt, textsAt, type JsonRecord } from '../author/json-path.ts'
import { Tally } from '../author/tally.ts'
import { allFrameworks, ownControls, type Coverage, type FrameworkRow, type OwnControl } from './frameworks.ts'
import { Inside, readOwn, type OwnLine } from './own-line.ts'

export interface CoverageOptions {
  /** This task and those below it; null: all. */
  readonly task: string | null
  /** Epoch ms; null: from the beginning. */
  readonly since: number | null
  readonly damaged: (line: number, why: string) => void
}

/** How often something was at work, and where to look. */
export interface Exercise {
  readonly times: number
  /** Ids of decisions or events, the newest last, at most three. */
  readonly examples: readonly string[]
}

export interface ControlCoverage extends Exercise {
  readonly id: string
  readonly title: string
  /** Rule, code of a refusal or event → times. */
  readonly by: Readonly<Record<string, number>>
}

export interface RowCoverage extends Exercise {
  readonly id: string
  readonly title: string
  readonly status: Coverage
  /** Lines with refusals and events of the controls behind it, beside those in which a rule of it spoke (`times`). */
  readonly behind: number
  readonly query: string | null
}

export interface CoverageReport {
  readonly lines: number
  readonly calls: number
  readonly damaged: number
  /** RFC 3339; null: no line. */
  readonly first: string | null
  readonly last: string | null
  readonly controls: readonly ControlCoverage[]
  readonly frameworks: readonly { readonly framework: string; readonly title: string; readonly rows: readonly RowCoverage[] }[]
  /** Control ids of decisions that no file knows, with their counts: a policy of one's own may name more. */
  readonly unknown: Readonly<Record<string, number>>
}

const mostExamples = 3

/** Counts, and keeps the newest ids. */
class Count {
  times = 0
  readonly examples: string[] = []

  add(id: string): void {
    this.times++
    if (this.examples.at(-1) === id) return
    this.examples.push(id)
    if (this.examples.length > mostExamples) this.examples.shift()
  }
}

/** Reads a record once, in bounded memory. */
export async function coverage(lines: AsyncIterable<string | null>, { task, since, damaged }: CoverageOptions): Promise<CoverageReport> {
  const gathering = new Gathering()
  const inside = task === null ? null : new Inside(task)
  let number = 0
  let broken = 0
  for await (const text of lines) {
    if (text === '') continue
    number++
    const line = text === null ? null : readOwn(text)
    if (line === null) {
      broken++
      damaged(number, text === null ? 'it is too long' : 'it is no line of a ledger')
    } else if ((since === null || line.time >= since) && (inside === null || inside.has(line))) gathering.add(line)
  }
  return gathering.report(broken)
}

class Gathering {
  #lines = 0
  #calls = 0
  #first: number | null = null
  #last: number | null = null
  readonly #unknown = new Tally()
  readonly #controls = new Map(ownControls().map((one) => [one.id, { count: new Count(), by: new Tally() }]))
  readonly #rows = new Map<FrameworkRow, { readonly count: Count; behind: number }>()
  /** What a line may name → who counts it. */
  readonly #ofLabel = new Map<string, FrameworkRow[]>()
  readonly #ofRule = new Map<string, FrameworkRow[]>()
  readonly #controlsOf = new Map<string, OwnControl[]>()
  readonly #behind = new Map<string, FrameworkRow[]>()

  constructor() {
    for (const { annotation, rows } of allFrameworks()) {
      for (const row of rows) {
        this.#rows.set(row, { count: new Count(), behind: 0 })
        // rules name the ids of some frameworks themselves, also rules that are not ours
        if (annotation === null) for (const rule of row.rules) push(this.#ofRule, rule, row)
        else push(this.#ofLabel, row.label, row)
        for (const id of row.controls) push(this.#behind, id, row)
      }
    }
    for (const one of ownControls()) {
      for (const rule of one.rules) push(this.#controlsOf, `rule ${rule}`, one)
      for (const code of one.codes) push(this.#controlsOf, `code ${code}`, one)
      for (const event of one.events) push(this.#controlsOf, `event ${event}`, one)
    }
  }

  add({ id, time, own }: OwnLine): void {
    this.#lines++
    this.#first = Math.min(this.#first ?? time, time)
    this.#last = Math.max(this.#last ?? time, time)
    const kind = textAt(own, 'kind')
    if (kind === 'decision' || kind === 'refusal') this.#calls++
    const said = [own, ...(isRecord(own['answer']) ? [own['answer']] : [])]
    this.#spoke(id, said)
    this.#worked(id, own, said)
  }

  #spoke(id: string, said: readonly JsonRecord[]): void {
    const labels = new Set(said.flatMap((one) => textsAt(one, 'controls')))
    const rows = new Set<FrameworkRow>()
    for (const label of labels) {
      const found = this.#ofLabel.get(label)
      if (found === undefined) this.#unknown.add(label)
      for (const row of found ?? []) rows.add(row)
    }
    for (const rule of said.flatMap((one) => textsAt(one, 'rules'))) for (const row of this.#ofRule.get(rule) ?? []) rows.add(row)
    for (const row of rows) this.#rows.get(row)?.count.add(id)
  }

  #worked(id: string, own: JsonRecord, said: readonly JsonRecord[]): void {
    const code = textAt(own, 'code')
    const event = textAt(own, 'event')
    const names = [
      ...new Set(said.flatMap((one) => textsAt(one, 'rules')).map((rule) => `rule ${rule}`)),
      ...(code === '' ? [] : [`code ${code}`]),
      ...(event === '' ? [] : [`event ${event}`]),
    ]
    const controls = new Set<string>()
    const behind = new Set<FrameworkRow>()
    for (const name of names) {
      for (const control of this.#controlsOf.get(name) ?? []) {
        controls.add(control.id)
        this.#controls.get(control.id)?.by.add(name.slice(name.indexOf(' ') + 1))
        if (!name.startsWith('rule ')) for (const row of this.#behind.get(control.id) ?? []) behind.add(row)
      }
    }
    for (const control of controls) this.#controls.get(control)?.count.add(id)
    for (const row of behind) {
      const counted = this.#rows.get(row)
      if (counted !== undefined) counted.behind++
    }
  }

  report(damaged: number): CoverageReport {
    const moment = (time: number | null): string | null => (time === null ? null : new Date(time).toISOString())
    return {
      lines: this.#lines,
      calls: this.#calls,
      damaged,
      first: moment(this.#first),
      last: moment(this.#last),
      controls: ownControls().map(({ id, title }) => {
        const found = this.#controls.get(id)
        return { id, title, times: found?.count.times ?? 0, examples: found?.count.examples ?? [], by: found?.by.record() ?? {} }
      }),
      frameworks: allFrameworks().map(({ framework, title, version, rows }) => ({
        framework,
        title: `${title} ${version}`,
        rows: rows.map((row) => this.#rowOf(row)),
      })),
      unknown: this.#unknown.record(),
    }
  }

  #rowOf(row: FrameworkRow): RowCoverage {
    const { id, title, status, query } = row
    const found = this.#rows.get(row)
    return { id, title, status, times: found?.count.times ?? 0, examples: found?.count.examples ?? [], behind: found?.behind ?? 0, query }
  }
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
