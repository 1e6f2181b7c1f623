import { expect, it } from 'vitest'
import { CredentialRig } from '../../support/credential-rig.ts'
import { sketchRow } from '../../support/question.ts'

it('whoever watches the book is told of each lease that ended, once, and of none that was only changed', async () => {
  const rig = new CredentialRig()
  const { book } = rig.stage
  const told: string[] = []
  const leave = book.onDrop((id) => told.push(`${id} ${book.has(id)}`))
  const lease = await rig.lease()
  book.change(lease.id, { lease: { ...lease, expires: lease.expires + 1000 } })
  expect(told).toEqual([])
  await rig.stage.revokeTask(sketchRow().id, 'task.completed')
  await rig.stage.revokeTask(sketchRow().id, 'task.completed')
  expect(told).toEqual([`${lease.id} false`])
  leave()
  await rig.lease()
  await rig.stage.close()
  expect(told).toHaveLength(1)
})
