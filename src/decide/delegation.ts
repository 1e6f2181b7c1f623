/** `delegation` of the policy input: for whom a task is done, and who handed it on until it came to its caller. */

import type { Caller } from '../identify/identify.ts'
import type { Link, TaskRow } from '../state/state.ts'
import { exceeded, number, onePiece, text, textOrNull, type Cap } from './fragment.ts'
import { parties, scopeMembers } from './subject.ts'

/** Whose delegation it is. */
export type Delegated = Pick<TaskRow, 'root' | 'chain'>

const whole: Cap = { most: 16_384, what: 'the delegation chain', fault: 'operator' }
const idCap: Cap = { most: 256, what: 'a task id', fault: 'operator' }

/** A chain → its links as text; a row keeps its chain when it is replaced. */
const chains = new WeakMap<readonly Link[], string>()

/**
 * The object. `depth` counts the links. Those of tasks come first, with the scope they handed on; then whoever acts through the caller, as
 * its own token says. `verified` is false when that token names somebody who cannot be read: nobody knows who acts then.
 */
export function delegationText({ root, chain = none }: Delegated, caller: Pick<Caller, 'acting'> = {}): string {
  const actors = caller.acting?.actors ?? []
  let links = chain.length === 0 ? '' : known(chain)
  for (const { subject, issuer } of actors)
    links += `${links === '' ? '' : ','}${linkText({ party: subject, task: null, issuer, intent: null })}`
  if (links.length > whole.most) throw exceeded(whole)
  const depth = number(chain.length + actors.length, 'depth')
  return `{"depth":${depth},"root":${text(root, parties)},"chain":[${links}],"verified":${caller.acting?.verified !== false}}`
}

const none: readonly Link[] = []

function known(chain: readonly Link[]): string {
  let made = chains.get(chain)
  if (made === undefined) chains.set(chain, (made = onePiece(chain.map(linkText).join(','))))
  return made
}

function linkText({ party, task, issuer, intent }: Link): string {
  const scope = intent === null ? 'null' : `{${scopeMembers(intent)}}`
  return `{"party":${text(party, parties)},"task":${textOrNull(task, idCap)},"issuer":${textOrNull(issuer, parties)},"intent":${scope}}`
}
