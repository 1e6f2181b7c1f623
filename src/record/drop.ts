/** What `system/log/drop` may keep from sinks: never from the ledger, and never what was refused, asked, observed or approved. */

import type { Engine } from '../decide/engine.ts'

export interface DropOptions {
  /** The policy in force; null when there is none. */
  readonly engine: () => Engine | null
  /** Parses JSON text; a key is never given the text of another. */
  readonly parse: (text: string) => unknown
}

/** Calls that are open although their decision was dropped; beyond this many an outcome is handed on alone. */
const mostOpen = 65_536
const decisions = /"kind":"decision"/
const outcomes = /"kind":"outcome"/

/** Tells one sink which lines it is not given. A call is dropped whole: policy is asked about its decision, the outcome follows it. */
export class Drop {
  readonly #options: DropOptions
  /** `decision_id` of dropped decisions whose outcome is still to come. */
  readonly #open = new Set<string>()

  constructor(options: DropOptions) {
    this.#options = options
  }

  /** Takes a stored line. Anything but `true` from policy, and any error, means that the line is handed on. */
  drops(line: string): boolean {
    try {
      if (this.#open.size > 0 && outcomes.test(line)) return this.#open.delete(idOf(this.#options.parse(line)))
      const engine = this.#options.engine()
      if (engine === null || !engine.answers('system/log/drop') || !decisions.test(line)) return false
      const event = this.#options.parse(line)
      if (this.#open.size >= mostOpen || !isPlainAllow(event) || engine.evaluate('system/log/drop', line) !== true) return false
      this.#open.add(idOf(event))
      return true
    } catch {
      return false
    }
  }
}

function idOf(event: unknown): string {
  const id = members(event)['decision_id']
  return typeof id === 'string' ? id : ''
}

/** The decision line of a call that no rule spoke about and nobody was asked for. Ours is under `custom`, which no agent writes to. */
function isPlainAllow(event: unknown): boolean {
  const { kind, effect, observed, approval, rules } = members(members(members(event)['custom'])['countersign'])
  const unasked = observed === undefined && (approval ?? null) === null
  return kind === 'decision' && effect === 'allow' && unasked && Array.isArray(rules) && rules.length === 0
}

function members(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
