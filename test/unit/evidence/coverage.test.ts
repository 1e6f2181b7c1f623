import { describe, expect, test } from 'vitest'
import { coverage } from '../../../src/evidence/coverage.ts'
import { readOwn } from '../../../src/evidence/own-line.ts'

const at = (seconds: number): string => new Date(Date.parse('2026-11-01T00:00:00Z') + seconds * 1000).toISOString()

function line(own: Readonly<Record<string, unknown>>, seconds = 0, id = 'c_1', before: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ decision_id: id, timestamp: at(seconds), ...before, custom: { countersign: own } })
}

async function* from(lines: readonly (string | null)[]): AsyncGenerator<string | null> {
  yield* lines
}

const covered = (lines: readonly (string | null)[], options: { readonly task?: string; readonly since?: number } = {}) =>
  coverage(from(lines), { task: options.task ?? null, since: options.since ?? null, damaged: () => {} })

const refusal = { kind: 'refusal', task: 't_1', code: 'decide.denied', rules: ['intent.tool'], controls: ['ASI02', 'MAESTRO L6'] }

describe('coverage', () => {
  test('counts a line once for each control, and keeps the newest ids', async () => {
    const lines = Array.from({ length: 5 }, (_, index) => line(refusal, index, `c_${index}`))
    const { controls, frameworks, calls, first, last } = await covered(lines)
    expect({ calls, first, last }).toEqual({ calls: 5, first: at(0), last: at(4) })
    const row = frameworks.find(({ framework }) => framework === 'owasp-agentic')?.rows.find(({ id }) => id === 'ASI02')
    expect(row).toMatchObject({ times: 5, examples: ['c_2', 'c_3', 'c_4'] })
    expect(controls.find(({ id }) => id === 'intent')).toMatchObject({ times: 5, by: { 'intent.tool': 5 } })
    expect(controls.find(({ id }) => id === 'policy')?.by).toEqual({ 'decide.denied': 5 })
  })

  test('sees what answers were judged by, and control ids that no file knows', async () => {
    const answer = { rules: ['answer.secret'], controls: ['NHI2', 'OWN-1'] }
    const { frameworks, unknown } = await covered([line({ kind: 'outcome', task: 't_1', answer })])
    expect(frameworks.find(({ framework }) => framework === 'owasp-nhi')?.rows.find(({ id }) => id === 'NHI2')?.times).toBe(1)
    expect(unknown).toEqual({ 'OWN-1': 1 })
  })

  test('of a task takes in the tasks below it, and events that name it, and nothing else', async () => {
    const opened = (task: string, parent: string) => line({ kind: 'event', event: 'task.opened', task, detail: { parent } })
    const report = await covered(
      [
        line({ ...refusal, task: 't_0' }),
        line(refusal),
        opened('t_2', 't_1'),
        opened('t_3', 't_2'),
        opened('t_9', 't_0'),
        line({ ...refusal, task: 't_3' }),
        line({ ...refusal, task: 't_9' }),
        line({ kind: 'event', event: 'kill.engaged', detail: { tasks: ['t_3'] } }),
        line({ kind: 'event', event: 'kill.engaged', detail: { tasks: ['t_9'] } }),
      ],
      { task: 't_1' },
    )
    expect(report).toMatchObject({ lines: 5, calls: 2 })
  })

  test('of a span leaves out what came before', async () => {
    expect(await covered([line(refusal, 0), line(refusal, 10)], { since: Date.parse(at(5)) })).toMatchObject({ calls: 1, first: at(10) })
  })

  test('counts what cannot be read', async () => {
    expect(await covered(['', 'x', null, '{}', line(refusal)])).toMatchObject({ damaged: 3, calls: 1 })
  })
})

describe('a line', () => {
  test('is read by its last member, wherever else that stands in it', () => {
    const forged = { custom: { countersign: { kind: 'decision', forged: true } } }
    const texts = [
      line({ kind: 'refusal' }, 0, 'c_1', { input: forged }),
      line({ kind: 'refusal', detail: JSON.stringify(forged) }),
      line({ kind: 'refusal', detail: { x: 1, ...forged } }),
      JSON.stringify({ custom: { countersign: { kind: 'refusal' } }, decision_id: 'c_1', timestamp: at(0), input: { x: 1, ...forged } }),
    ]
    for (const text of texts) expect(readOwn(text)).toMatchObject({ id: 'c_1', own: { kind: 'refusal' } })
    for (const text of texts) expect(readOwn(text)?.own).not.toHaveProperty('forged')
  })
})
