/** What follows a decision besides its permit: what policy obliges to, the judgement of what comes back, and whether it still counts. */

import { makeOblige, type Oblige } from './approve/oblige.ts'
import { unclassified } from './config/catalogue.ts'
import type { Loaded } from './config/load.ts'
import { sameJudges, sameWay } from './config/outdated.ts'
import type { DecideOptions } from './decide/decide.ts'
import { dutiesOf } from './decide/duties.ts'
import { makeJudgeAnswer } from './decide/response.ts'
import type { Answers } from './forward/judging.ts'
import type { Foundation } from './foundation.ts'
import { readJson } from './match/json.ts'
import { ledgerOnly } from './notify/registry.ts'
import { Refusal } from './refusal.ts'

/** What policy obliges to besides the permit, for a call and for its answer. */
export function obligeOf({ config }: Loaded, on: Foundation): Oblige {
  return makeOblige({
    knows: (to) => to === ledgerOnly || Object.hasOwn(config.decide.notifiers, to),
    notify: (notice) => on.notices.notify(notice),
    revokeLeases: (task) => void on.credential.revokeTask(task, 'obligation', takenBack()),
  })
}

/** What other calls of the task hear that wait for a lease: the next one may have a fresh one. */
function takenBack(): Refusal {
  return new Refusal('credential.unavailable', { retry: 'later', detail: 'policy took the leases of the task back' })
}

/**
 * Ends a call that a reload overtook, say while its body was on its way, unless the configuration in force says the same of all that
 * the call rests on: its route and credential and, until its permit is minted, agents, trust and mode. A change of policy alone ends
 * nothing: the decision was made in this very tick, by what is in force.
 */
export function refuseOutdated({ config }: Loaded, on: Foundation, route: string, permit: 'to mint' | 'minted'): void {
  const now = on.inForce()
  if (now === null || now.loaded.config === config) return
  const judged = permit === 'minted' || sameJudges(config, now.loaded.config)
  if (judged && sameWay(config, now.loaded.config, route)) return
  throw new Refusal('decide.unavailable', { retry: 'later', detail: 'a reload overtook the call' })
}

/** What comes back is judged by the engine that permitted the call, and what it holds is written down before any of it goes on. */
export function answersOf({ config }: Loaded, on: Foundation, setting: Omit<DecideOptions, 'facts'>, oblige: Oblige): Answers {
  const { judged_answer: judged, answer_sample: sample } = config.listen.limits
  const { state } = on
  return {
    judge: makeJudgeAnswer({ ...setting, facts: (task, caller) => state.facts(task, caller), knows: oblige.knows }),
    readJson,
    raise: ({ question: { task } }, classes) => state.raise(task.row.id, task.row.caller, classes),
    // an answer is there or refused by now: nobody waits for the record of what is told about it
    fulfil: ({ question, effect }, obligations) =>
      void oblige.fulfil({ question, effect, duties: dutiesOf(obligations) })?.catch((error: unknown) => {
        on.log.error({ err: error }, 'a notice of policy could not be written')
      }),
    unlabelled: config.decide.unlabelled === 'worst' ? unclassified : null,
    limits: { judged, sample },
  }
}
