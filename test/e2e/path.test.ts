import { expect, test } from 'vitest'
import { ask, routeTo, Running, TestUpstream } from '../support/running.ts'

test('a permitted call reaches its upstream with a lease in place of the identity, and leaves a decision and an outcome', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await Running.start({
    routes: { api: routeTo(`${upstream.url}/base`, 'api', { credential: 'api' }) },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
  })
  const svid = await running.svid()
  const answer = await ask(running.port(), '/api/things/1?x=%7E', { headers: { authorization: `Bearer ${svid}` } })
  expect(answer.status).toBe(200)
  expect(answer.headers['countersign-decision']).toBe('allow')
  expect(upstream.seen).toHaveLength(1)
  expect(upstream.seen[0]?.url).toBe('/base/things/1?x=%7E')
  const sent = upstream.seen[0]?.headers.authorization ?? ''
  expect(sent).toMatch(/^Bearer ey/)
  expect(sent).not.toContain(svid)
  const lines = running.entries().filter(({ id }) => id === answer.headers['countersign-call'])
  expect(lines.map(({ kind }) => kind)).toEqual(['decision', 'outcome'])
  expect(await running.verify()).toMatchObject({ ok: true, open: 0 })
})
