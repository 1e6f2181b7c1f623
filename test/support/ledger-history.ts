import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** A permitted call as the ledger has it. */
export interface DecisionRow {
  readonly id: string
  readonly seq: number
  readonly path: string
  readonly caller: string
  readonly task: string
  readonly tool: string
}

export interface EventRow {
  readonly event: string
  readonly task: string | undefined
  readonly caller: string | undefined
  readonly detail: Readonly<Record<string, unknown>>
}

/** What a ledger folder says, read on from where the last reading ended. Knows nothing of the code that wrote it. */
export class LedgerHistory {
  readonly decisions = new Map<string, DecisionRow>()
  /** Request path → decisions; more than one is a fault. */
  readonly byPath = new Map<string, DecisionRow[]>()
  /** Decision id → how its outcomes ended. */
  readonly outcomes = new Map<string, string[]>()
  /** Call id → code of its refusal. */
  readonly refusals = new Map<string, string>()
  readonly events: EventRow[] = []
  readonly #folder: string
  /** File → bytes read, always to the end of a line. */
  readonly #read = new Map<string, number>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Takes in every whole line that was not read before; gives how many. */
  catchUp(): number {
    let lines = 0
    for (const name of readdirSync(this.#folder).sort()) {
      if (name.endsWith('.ndjson')) lines += this.#file(name)
    }
    return lines
  }

  /** Decisions per task, of those given or all. */
  callsPerTask(): Map<string, number> {
    const calls = new Map<string, number>()
    for (const { task } of this.decisions.values()) calls.set(task, (calls.get(task) ?? 0) + 1)
    return calls
  }

  get files(): number {
    return this.#read.size
  }

  #file(name: string): number {
    const path = join(this.#folder, name)
    const from = this.#read.get(name) ?? 0
    const bytes = Buffer.alloc(Math.max(0, statSync(path).size - from))
    const fd = openSync(path, 'r')
    try {
      readSync(fd, bytes, 0, bytes.length, from)
    } finally {
      closeSync(fd)
    }
    const end = bytes.lastIndexOf(0x0a) + 1
    this.#read.set(name, from + end)
    const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1)
    for (const line of lines) this.#take(JSON.parse(line))
    return lines.length
  }

  #take(line: { decision_id: string; input?: { request: { path: string } }; custom: { countersign: Record<string, unknown> } }): void {
    const id = line.decision_id
    const own = line.custom.countersign
    switch (own['kind']) {
      case 'decision': {
        const row = {
          id,
          seq: Number(own['seq']),
          path: line.input?.request.path ?? '',
          caller: String(own['caller']),
          task: String(own['task']),
          tool: String(own['tool']),
        }
        this.decisions.set(id, row)
        this.byPath.set(row.path, [...(this.byPath.get(row.path) ?? []), row])
        return
      }
      case 'outcome':
        this.outcomes.set(id, [...(this.outcomes.get(id) ?? []), String(own['ended'])])
        return
      case 'refusal':
        this.refusals.set(id, String(own['code']))
        return
      case 'event':
        this.events.push({
          event: String(own['event']),
          task: own['task'] as string | undefined,
          caller: own['caller'] as string | undefined,
          detail: (own['detail'] ?? {}) as Record<string, unknown>,
        })
    }
  }
}
