import { EngineFailure, type Engine } from '../../src/decide/engine.ts'

/** An engine that has no entrypoint: for decisions that are sketched, not judged. */
export const noEngine: Engine = {
  revision: 'r1',
  answers: () => false,
  evaluate: (entrypoint) => {
    throw new EngineFailure(`policy has no entrypoint ${entrypoint}`)
  },
}
