import { curlLine } from './call.ts'
import { recordOf, type Person } from './person.ts'
import { read, watched } from './story.ts'
import { openStream } from './stream.ts'
import type { Teller } from './teller.ts'

export interface Stopping {
  readonly teller: Teller
  readonly ada: Person
  readonly task: string
  /** The part of it that the sub-agent has. */
  readonly part: string
}

/** A stream that is cut in mid-flight by a kill, what goes on beside it, and the lift. */
export async function tellKill({ teller, ada, task, part }: Stopping): Promise<void> {
  const { reader } = teller.company
  const step = { ...watched, path: `/t/${part}${watched.path}` }
  teller.title(step.title, step.text)
  teller.command(curlLine(step, teller.ports, teller.company))
  const before = teller.position
  const stream = await openStream(step, teller.ports, teller.svids)
  await stream.events(3)
  teller.say(`${stream.status}\n${eventsOf(stream.text()).slice(0, 3).join('\n')}\n…`)

  teller.title(
    'The order reader is stopped in the middle of it',
    'One command: no new call, not one byte more of what is open, its part of the task ended, its credentials taken back.',
  )
  const reason = 'reads more than it should'
  teller.command(`npm run -s cs -- kill agent ${reader} --reason "${reason}" ${ada.flags}`)
  const kill = await ada.act('/v1/kills', { scope: 'agent', name: reader, reason })
  teller.say(`calls cut: ${String(kill['cut'])}, tasks ended: ${String(kill['tasks'])}, credentials taken back: ${String(kill['leases'])}`)
  const cut = await stream.over
  teller.say(`the stream is ${cut ? 'cut' : 'NOT CUT'} after ${eventsOf(stream.text()).length} events`)
  await teller.since(before, ({ own }) => own['event'] === 'kill.completed')
  if (!cut || kill['cut'] !== 1) teller.wrong('expected that the stream is cut')

  await teller.call({
    ...read,
    title: 'The order reader gets nothing any more',
    text: 'Whatever it shows, and whichever task it names.',
    identity: 'reader',
    path: `/t/${part}${read.path}`,
    expect: { status: 403, code: 'kill.engaged' },
  })
  await teller.call({
    ...read,
    title: 'The refund agent goes on',
    text: 'Nobody stopped it, and its task is its own.',
    path: `/t/${task}${read.path}`,
  })
  await tellLift(teller, ada, String(kill['id']))
}

async function tellLift(teller: Teller, ada: Person, kill: string): Promise<void> {
  const before = teller.position
  const reason = 'looked at: it was right to watch'
  teller.title(
    'A person with a name lifts it',
    'No agent, rule or file can. It stands in the ledger before it is true. The part of the task that was ended stays ended.',
  )
  teller.command(`npm run -s cs -- lift ${kill} --reason "${reason}" ${ada.flags}`)
  const { lifted } = await ada.act(`/v1/kills/${kill}/lift`, { reason })
  teller.say(`lifted by ${String(recordOf(lifted)['by'])}`)
  await teller.since(before)
  if (recordOf(lifted)['by'] !== `person:${ada.name}`) teller.wrong('expected that it is lifted')
}

function eventsOf(text: string): string[] {
  return text.split('\n\n').filter((event) => event !== '')
}
