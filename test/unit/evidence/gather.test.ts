import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { gather } from '../../../src/evidence/gather.ts'
import { eventOf, taskOf } from '../../../src/evidence/line.ts'
import { extentOf } from '../../../src/evidence/regions.ts'
import { above, agent, child, grandchild, idOf, refund, Story, stranger, task } from '../../support/evidence-story.ts'

const folders: string[] = []
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

async function gathered(story: Story, of = task, most = Infinity) {
  const dir = mkdtempSync(join(tmpdir(), 'gather-'))
  folders.push(dir)
  story.writer.save(dir)
  return gather(extentOf(dir), of, most)
}

const told = (lines: Awaited<ReturnType<typeof gather>>): string[] =>
  lines.map(
    ({ line }) =>
      `${line.kind === 'event' ? eventOf(line) : line.kind} ${taskOf(line) === task ? 'own' : taskOf(line) === '' ? '-' : 'other'}`,
  )

describe('the lines of a task', () => {
  test('are its own and those of the tasks under it, across segments, byte for byte and in order, and no others', async () => {
    const story = refund()
    const lines = await gathered(story)
    const tasks = new Set(lines.map(({ line }) => taskOf(line)))
    expect(tasks).toEqual(new Set(['', task, child]))
    expect(lines.map(({ bytes }) => bytes.toString())).toEqual(lines.map(({ line }) => story.writer.lines[line.seq - 1]))
    const all = story.writer.lines.filter((line) => line.includes(`"task":"${task}"`) || line.includes(`"task":"${child}"`))
    expect(lines.filter(({ line }) => taskOf(line) !== '')).toHaveLength(all.length)
  })

  test('of a child leave out its parent but for the opening', async () => {
    const story = new Story()
    story.opened(above)
    story.opened(task, { parent: above })
    story.opened(child, { parent: task })
    story.call(task)
    story.call(child)
    story.writer.checkpoint()
    expect(told(await gathered(story, child))).toEqual([
      'task.opened other',
      'task.opened own',
      'task.opened other',
      'decision other',
      'outcome other',
    ])
  })

  test('reach down to grandchildren, however many there are', async () => {
    const story = new Story()
    story.opened(task)
    story.opened(child, { parent: task })
    story.opened(grandchild, { parent: child })
    for (let number = 0; number < 20; number++) story.opened(idOf('t', 100 + number), { parent: grandchild })
    story.call(idOf('t', 119))
    story.call(stranger)
    story.writer.checkpoint()
    const lines = await gathered(story)
    expect(lines).toHaveLength(25)
    expect(lines.some(({ line }) => taskOf(line) === stranger)).toBe(false)
  })

  test('are not those in which an agent spells its id', async () => {
    const story = new Story()
    story.opened(task)
    story.call(stranger, { resource: `order:${task}`, said: `"task":"${task}"` })
    story.opened(stranger, { purpose: `"parent":"${task}"` })
    story.writer.checkpoint()
    expect(told(await gathered(story))).toEqual(['task.opened own'])
  })

  test('have the approval of another task, or of none, that a call was made by', async () => {
    const story = new Story()
    const [granted, foreign] = [idOf('a', 7), idOf('a', 8)]
    story.writer.event('approval.granted', { approval: granted, reason: 'for today' }, { by: 'person:ada' })
    story.opened(task)
    story.call(task, { approval: granted })
    story.writer.event('approval.withdrawn', { approval: granted, reason: 'enough' }, { by: 'person:ada' })
    story.writer.event('approval.granted', { approval: foreign, reason: 'for others' }, { by: 'person:ben' })
    story.writer.checkpoint()
    expect(told(await gathered(story))).toEqual([
      'approval.granted -',
      'task.opened own',
      'decision own',
      'outcome own',
      'approval.withdrawn -',
    ])
  })

  test('have the kill that ended it, with all that was said of it', async () => {
    const story = new Story()
    const [kill, other] = [idOf('k', 1), idOf('k', 2)]
    story.opened(task)
    story.writer.event('kill.engaged', { kill, scope: 'agent', name: agent, reason: 'loop' }, { by: 'person:ada' })
    story.ended(task, { cause: `killed by ${kill}: loop` }, 'revoked')
    story.writer.event('kill.completed', { kill, cut: 1 })
    story.writer.event('kill.engaged', { kill: other, scope: 'agent', name: 'spiffe://acme.example/x', reason: 'loop' })
    story.writer.checkpoint()
    expect(told(await gathered(story))).toEqual(['task.opened own', 'kill.engaged -', 'task.revoked own', 'kill.completed -'])
  })

  test('have no kill that an agent names when it completes its task', async () => {
    const story = new Story()
    const kill = idOf('k', 1)
    story.writer.event('kill.engaged', { kill, scope: 'agent', name: 'spiffe://acme.example/x', reason: 'loop' })
    story.opened(task)
    story.ended(task, { cause: `killed by ${kill}: not by me` })
    story.writer.checkpoint()
    expect(told(await gathered(story))).toEqual(['task.opened own', 'task.completed own'])
  })

  test('have the outcome that a start wrote for a call that a crash left open', async () => {
    const story = new Story()
    story.opened(task)
    const call = story.call(task, {}, null)
    story.writer.outcome(call, { status: null, ended: 'unknown' })
    story.writer.checkpoint()
    expect(told(await gathered(story))).toEqual(['task.opened own', 'decision own', 'outcome -'])
  })

  test('have of the policies the activations that count for them', async () => {
    const story = new Story()
    const activated = (revision: string): number => story.writer.event('policy.activated', { revision })
    activated('r-1')
    const counts = activated('r-1')
    activated('r-2')
    story.opened(task)
    const again = activated('r-1')
    story.ended(task)
    activated('r-1')
    story.writer.checkpoint()
    const lines = await gathered(story)
    expect(lines.filter(({ line }) => eventOf(line) === 'policy.activated').map(({ line }) => line.seq)).toEqual([counts, again])
  })

  test('end before the newest checkpoint: what comes after it nobody has signed', async () => {
    const story = new Story()
    story.opened(task)
    story.writer.checkpoint()
    story.call(task)
    expect(told(await gathered(story))).toEqual(['task.opened own'])
  })

  test('that are too many are refused before they fill the memory', async () => {
    await expect(gathered(refund(), task, 1000)).rejects.toMatchObject({ why: 'large' })
  })

  test('of a task that nobody knows, and of no id, are refused', async () => {
    await expect(gathered(refund(), idOf('t', 999))).rejects.toMatchObject({ why: 'unknown' })
    await expect(gathered(refund(), '../x')).rejects.toMatchObject({ why: 'input' })
  })
})
