import { expect, test } from 'vitest'
import { agentId, ask, routeTo, Running, TestUpstream } from '../support/running.ts'

test('an upstream that cannot be reached counts among the failures that policy sees, as one that answers with an error does', async () => {
  const gone = await TestUpstream.start()
  const { url } = gone
  await gone[Symbol.asyncDispose]()
  await using bad = await TestUpstream.start((_request, response) => void response.writeHead(500).end())
  await using running = await Running.start({ routes: { gone: routeTo(url, 'gone'), bad: routeTo(bad.url, 'bad') } })
  const headers = { authorization: `Bearer ${await running.svid()}` }
  expect((await ask(running.port(), '/gone/x', { headers })).status).toBe(502)
  expect((await ask(running.port(), '/bad/x', { headers })).status).toBe(500)
  const { state } = running.sidecar.foundation
  const task = state.activeTasks(agentId)[0]?.id ?? ''
  expect(state.facts(task, agentId).task.failures).toBe(2)
})
