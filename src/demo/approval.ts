import { factsOf } from '../admin/approval-facts.ts'
import { visible } from '../approve/visible.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Seen } from './call.ts'
import { recordOf, type Person } from './person.ts'
import { refund } from './story.ts'
import type { Teller } from './teller.ts'
import type { Ask, Said } from './terminal.ts'

export interface Asking {
  readonly teller: Teller
  readonly ada: Person
  /** Whoever sits at the terminal; null when nobody does. */
  readonly ask: Ask | null
  readonly signal: AbortSignal
}

/** What of an approval the story shows; the command line shows the rest. */
const shown = /^(?:agent|purpose|tool|request|body|risk|read so far|who may not)\b/

/** A refund that waits for a person: refused with a handle, answered, made again. `task`: whose refund it is. */
export async function tellApproval(asking: Asking, task: string): Promise<void> {
  const { teller, ada } = asking
  const step = { ...refund, path: `/t/${task}${refund.path}` }
  const id = handleOf(await teller.call(step))
  if (id === null) return teller.wrong('nobody was asked')
  const said = await tellAnswer(asking, id)
  if (said === 'approve')
    await teller.call({
      ...step,
      title: 'The same call is made again, and passes',
      text: `The answer holds for this call alone, to the last byte, and once. Policy judged it again, and the record says who approved it.`,
      expect: { status: 201 },
    })
  else
    await teller.call({
      ...step,
      title: 'The same call is made again, and stays refused',
      text: `Somebody said no. ${ada.name} is not asked about it again for a while.`,
      expect: { status: 403, code: 'approve.declined' },
    })
}

async function tellAnswer({ teller, ada, ask, signal }: Asking, id: string): Promise<Said['verdict']> {
  const row = await ada.get(`/v1/approvals/${id}`)
  teller.title(
    'A person is asked',
    `${capital(ada.name)} sees what Countersign wrote from the request; the purpose alone is in the agent's words. No agent can answer.`,
  )
  teller.command(`npm run -s cs -- approvals show ${id} ${ada.flags}`)
  if (isApproval(row)) for (const line of linesOf(row)) teller.say(`  │ ${line}`)
  if (ask !== null) teller.say(`You answer as ${ada.name}. Without an answer in half a minute the demonstration gives one.`)
  const typed = ask === null ? null : await ask(signal)
  const said: Said = typed ?? { verdict: 'approve', reason: 'the lamp arrived broken, and 180 EUR is what it cost' }
  const why = ask === null ? 'Nobody is asked here' : 'Nobody answered'
  if (typed === null) teller.say(`${why}: the demonstration answers in the name of ${ada.name}, who is made up.`)
  const before = teller.position
  teller.command(`npm run -s cs -- approvals ${said.verdict} ${id} --reason ${JSON.stringify(said.reason)} ${ada.flags}`)
  const { state } = await ada.act(`/v1/approvals/${id}/${said.verdict}`, { reason: said.reason })
  teller.say(`${String(state)}, signed with ${ada.name}'s own key`)
  await teller.since(before)
  if (state !== (said.verdict === 'approve' ? 'approved' : 'declined')) teller.wrong(`expected that it is answered`)
  return said.verdict
}

function linesOf(row: ApprovalRow): string[] {
  return factsOf(row)
    .filter(({ label }) => shown.test(label))
    .map(({ label, form, values }) => `${(form === 'block' ? 'body' : label).padEnd(14)} ${values.join(', ')}`)
    .concat(row.shown.reasons.map(({ message }) => `${'why'.padEnd(14)} ${visible(message)}`))
}

function capital(name: string): string {
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}`
}

function handleOf({ body }: Seen): string | null {
  const { id } = recordOf(recordOf(body)['approval'])
  return typeof id === 'string' ? id : null
}

function isApproval(value: unknown): value is ApprovalRow {
  return value !== null && typeof value === 'object' && 'shown' in value && 'answers' in value
}
