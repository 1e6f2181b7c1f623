import { spawnSync } from 'node:child_process'
import { delimiter, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Example, scriptedModel } from '../support/example-rig.ts'
import { TestUpstream } from '../support/running.ts'

/** LangGraph, where it is installed: `npm run engines -- langgraph`. */
const own = join(resolve(import.meta.dirname, '../..'), '.engines/langgraph')
const env = { PYTHONPATH: [own, process.env['PYTHONPATH'] ?? ''].filter(Boolean).join(delimiter), PYTHONDONTWRITEBYTECODE: '1' }
const asked = spawnSync('python3', ['-c', 'import langgraph.graph, langchain_openai'], { env: { ...process.env, ...env } })
const title =
  asked.status === 0 ? 'LangGraph' : 'LangGraph (left out: it is neither in .engines/langgraph nor among the packages of python3)'
if (asked.status !== 0) console.log('test/engines/langgraph.test.ts is left out: there is no LangGraph')

describe.skipIf(asked.status !== 0)(title, () => {
  test('langgraph-agent lets the model read an order within one task, with credentials that the agent never sees', async () => {
    await using model = await scriptedModel()
    await using upstream = await TestUpstream.start((_, response) => response.writeHead(200).end('{"paid":true}'))
    const options = { name: 'langgraph-agent', to: { openai: model.url, crm: upstream.url }, files: { 'openai-key': 'sk-real-4e0a' } }
    await using example = await Example.start(options)
    const { code, stdout, stderr } = await example.run('python3', ['agent.py', 'Was order 1042 paid?'], env)
    expect([code, stdout], stderr).toEqual([0, 'The order says: {"paid":true}\n'])
    expect(model.seen.map(({ authorization }) => authorization)).toEqual(['Bearer sk-real-4e0a', 'Bearer sk-real-4e0a'])
    const decisions = example.entries().filter(({ kind }) => kind === 'decision')
    expect(decisions.map(({ tool }) => tool)).toEqual(['openai.chat', 'crm.order.read', 'openai.chat'])
    expect(new Set(decisions.map(({ task }) => task)).size).toBe(1)
    expect(example.entries().map(({ event }) => event)).toContain('task.completed')
  })
})
