import { describe, expect, it } from 'vitest'
import { approvalText } from '../../../src/decide/approval-input.ts'
import { answerOf, sketchApproval, sketchObjective } from '../../support/approvals.ts'
import { noon } from '../../support/task-rig.ts'

const read = (row: Parameters<typeof approvalText>[0]): unknown => JSON.parse(approvalText(row))

describe('what policy reads of an approval', () => {
  it('is who said yes, with their groups by one spelling, and for what', () => {
    const answers = [answerOf({ groups: ['finance', 'group:it'] }), answerOf({ by: 'person:eve', verdict: 'decline' })]
    expect(read(sketchApproval({ state: 'approved', granted: noon + 5, answers }))).toEqual({
      id: 'a_1',
      kind: 'action',
      by: ['person:ada'],
      groups: { 'person:ada': ['group:finance', 'group:it'] },
      quorum: 1,
      break_glass: false,
      asked: noon,
      at: noon + 5,
      expires: noon + 900_000,
      used: 0,
      calls: 1,
      revision: 'r1',
    })
    expect(read(undefined)).toBeNull()
  })

  it('names the objective, its calls and its end', () => {
    const objective = sketchObjective({ calls: 7, until: noon + 3 })
    expect(read(sketchApproval({ objective, used: 2 }))).toMatchObject({ kind: 'objective', calls: 7, used: 2, expires: noon + 3 })
  })

  it('has one person of all who use the local key, for it proves no name', () => {
    const answers = ['person:ada', 'person:ben'].map((by) => answerOf({ by, method: 'local-key' }))
    expect(read(sketchApproval({ answers: [...answers, answerOf({ by: 'person:eve' })] }))).toMatchObject({
      by: ['person:ada', 'person:eve'],
    })
  })

  it('says that the glass was broken, and nothing of what was shown or why', () => {
    const row = sketchApproval({ answers: [answerOf({ breakGlass: true, reason: 'a secret reason' })] })
    expect(read(row)).toMatchObject({ break_glass: true })
    expect(approvalText(row)).not.toMatch(/secret|amount|title/)
  })
})
