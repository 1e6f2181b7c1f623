/** Kills by rule: a task or an agent that is refused too often, leaves its intent too far, or misuses a credential, is stopped without a person. */
import type { CallNotice } from '../approve/oblige.ts'
import type { Decision } from '../decide/decide.ts'
import type { Call } from '../listen/call.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { CountBook } from '../state/counted.ts'
import type { TaskFacts } from '../state/state.ts'
import type { Agent } from '../task/agents.ts'
import type { Kills } from './kills.ts'
import { presentedSecrets } from './presented.ts'

/** One rule of `task.stops`; times in ms. */
export interface StopRule {
  readonly id: string
  readonly when:
    | { readonly denials: number; readonly in: number }
    | { readonly divergence: number }
    | { readonly credential_misuse: number; readonly in: number }
  readonly scope: 'task' | 'agent'
  /** Notifiers that hear of it. */
  readonly notify: readonly string[]
}

export interface StopsOptions {
  readonly rules: readonly StopRule[]
  readonly kills: Pick<Kills, 'engage'>
  /** Outlives a restart and a reload: neither gives an agent anything back. */
  readonly counts: CountBook
  /** Facts of a task as they are now. */
  readonly facts: (task: string, caller: string) => TaskFacts
  /** A live lease by the digest of its secret, `sha256:…`; null when none of ours has it. */
  readonly lent: (digest: string) => { readonly row: LeaseRow; readonly standing: boolean } | null
  readonly agent: (caller: string) => Agent | null
  readonly notify: (notice: CallNotice) => Promise<void>
  readonly clock: () => number
  readonly log: { warn(fields: object, message: string): void; error(fields: object, message: string): void }
}

/** Whose doing it was. */
interface Blamed {
  readonly task: string
  readonly caller: string
  /** The registration. */
  readonly agent: string
  readonly owners: Agent['owners']
  readonly call: string
  readonly tool: string
}

type Counted = 'denials' | 'credential_misuse'

/** Costs a few look-ups per refusal; an allowed call costs nothing, or one look at its facts where a rule watches divergence. */
export class Stops {
  /** Whether minted calls, and credentials, are to be told of. */
  readonly watchesMints: boolean
  readonly watchesCredentials: boolean
  readonly #options: StopsOptions

  constructor(options: StopsOptions) {
    this.#options = options
    this.watchesMints = options.rules.some(({ when }) => 'divergence' in when)
    this.watchesCredentials = options.rules.some(({ when }) => 'credential_misuse' in when)
  }

  /** Policy refused a call, and the facts of its task say so by now. Never throws. */
  denied(decision: Decision): void {
    const { question, effect, refusedBy } = decision
    const blamed = blamedFor(decision)
    if (effect === 'deny') this.#count('denials', blamed, { rules: [...new Set(refusedBy.map(({ rule }) => rule))] })
    this.#diverged(blamed)
    if (this.watchesCredentials) this.#look(question.call, blamed)
  }

  /** A permit was minted: what it swapped is in the facts. Never throws. */
  minted(decision: Decision): void {
    this.#diverged(blamedFor(decision))
  }

  /** Whoever calls was not proven: what it presented may be a credential that was lent to a task. Never throws. */
  rejected(call: Call): void {
    this.#look(call, null)
  }

  /** The credential of a call came back in its answer. The kill comes after the bytes at hand, and before the next. */
  echoed(decision: Decision): void {
    queueMicrotask(() => this.#count('credential_misuse', blamedFor(decision), { how: 'an upstream sent it back' }))
  }

  #look(call: Call, by: Blamed | null): void {
    for (const digest of presentedSecrets(call.headers)) {
      const found = this.#options.lent(digest)
      if (found === null) continue
      const { row, standing } = found
      this.#options.log.warn(
        { call: call.id, lease: row.id, provider: row.provider, digest },
        'a lent credential was presented as an identity',
      )
      // a standing secret is lent to many tasks: nobody can tell by which of them it got away
      const blamed = by ?? (standing ? null : this.#holder(row, call.id))
      if (blamed !== null) this.#count('credential_misuse', blamed, { how: 'it was presented as an identity', lease: row.id, digest })
    }
  }

  #holder({ task, caller, tool }: LeaseRow, call: string): Blamed {
    const agent = this.#options.agent(caller)
    return { task, caller, agent: agent?.id ?? caller, owners: agent?.owners ?? null, call, tool }
  }

  #count(kind: Counted, blamed: Blamed, more: object): void {
    for (const rule of this.#options.rules) {
      if (!(kind in rule.when) || !('in' in rule.when)) continue
      const most = 'denials' in rule.when ? rule.when.denials : rule.when.credential_misuse
      const { counts, clock } = this.#options
      const counting = { id: `${rule.id} ${kind} ${rule.scope}`, most, span: rule.when.in }
      const key = rule.scope === 'task' ? blamed.task : blamed.agent
      const counted = counts.add(counting, key, clock())
      if (counted < most) continue
      counts.forget(counting, key)
      this.#stop(rule, blamed, { [kind]: counted, in: rule.when.in, ...more })
    }
  }

  #diverged(blamed: Blamed): void {
    if (!this.watchesMints) return
    const score = this.#options.facts(blamed.task, blamed.caller).divergence.score
    for (const rule of this.#options.rules)
      if ('divergence' in rule.when && score >= rule.when.divergence)
        this.#stop(rule, blamed, { divergence: score, most: rule.when.divergence })
  }

  #stop(rule: StopRule, blamed: Blamed, facts: Readonly<Record<string, unknown>>): void {
    const { kills, log } = this.#options
    const { task, caller, agent, owners, call } = blamed
    const reason = `rule ${rule.id}: ${saidOf(facts)}`
    const name = rule.scope === 'task' ? task : agent
    const failed = (error: unknown): void => log.error({ rule: rule.id, err: error }, 'a kill by rule could not be recorded or told')
    const stop = { scope: rule.scope, name, by: `rule:${rule.id}`, reason, task, caller, facts: { ...facts, call, owners } }
    kills
      .engage(stop)
      .then(({ fresh }) => (fresh ? this.#tell(rule, blamed, `stopped ${rule.scope} ${name}, ${reason}`) : undefined), failed)
      .catch(failed)
  }

  async #tell(rule: StopRule, { task, caller, owners, call, tool }: Blamed, said: string): Promise<void> {
    const who = Object.entries(owners ?? {}).map(([role, owner]) => `${role} ${owner}`)
    const message = `${said}; owners: ${who.join(', ') || 'none'}`
    const { business = null, security = null, incident = null } = owners ?? {}
    const about = { message, decision: call, task, caller, tool, owners: { business, security, incident, route: null, credential: null } }
    await Promise.all(rule.notify.map((to) => this.#options.notify({ to, effect: 'deny', ...about })))
  }
}

function blamedFor({ question: { call, caller, task, target } }: Decision): Blamed {
  const { row, agent } = task
  return { task: row.id, caller: caller.id, agent: agent.id, owners: agent.owners, call: call.id, tool: target.tool.name }
}

function saidOf(facts: Readonly<Record<string, unknown>>): string {
  const seconds = Math.round(Number(facts['in']) / 1000)
  if ('denials' in facts) return `${String(facts['denials'])} refusals within ${seconds} s`
  if ('divergence' in facts) return `divergence ${String(facts['divergence'])} of ${String(facts['most'])}`
  return `credential misused ${String(facts['credential_misuse'])} times within ${seconds} s`
}
