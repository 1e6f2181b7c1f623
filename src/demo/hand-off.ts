import { treeText } from '../cli/task-tree.ts'
import { recordOf, type Person } from './person.ts'
import { handOff, readerCalls, redeemed } from './story.ts'
import type { Teller } from './teller.ts'

/** A sub-agent that may do less: gets a part of the task, uses it, is refused beyond it. Gives the id of that part. */
export async function tellHandOff(teller: Teller, ada: Person, task: string): Promise<string> {
  const alone = callsOf(await ada.get(`/v1/tasks/${task}/tree`))
  const offer = handOff(teller.company.reader)
  const offered = await teller.call({ ...offer, path: `/.countersign/v1/tasks/${task}${offer.path}` })
  const { id: grant, token } = recordOf(offered.body)
  const opened = await teller.call({ ...redeemed, body: { grant, token } })
  const part = String(recordOf(opened.body)['id'])
  for (const step of readerCalls) await teller.call({ ...step, path: `/t/${part}${step.path}` })
  teller.title(
    'What it spends, the task spends',
    'Its one call counts in both. And what either has read, both know: nobody gets data out by asking another agent to send it.',
  )
  teller.command(`npm run -s cs -- task tree ${task} ${ada.flags}`)
  const tree = await ada.get(`/v1/tasks/${task}/tree`)
  for (const line of treeText([tree]).trimEnd().split('\n')) teller.say(`  ${line}`)
  if (callsOf(tree) !== alone + 1) teller.wrong('its call should count in the task that it came from')
  return part
}

function callsOf(tree: unknown): number {
  return Number(recordOf(recordOf(recordOf(tree)['budget'])['calls'])['spent'])
}
