import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { givenDecision, writeGiven } from '../support/given.ts'
import { anyTool, routeTo, Running, TestUpstream, type RunningOptions, type Settings } from '../support/running.ts'

test('the operator is told of tools whose answers policy cannot judge, at the start and when a reload adds one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-given-'))
  await using upstream = await TestUpstream.start()
  const options = (...tools: Settings[]): RunningOptions => ({
    routes: { api: routeTo(upstream.url, 'api', { tools }) },
    settings: { decide: { bundle: { path: writeGiven(folder, givenDecision()), unsafe_unsigned: true } } },
  })
  const judged = anyTool('api.judged', { answer: 'head' })
  const told = (running: Running): unknown[] =>
    running.logged.map((line) => JSON.parse(line)).flatMap(({ code, tools }) => (code === 'CS1714' ? [tools] : []))
  {
    await using running = await Running.start(options(judged))
    expect(told(running)).toEqual([['api.judged']])
  }
  await using running = await Running.start(options(anyTool('api.any')))
  expect(told(running)).toEqual([])
  await running.reload(options(judged))
  expect(told(running)).toEqual([['api.judged']])
  await running.reload(options(anyTool('api.any')))
  expect(told(running)).toHaveLength(1)
  rmSync(folder, { recursive: true, force: true })
})
