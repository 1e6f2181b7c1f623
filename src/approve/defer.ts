/** A decision to wait: for a fact that is not there yet, for a conflict to be settled, or for a call before it. */
import type { Decision, Question } from '../decide/decide.ts'
import { Refusal } from '../refusal.ts'
import { cutShort } from './hold.ts'
import { heldBack, type Line, type Place, type Woken } from './line.ts'

/** `approve.defer` of the configuration; `hold` in ms. */
export interface DeferSetting {
  readonly hold: number
  readonly chain: number
  readonly held_per_caller: number
}

/** Events of a wait: that it began, each judgement, and how it ended. */
export interface DeferEvent {
  readonly kind: 'defer.opened' | 'defer.judged' | 'defer.resolved'
  readonly task: string
  readonly caller: string
  readonly by: string
  readonly detail: Readonly<Record<string, unknown>>
}

export interface DeferOptions {
  readonly line: Line
  /** Registers a call that waits, so that whatever ends its task ends the wait; gives what ends that. */
  readonly register: (question: Question) => () => void
  readonly judge: (question: Question) => Decision
  /** The same call on its task and agent as they are by now; throws the refusal of whoever is gone. */
  readonly again: (question: Question) => Question
  readonly event: (event: DeferEvent) => Promise<void>
  /** Told of an event that could not be written: what follows it cannot be either, and fails there. */
  readonly lost: (error: unknown) => void
  readonly setting: DeferSetting
  /** Counts a call that was denied in the end among the facts of its task. */
  readonly refused: (decision: Decision) => void
}

/** Facts of a busy task change all the time: a call that waits is judged no more often than this, ms. */
const gap = 100

/** One wait of one call; it may be for several things after one another. */
interface Wait {
  readonly place: Place
  /** On the clock that nobody can set, ms. */
  readonly since: number
  turn: number
  /** When it was judged last. */
  judged: number
}

/** The part of the stage that waits for facts and for other calls: no call that policy allows comes here while nothing waits. */
export class Defer {
  readonly #options: DeferOptions
  readonly #waits = new WeakMap<Place, Wait>()

  constructor(options: DeferOptions) {
    this.#options = options
  }

  /** Whether a call may have to wait behind another. */
  concerns(question: Question): boolean {
    return this.#options.line.concerns(question)
  }

  enter(question: Question): Place {
    return this.#options.line.enter(question)
  }

  /**
   * Takes a decision and gives one that waits for nothing: at once, or when facts came and the calls before it are over. `told` hears of each
   * that takes the place of the one before. Rejects with `approve.deferred` when the time is over, too many wait, or the call that it depends
   * on was refused; with `decide.denied` for a body that was not read whole, `record.failed`, or why the call was cut.
   */
  async settled(first: Decision, place: Place, told: (decision: Decision) => void): Promise<Decision> {
    let decision = first
    try {
      while (decision.effect !== 'deny') {
        const ahead = this.#options.line.ahead(place)
        if (ahead === null && decision.effect !== 'defer') break
        const wait = this.#waits.get(place) ?? (await this.#opened(decision, place, ahead))
        const why = await this.#woken(wait, decision.question, ahead)
        if (why === 'time') throw outOfTime(decision)
        told((decision = this.#judged(wait, decision, why)))
      }
    } catch (error) {
      this.#ended(place, error, 'deny')
      if (error instanceof Refusal && error.code === 'approve.deferred' && decision.effect === 'defer') this.#options.refused(decision)
      throw error
    }
    this.#ended(place, null, decision.effect)
    return decision
  }

  /** Written down before it waits: should this process end meanwhile, that is what remains of the call. */
  async #opened(decision: Decision, place: Place, ahead: Place | null): Promise<Wait> {
    const { line, setting, event } = this.#options
    const { call, caller, target } = decision.question
    if (!target.body.judged)
      throw new Refusal('decide.denied', { reasons: [...reasonsOf(decision), 'a call whose body was not read whole cannot wait'] })
    const depth = ahead === null ? 1 : ahead.depth + 1
    if (depth > setting.chain) throw heldBack('too many calls wait one behind the other', 'later')
    const hold = Math.min(setting.hold, decision.deferral?.ttl ?? setting.hold)
    if (hold === 0 || line.closed) throw outOfTime(decision)
    if (line.deferredOf(caller.id) >= setting.held_per_caller) throw heldBack('too many calls of this agent wait', 'later')
    place.deferred = true
    place.depth = depth
    const since = performance.now()
    place.until = Math.min(place.until, since + hold)
    const wait: Wait = { place, since, turn: 0, judged: -gap }
    this.#waits.set(place, wait)
    const { missing = [], conflicts = [] } = decision.deferral ?? {}
    await event({
      kind: 'defer.opened',
      ...whose(decision.question),
      detail: {
        call: call.id,
        tool: target.tool.name,
        effect: decision.effect,
        rules: [...new Set(decision.refusedBy.map(({ rule }) => rule))],
        missing,
        conflicts,
        behind: ahead?.question.call.id ?? null,
        depth,
        hold,
        revision: decision.revision,
      },
    })
    return wait
  }

  /** Waits for what the call rests on, or for the end of its time. Rejects with why the call ended, as soon as it does. */
  async #woken({ place, judged }: Wait, question: Question, ahead: Place | null): Promise<Woken> {
    const { line, register } = this.#options
    const { signal } = question.call
    const { promise, resolve, reject } = Promise.withResolvers<Woken>()
    const timers = [setTimeout(resolve, Math.max(0, place.until - performance.now()), 'time')]
    const cut = (): void => reject(cutShort(signal.reason))
    const wake = (): void => {
      if (line.closed) return resolve('time')
      if (ahead === null) timers.push(setTimeout(resolve, Math.max(0, judged + gap - performance.now()), 'fact').unref())
    }
    timers[0]?.unref()
    const release = register(question)
    signal.addEventListener('abort', cut)
    place.wake = wake
    void ahead?.over.then(() => resolve('dependency'))
    try {
      if (signal.aborted) cut()
      else if (place.stale || line.closed) wake()
      return await promise
    } finally {
      place.wake = null
      signal.removeEventListener('abort', cut)
      release()
      for (const timer of timers) clearTimeout(timer)
    }
  }

  #judged(wait: Wait, { question }: Decision, why: Woken): Decision {
    const { judge, again } = this.#options
    wait.judged = performance.now()
    wait.place.stale = false
    const decision = judge(again(question))
    const { missing = [], conflicts = [] } = decision.deferral ?? {}
    const detail = { turn: ++wait.turn, cause: why, effect: decision.effect, missing, conflicts, revision: decision.revision }
    this.#tell('defer.judged', question, detail)
    return decision
  }

  /** How a wait ended, if there was one. */
  #ended(place: Place, error: unknown, effect: Decision['effect']): void {
    const wait = this.#waits.get(place)
    if (wait === undefined) return
    this.#waits.delete(place)
    place.deferred = false
    const code = error === null ? null : error instanceof Refusal ? error.code : 'internal'
    const how = code === null ? 'judged' : code === 'approve.deferred' ? 'refused' : 'cut'
    const waited = Math.round(performance.now() - wait.since)
    this.#tell('defer.resolved', place.question, { how, effect, code, turns: wait.turn, waited })
  }

  /** In the order of the ledger it stands before what comes of it; nobody waits for it in between, so that what was judged still holds. */
  #tell(kind: DeferEvent['kind'], question: Question, detail: DeferEvent['detail']): void {
    const { event, lost } = this.#options
    event({ kind, ...whose(question), detail: { call: question.call.id, ...detail } }).catch(lost)
  }
}

function whose({ task, caller }: Question): Pick<DeferEvent, 'task' | 'caller' | 'by'> {
  return { task: task.row.id, caller: caller.id, by: 'countersign' }
}

function outOfTime(decision: Decision): Refusal {
  return new Refusal('approve.deferred', { reasons: reasonsOf(decision), retry: 'later' })
}

/** What the agent may read of why it waited. */
export function reasonsOf({ refusedBy }: Decision): readonly string[] {
  return [...new Set(refusedBy.map(({ message_agent }) => message_agent))]
}
