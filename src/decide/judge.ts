/** One evaluation, whatever is asked: whatever is not a well-formed answer is a refusal. */

import { Refusal } from '../refusal.ts'
import type { Engine, Entrypoint } from './engine.ts'
import type { Framed } from './frame.ts'
import { readResult, type Result } from './result.ts'
import type { Slow } from './slow.ts'

/** What every judgement needs from outside. */
export interface JudgeOptions {
  /** The policy in force; asked once per judgement, so one judgement never spans two revisions. May throw when there is none. */
  readonly engine: () => Engine
  readonly log: { error(o: object, m: string): void }
  /** Told of evaluations that take too long. */
  readonly slow?: Slow
}

export interface Judgement {
  readonly result: Result
  /** What judged: the rest of the same call is judged by it too, whatever is in force by then. */
  readonly engine: Engine
  readonly revision: string
  /** Nanoseconds in the engine. */
  readonly evalNs: number
}

/** What an engine is given: text, and where its writer has it in parts, those. */
export interface Written {
  readonly engine: string
  readonly framed?: Framed
  /** Enough to find an answer that the engine knows; absent: there is nothing that saves writing the rest. */
  readonly brief?: Framed
}

/**
 * Evaluates one entrypoint on the text that `input` writes for the revision in force.
 * Throws `decide.unavailable` when the engine throws, whatever it throws, `decide.malformed` when its answer is no decision,
 * and what `input` throws.
 */
export function judge(options: JudgeOptions, entrypoint: Entrypoint, input: (revision: string) => string | Written): Judgement {
  const engine = inForce(options)
  const { revision } = engine
  const written = input(revision)
  const started = performance.now()
  const document = evaluate(options, engine, entrypoint, written)
  const evalNs = Math.round((performance.now() - started) * 1e6)
  if (options.slow !== undefined && evalNs > options.slow.above) options.slow.found(entrypoint, revision, evalNs)
  try {
    return { result: readResult(document, entrypoint), engine, revision, evalNs }
  } catch (error) {
    options.log.error(
      { entrypoint, revision, detail: error instanceof Refusal ? error.detail : null },
      'policy gave no well-formed decision',
    )
    throw error
  }
}

/** The policy in force; throws `decide.unavailable` when there is none. */
export function inForce({ engine, log }: JudgeOptions): Engine {
  try {
    return engine()
  } catch (cause) {
    log.error({ err: cause }, 'no policy is in force')
    throw new Refusal('decide.unavailable', { detail: 'no policy is in force', cause })
  }
}

function evaluate({ log }: JudgeOptions, engine: Engine, entrypoint: Entrypoint, written: string | Written): unknown {
  try {
    if (typeof written === 'string') return engine.evaluate(entrypoint, written)
    const known = written.brief === undefined ? undefined : engine.known?.(entrypoint, written.brief)
    return known !== undefined ? known.document : engine.evaluate(entrypoint, written.engine, written.framed)
  } catch (cause) {
    log.error({ entrypoint, revision: engine.revision, err: cause }, 'policy could not be evaluated')
    throw new Refusal('decide.unavailable', { detail: 'policy could not be evaluated', cause })
  }
}
