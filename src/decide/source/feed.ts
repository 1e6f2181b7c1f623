/** One source at work: looks, verifies, activates, puts into force, keeps, and looks again. */

import type { Seen } from '../bundle/order.ts'
import type { Policy, PolicyFault, PolicyInForce } from '../in-force.ts'
import { admit, digestOf, Rejected, type AdmitOptions } from './admit.ts'
import { Age } from './age.ts'
import type { Keep, Memory } from './keep.ts'
import { reasonOf, type BundleSource, type Content, type Known, type Mark } from './source.ts'

export interface FeedOptions extends Omit<AdmitOptions, 'place'> {
  readonly source: BundleSource
  readonly inForce: PolicyInForce
  /** Null: nothing is kept. */
  readonly keep: Keep | null
  /** Ms that a bundle judges after its source last confirmed it; null: without end. */
  readonly maxAge: number | null
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
    error(fields: object, message: string): void
  }
}

/** A bundle that passed everything, not yet in force. */
interface Ready {
  readonly policy: Policy
  readonly age: Age
  readonly mark: Mark
  readonly seen: Seen
  /** Null: it is what is kept already. */
  readonly content: Content | null
}

/** A bundle that stays is written down as confirmed at most so often, ms. */
const noteEvery = 30_000
/** While nothing may judge, a source is asked again after this at the latest, ms. */
const eager = 4000
/** A start waits so long for the first answer of a server, ms. */
const firstLook = 5000

/** So many refused bundles are known by their digests. */
const mostTold = 256

/** Looks at one source for as long as its configuration stands. */
export class Feed {
  readonly #options: FeedOptions
  readonly #stop = new AbortController()
  /** What is in force, or about to be. */
  #ready: Ready | null = null
  #seen: Seen | null = null
  #refused: { readonly mark: Mark; readonly sha256: string } | null = null
  #failures = 0
  /** Bundles and troubles that were told of. */
  readonly #told = new Set<string>()
  #trouble = ''
  /** A reload that may be rejected says nothing of what is in force. */
  #quiet = false
  #begun = false
  /** Ends the look under way, and the trial of what it saw. */
  #turn = new AbortController()
  #held = false
  #notedAt = 0
  #timer: NodeJS.Timeout | null = null
  /** Looks one after the other; never rejects. */
  #looking: Promise<unknown> = Promise.resolve()

  constructor(options: FeedOptions) {
    this.#options = options
  }

  get kind(): BundleSource['kind'] {
    return this.#options.source.kind
  }

  /**
   * Gets the first bundle ready. At a start (`must` is false) what was kept of a server goes first, so that nobody is waited for; a server
   * that gives nothing leaves nothing ready. At a reload (`must`) the server is asked first, what was kept stands in for its answer, and
   * when nothing may judge this rejects. A path is looked at first; when it cannot be used, what was kept stands in at a start alone.
   */
  async prepare({ must }: { readonly must: boolean }): Promise<void> {
    const { kind, place } = this.#options.source
    this.#quiet = must
    const memory = await this.#recall()
    const takeUp = async (): Promise<boolean> => memory !== null && (await this.#takeUp(memory))
    if (kind === 'url' && !must && (await takeUp())) return
    const limit = kind === 'url' ? [AbortSignal.timeout(firstLook)] : []
    const failed = await this.#tryFirst(AbortSignal.any([this.#stop.signal, ...limit]))
    if (failed === null || (kind === 'url' && !must)) return
    if (must !== (kind === 'url') || !(await takeUp()) || this.#ready?.age.lapsed() !== null) throw failed
    this.#options.log.error(
      { source: place, revision: this.#ready.policy.revision, why: failed.message },
      'the source of policy cannot be used; the last good one judges in its place',
    )
  }

  /** Puts what is ready into force, in this tick, and goes on looking. */
  begin(): void {
    this.#begun = true
    this.#quiet = false
    if (this.#ready !== null) this.#swap(this.#ready)
    const { kind } = this.#options.source
    this.#schedule(kind === 'url' && (this.#ready === null || this.#ready.policy.kept) ? 0 : this.#wait())
  }

  /** Looks now, also at what was refused before. Never rejects. */
  async look(): Promise<void> {
    if (this.#refused !== null) this.#refused = { ...this.#refused, mark: null }
    await this.#inTurn()
  }

  /** Stops looking, and resolves when nothing is under way and all is written down: another feed may come in its place now. */
  async hold(): Promise<void> {
    this.#held = true
    this.#turn.abort()
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#looking
    if (this.#begun) this.#note(true)
    await this.#options.keep?.settled()
  }

  /** Goes on looking after `hold`: the other feed did not come. */
  release(): void {
    if (this.#stop.signal.aborted) return
    this.#held = false
    this.#schedule(this.#wait())
  }

  /** Ends looking and writes down what has to outlive the process, unless that was done. What is in force stays in force. */
  async close(): Promise<void> {
    this.#stop.abort()
    if (!this.#held) await this.hold()
    if (!this.#begun) this.#ready?.policy.engine.close()
  }

  async #recall(): Promise<Memory | null> {
    const { keep, log, source } = this.#options
    try {
      const memory = (await keep?.recall()) ?? null
      this.#seen = memory?.seen ?? null
      return memory
    } catch (error) {
      log.error({ source: source.place, why: reasonOf(error) }, 'what was kept of the policy cannot be used')
      return null
    }
  }

  /** Activates what was kept, as strictly as what a source sends. */
  async #takeUp(memory: Memory): Promise<boolean> {
    const { keep, clock, maxAge } = this.#options
    if (keep === null) return false
    try {
      const content = await keep.bundle()
      const { policy, signedUntil, seen } = await this.#activate(content, true)
      const age = new Age({ maxAge, confirmed: memory.confirmed, atLeast: memory.age, signedUntil, clock })
      this.#ready = { policy, age, mark: memory.mark, seen, content: null }
      return true
    } catch (error) {
      this.#failed(error)
      return false
    }
  }

  async #tryFirst(signal: AbortSignal): Promise<Error | null> {
    try {
      await this.#lookOnce(signal)
      return null
    } catch (error) {
      this.#failed(error)
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  /** One look after those before it, and then a date for the next. */
  #inTurn(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    const turn = this.#looking.then(async () => {
      if (this.#held) return
      this.#turn = new AbortController()
      try {
        await this.#lookOnce(this.#turn.signal)
      } catch (error) {
        if (!this.#held) this.#failed(error)
      }
      this.#schedule(this.#wait())
    })
    this.#looking = turn
    return turn
  }

  #schedule(wait: number | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (wait !== null && !this.#held) this.#timer = setTimeout(() => void this.#inTurn(), wait).unref()
  }

  /** As the source says; sooner where a bundle is about to be too old, and often while none may judge. */
  #wait(): number | null {
    const wait = this.#options.source.wait(this.#failures)
    const age = this.#ready?.age ?? null
    const left = age === null || age.lapsed() !== null ? eager : Math.max(eager, age.left())
    return wait === null ? null : Math.min(wait, left)
  }

  async #lookOnce(signal: AbortSignal): Promise<void> {
    const known: Known = { adopted: this.#ready?.mark ?? null, refused: this.#refused?.mark ?? null }
    const sight = await this.#options.source.look(known, signal)
    signal.throwIfAborted()
    if (sight.is === 'refused') return
    if (sight.is === 'new') {
      await this.#adopt(sight.content, sight.mark)
    } else if (this.#ready !== null) {
      this.#ready = { ...this.#ready, mark: sight.mark }
      this.#confirm(this.#ready)
    }
    this.#refused = null
    this.#failures = 0
    this.#trouble = ''
  }

  #confirm({ age, mark }: Ready): void {
    age.confirm()
    if (!this.#begun) return
    this.#options.inForce.confirmed(mark)
    this.#note(false)
  }

  async #adopt(content: Content, mark: Mark): Promise<void> {
    const sha256 = digestOf(content)
    const { signal } = this.#turn
    try {
      const { policy, signedUntil, seen } = await this.#activate(content, false)
      this.#stop.signal.throwIfAborted()
      const { clock, maxAge } = this.#options
      const age = new Age({ maxAge, confirmed: clock(), atLeast: 0, signedUntil, clock })
      this.#ready = { policy, age, mark, seen, content }
    } catch (error) {
      // a trial that was ended says nothing of the bundle
      if (!signal.aborted) this.#refused = { mark, sha256 }
      throw error
    }
    this.#swap(this.#ready)
  }

  #activate(content: Content, kept: boolean): ReturnType<typeof admit> {
    const { source, inForce } = this.#options
    // before it begins, the engine in force is another feed's, which may let go of it
    const present = this.#begun ? inForce.policy : null
    const signal = AbortSignal.any([this.#stop.signal, this.#turn.signal])
    const moment = { seen: this.#seen, kept, present, called: this.#begun || this.#quiet, signal }
    return admit({ ...this.#options, place: source.place }, content, moment)
  }

  #swap(ready: Ready): void {
    if (!this.#begun) return
    const { inForce, keep, log, source } = this.#options
    inForce.take(ready.policy, ready.age, ready.mark)
    this.#seen = ready.seen
    if (ready.content === null || keep === null) return
    this.#notedAt = performance.now()
    keep.keep(ready.content, memoryOf(ready)).catch((error: unknown) => {
      log.error({ source: source.place, why: reasonOf(error) }, 'the policy could not be kept for the next start')
    })
  }

  /** How long ago it was confirmed must not be forgotten by a restart; what is written too early only makes it older. */
  #note(now: boolean): void {
    const { keep, log, source } = this.#options
    if (keep === null || this.#ready === null || (!now && performance.now() - this.#notedAt < noteEvery)) return
    this.#notedAt = performance.now()
    keep.note(memoryOf(this.#ready)).catch((error: unknown) => {
      log.error({ source: source.place, why: reasonOf(error) }, 'the age of the policy could not be written down')
    })
  }

  /** The same trouble is said once, not at every look. */
  #failed(error: unknown): void {
    const { inForce, log, source } = this.#options
    this.#failures += 1
    const none: PolicyFault = { reason: 'unreachable', message: reasonOf(error), sha256: null, revision: null, source: source.place }
    const fault = error instanceof Rejected ? error.fault : none
    const first = fault.sha256 === null ? fault.message !== this.#trouble : !this.#told.has(fault.sha256)
    this.#trouble = fault.message
    if (fault.sha256 !== null) this.#remember(fault.sha256)
    if (first) log.error({ ...fault }, 'no policy could be taken from its source; the one before, if there is one, stays in force')
    if (this.#quiet) return
    inForce.failed(fault, first)
    this.#note(false)
  }

  #remember(sha256: string): void {
    if (this.#told.size >= mostTold) this.#told.clear()
    this.#told.add(sha256)
  }
}

function memoryOf({ policy, age, mark, seen }: Ready): Memory {
  // an age that nobody knows has no end, which no file can say
  const old = Math.min(age.since(), Number.MAX_SAFE_INTEGER)
  return { digest: policy.digest, revision: policy.revision, mark, seen, confirmed: age.confirmed, age: old }
}
