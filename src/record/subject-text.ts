/** Who called, for which task and for whom, as members of a line. */

import type { Caller } from '../identify/identify.ts'
import type { Task } from '../task/task.ts'
import { quote, quoteAll, remembered } from './json-text.ts'
import { veiled, type Hidden, type Veil } from './veil.ts'

// callers and tasks live longer than a call: their fragments are made once
const tasks = new WeakMap<Task['row'], string>()
const callers = new WeakMap<Caller, string>()
const proofs = new WeakMap<Caller, string>()

export const callerText = (caller: Caller): string =>
  remembered(
    callers,
    caller,
    ({ id, trustDomain, method, confirmed, issuer, acting }) =>
      `,"caller":${quote(id, 2048)},"trust_domain":${quote(trustDomain, 256)},"method":"${method}","confirmed":"${confirmed}"` +
      `,"issuer":${issuer === null ? 'null' : quote(issuer, 512)}${acting === undefined ? '' : actingText(acting)}`,
  )

/** Who acts through a caller, as its token says. */
const actingText = ({ actors, verified }: NonNullable<Caller['acting']>): string =>
  `,"acting":${verified ? quoteAll(actors.map(({ subject }) => subject)) : '"unreadable"'}`

/** How far the proof of a caller reaches, and what tells it from another of the same caller. */
export const proofText = (caller: Caller): string =>
  remembered(proofs, caller, ({ proof, expires }) => `,"proof":${quote(proof, 128)},"proof_expires":${expires}`)

export function taskText(task: Task, { root, human }: Hidden): string {
  if (root !== null || human !== null) return taskMembers(task.row, root ?? human, human ?? root)
  return remembered(tasks, task.row, (row) => taskMembers(row, null, null))
}

/** The person has one name, as the root of the work and as who it is done for: what hides one of them hides both. */
function taskMembers({ id, onBehalfOf, root, caller, parent, chain }: Task['row'], rootVeil: Veil | null, humanVeil: Veil | null): string {
  const named = /^(agent|user|person):/.test(root)
  // the person, where one stands behind the task; else the agent that began the chain
  const origin = onBehalfOf === null ? (named ? root : `agent:${caller}`) : `user:${onBehalfOf.subject}`
  const subject = onBehalfOf === null ? null : veiled(onBehalfOf.subject, humanVeil, 512)
  const human = onBehalfOf === null ? 'null' : `{"subject":${subject},"issuer":${quote(onBehalfOf.issuer, 512)}}`
  const under = parent === null ? '' : `,"parent":${quote(parent, 128)}`
  const handed = chain === undefined ? '' : `,"chain":${chainText(chain, rootVeil)}`
  return `,"task":${quote(id, 128)},"root":${veiled(origin, rootVeil, 2048)},"human":${human}${under}${handed}`
}

/** The first of a chain is the root; workloads behind it are no persons. */
function chainText(chain: NonNullable<Task['row']['chain']>, veil: Veil | null): string {
  const parties = chain.map(({ party }) => party)
  if (veil === null) return quoteAll(parties)
  return quoteAll(parties.map((party) => (party.startsWith('spiffe://') || party.startsWith('agent:') ? party : (veil(party) ?? ''))))
}
