import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Line, type Place } from '../../../src/approve/line.ts'
import type { Question } from '../../../src/decide/decide.ts'
import { idSource } from '../../../src/id.ts'
import { Refusal } from '../../../src/refusal.ts'
import { sketchCall, sketchQuestion, sketchTarget, sketchTool } from '../../support/question.ts'

const time = { now: 1_790_000_000_000 }
const newId = idSource(() => time.now)

function asked(
  dependsOn: string | null = null,
  resource: string | null = null,
  effect: 'read' | 'write' = 'write',
  task = 't_1',
): Question {
  const question = sketchQuestion({ target: sketchTarget({ resource, tool: sketchTool({ effect }) }) })
  const call = { ...sketchCall(), id: newId('c'), carried: { token: null, transaction: null, prompt: null, dependsOn } }
  return { ...question, call, task: { ...question.task, row: { ...question.task.row, id: task } } }
}
const code = (attempt: () => unknown): string => {
  try {
    attempt()
    return 'nothing'
  } catch (error) {
    return Refusal.from(error).code
  }
}
function waiting(line: Line, question: Question): Place {
  const place = line.enter(question)
  const ahead = line.ahead(place)
  place.deferred = true
  place.depth = (ahead?.depth ?? 0) + 1
  return place
}

describe('the line of calls that wait', () => {
  it('has a call behind the one it names, as long as that is there, and never behind one that came later', () => {
    const line = new Line(() => time.now)
    const first = waiting(line, asked())
    const second = line.enter(asked(first.question.call.id))
    expect(line.ahead(second)).toBe(first)
    const self = asked()
    const own = line.enter({
      ...self,
      call: { ...self.call, carried: { token: null, transaction: null, prompt: null, dependsOn: self.call.id } },
    })
    expect(code(() => line.ahead(own))).toBe('approve.deferred')
    first.permitted = true
    line.leave(first.question.call)
    expect(line.ahead(second)).toBeNull()
    line.leave(second.question.call)
    expect(code(() => line.ahead(line.enter(asked(second.question.call.id))))).toBe('approve.deferred')
  })

  it('has what changes a resource behind the last deferred call on it, and what reads it behind none', () => {
    const line = new Line(() => time.now)
    const first = waiting(line, asked(null, 'file:1'))
    const second = waiting(line, asked(null, 'file:1'))
    expect([first.depth, second.depth]).toEqual([1, 2])
    expect(line.ahead(line.enter(asked(null, 'file:1')))).toBe(second)
    expect(line.concerns(asked(null, 'file:1'))).toBe(true)
    for (const other of [asked(null, 'file:2'), asked(null, 'file:1', 'read'), asked(null, null), asked(null, 'file:1', 'write', 't_2')]) {
      expect(line.concerns(other)).toBe(false)
      expect(line.ahead(line.enter(other))).toBeNull()
    }
  })

  it('tells nobody behind a call of another task, a forgotten one, or one of before or after', () => {
    const line = new Line(() => time.now)
    const first = waiting(line, asked())
    expect(code(() => line.ahead(line.enter(asked(first.question.call.id, null, 'write', 't_2'))))).toBe('approve.deferred')
    const before = newId('c')
    for (let at = 0; at < 300; at++) line.leave(line.enter(asked()).question.call)
    expect(code(() => line.ahead(line.enter(asked(before))))).toBe('approve.deferred')
    time.now += 1
    expect(code(() => line.ahead(line.enter(asked(newId('c')))))).toBe('nothing')
    time.now -= 1
    const later = newId('c')
    time.now -= 1
    expect(code(() => line.ahead(line.enter(asked(later))))).toBe('approve.deferred')
    expect(code(() => new Line(() => time.now + 10).ahead(line.enter(asked(before))))).toBe('approve.deferred')
  })

  it('never goes in a circle, whatever calls name and whoever leaves', () => {
    const steps = fc.array(fc.record({ behind: fc.option(fc.nat(20)), file: fc.option(fc.nat(2)), leaves: fc.boolean() }), {
      maxLength: 20,
    })
    fc.assert(
      fc.property(steps, (all) => {
        const line = new Line(() => time.now)
        const places: Place[] = []
        for (const { behind, file, leaves } of all) {
          const named = behind === null ? undefined : places[behind % (places.length + 1)]
          const question = asked(named?.question.call.id ?? null, file === null ? null : `file:${file}`)
          const place = line.enter(question)
          places.push(place)
          try {
            const ahead = line.ahead(place)
            place.deferred = true
            if (ahead !== null) {
              expect(ahead.number).toBeLessThan(place.number)
              place.depth = ahead.depth + 1
            }
          } catch (error) {
            expect(Refusal.from(error).code).toBe('approve.deferred')
          }
          if (leaves) line.leave(question.call)
        }
        for (const { question } of places) line.leave(question.call)
        expect(line.size).toBe(0)
      }),
    )
  })
})
