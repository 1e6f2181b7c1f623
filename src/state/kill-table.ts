/** Kills: the engaged ones in memory, all of them in the state file. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Killable, KillBook, KillRow, KillScope } from './kills.ts'

type Named = Exclude<KillScope, 'everything'>

/** What stops first where several kills cover: the widest. */
const named: readonly Named[] = ['trust-domain', 'owner', 'agent', 'task', 'route', 'tool']

/** `KillBook` on SQLite. A kill is in force before it is written, and stays so when it cannot be; a lift is written before it is true. */
export class KillTable implements KillBook {
  /** Written by `engage` and `lift`. */
  #everything: KillRow | null = null
  readonly #named: Readonly<Record<Named, Map<string, KillRow>>>
  #engaged = 0
  /** In force and not in the file: what `writeDirty` has to write. */
  readonly #unwritten = new Set<KillRow>()
  readonly #put: StatementSync
  readonly #all: StatementSync

  constructor(db: DatabaseSync) {
    this.#named = {
      'trust-domain': new Map(),
      owner: new Map(),
      agent: new Map(),
      task: new Map(),
      route: new Map(),
      tool: new Map(),
    }
    this.#put = db.prepare(
      'INSERT INTO kills (id, lifted, row) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET lifted = excluded.lifted, row = excluded.row',
    )
    this.#all = db.prepare('SELECT row FROM kills ORDER BY id DESC')
    for (const { row } of db.prepare('SELECT row FROM kills WHERE lifted IS NULL ORDER BY id').all()) {
      const kill = decode(row)
      if (kill !== null) this.#keep(kill)
    }
  }

  get engaged(): number {
    return this.#engaged
  }

  engage(row: KillRow): KillRow {
    const before = this.#find(row.scope, row.name)
    if (before !== null) return before
    this.#keep(row)
    try {
      this.#write(row)
    } catch (error) {
      this.#unwritten.add(row)
      throw error
    }
    return row
  }

  lift(id: string, lifted: NonNullable<KillRow['lifted']>): KillRow | null {
    const row = this.kills().find((kill) => kill.id === id)
    if (row === undefined) return null
    const after = { ...row, lifted }
    this.#write(after)
    if (row.scope === 'everything') this.#everything = null
    else this.#named[row.scope].delete(row.name ?? '')
    this.#engaged--
    this.#unwritten.delete(row)
    return after
  }

  /** Newest first: ids grow with time. */
  kills({ all = false }: { readonly all?: boolean } = {}): readonly KillRow[] {
    const found = new Map<string, KillRow>()
    if (this.#everything !== null) found.set(this.#everything.id, this.#everything)
    for (const scope of named) for (const row of this.#named[scope].values()) found.set(row.id, row)
    if (all)
      for (const { row } of this.#all.all()) for (const kill of [decode(row) ?? []].flat()) found.set(kill.id, found.get(kill.id) ?? kill)
    return [...found.values()].sort((a, b) => (a.id < b.id ? 1 : -1))
  }

  covering(about: Killable): KillRow | null {
    if (this.#engaged === 0) return null
    if (this.#everything !== null) return this.#everything
    const { 'trust-domain': domains, owner, agent, task, route, tool } = this.#named
    return (
      domains.get(about.trustDomain) ??
      firstOf(owner, about.owners) ??
      agent.get(about.agent) ??
      agent.get(about.caller) ??
      agent.get(patternOf(about.caller)) ??
      firstOf(task, about.tasks) ??
      (about.route === null ? undefined : route.get(about.route)) ??
      (about.tool === null ? undefined : tool.get(about.tool)) ??
      null
    )
  }

  get dirty(): number {
    return this.#unwritten.size
  }

  /** Writes what could not be written when it was engaged; the marks stay until `clean`. */
  writeDirty(): void {
    for (const row of this.#unwritten) this.#write(row)
  }

  clean(): void {
    this.#unwritten.clear()
  }

  #find(scope: KillScope, name: string | null): KillRow | null {
    return scope === 'everything' ? this.#everything : (this.#named[scope].get(name ?? '') ?? null)
  }

  #keep(row: KillRow): void {
    if (row.scope === 'everything') this.#everything = row
    else this.#named[row.scope].set(row.name ?? '', row)
    this.#engaged++
  }

  #write(row: KillRow): void {
    this.#put.run(row.id, row.lifted?.at ?? null, JSON.stringify(row))
  }
}

/** Whether this one kill covers that. */
export function covers({ scope, name }: Pick<KillRow, 'scope' | 'name'>, about: Killable): boolean {
  switch (scope) {
    case 'everything':
      return true
    case 'trust-domain':
      return about.trustDomain === name
    case 'owner':
      return name !== null && about.owners.includes(name)
    case 'agent':
      return about.agent === name || about.caller === name || patternOf(about.caller) === name
    case 'task':
      return name !== null && about.tasks.includes(name)
    case 'route':
      return about.route !== null && about.route === name
    case 'tool':
      return about.tool !== null && about.tool === name
    default:
      // a scope that nobody knows stops all it may have meant
      return true
  }
}

function firstOf(kills: ReadonlyMap<string, KillRow>, names: readonly string[]): KillRow | undefined {
  if (kills.size === 0) return undefined
  for (const name of names) {
    const kill = kills.get(name)
    if (kill !== undefined) return kill
  }
  return undefined
}

/** The one pattern that covers a SPIFFE ID: its last path segment replaced by `*`. */
function patternOf(caller: string): string {
  return `${caller.slice(0, caller.lastIndexOf('/') + 1)}*`
}

/** Rows are ours: nobody else writes the file. */
function decode(text: unknown): KillRow | null {
  return typeof text === 'string' ? (JSON.parse(text) as KillRow) : null
}
