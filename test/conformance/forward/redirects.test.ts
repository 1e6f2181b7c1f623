import { describe, expect, test } from 'vitest'
import { startRig } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'
import { answering, rawServer } from '../../support/sockets.ts'

closeAfterEach()

/** One call to `/crm/customers/42`, which the upstream has below `/api`; `{up}` and `{us}` stand for the two authorities. */
async function follow(status: number, fields: string): Promise<{ answer: Response; up: string; us: string; connections: number }> {
  let up = ''
  const upstream = await opened(
    rawServer((connection) =>
      answering(`HTTP/1.1 ${status} X\r\n${fields.replaceAll('{up}', up)}\r\nContent-Length: 0\r\n\r\n`)(connection),
    ),
  )
  up = `127.0.0.1:${upstream.port}`
  const rig = await opened(startRig(upstream.port, { prefix: '/crm', basePath: '/api' }))
  const answer = await fetch(`${rig.url}/crm/customers/42?x=1`, { redirect: 'manual' })
  return { answer, up, us: `127.0.0.1:${rig.port}`, connections: upstream.connections.length }
}

describe('redirects are never followed', () => {
  test.each<[number, string, string]>([
    [301, 'http://{up}/api/customers/43', 'http://{us}/crm/customers/43'],
    [302, 'http://{up}/api/customers/43?y=%7E', 'http://{us}/crm/customers/43?y=%7E'],
    [303, 'HTTP://{up}/api/', 'http://{us}/crm/'],
    [307, '//{up}/api/x', 'http://{us}/crm/x'],
    [308, '/api/customers/43', '/crm/customers/43'],
    [302, '43', '/crm/customers/43'],
    [302, '../orders/1', '/crm/orders/1'],
    [302, './', '/crm/customers/'],
    [302, '?page=2', '?page=2'],
    [302, '#x', '#x'],
    [302, '/api/a#b', '/crm/a#b'],
    [302, '/api', '/crm/'],
    [201, 'http://{up}/api/customers/43', 'http://{us}/crm/customers/43'],
    [202, '/api/jobs/1', '/crm/jobs/1'],
  ])('%i to %s comes back as %s', async (status, location, expected) => {
    const { answer, us, connections } = await follow(status, `Location: ${location}`)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('location')).toBe(expected.replace('{us}', us))
    expect(connections).toBe(1)
  })

  test.each<[number, string]>([
    [301, 'https://partner.example/'],
    [302, 'http://partner.example/api/x'],
    [302, 'https://{up}/api/x'],
    [302, 'http://{up}/'],
    [302, 'http://{up}/apix'],
    [302, 'http://{up}/api/../admin'],
    [302, 'http://{up}/api/%2e%2e/admin'],
    [302, 'http://127.0.0.1:1/api/x'],
    [302, 'http://{up}@partner.example/api/x'],
    [302, 'http://localhost/api/x'],
    [303, '//partner.example/api/x'],
    [307, '/admin'],
    [308, '../../admin'],
    [302, '/\\partner.example'],
    [302, '/api/a b'],
    [302, 'javascript:alert(1)'],
    [302, 'file:///etc/passwd'],
    [300, 'https://partner.example/'],
    [399, 'https://partner.example/'],
  ])('%i to %s is refused', async (status, location) => {
    const { answer, connections } = await follow(status, `Location: ${location}`)
    expect(answer.status).toBe(502)
    expect(await answer.json()).toEqual({ code: 'forward.redirect', status: 502, reasons: [] })
    expect(answer.headers.get('location')).toBeNull()
    expect(connections).toBe(1)
  })

  test('a redirect without a location, and not-modified, pass', async () => {
    expect((await follow(302, 'X: y')).answer.status).toBe(302)
    const { answer } = await follow(304, 'Location: https://partner.example/')
    expect(answer.status).toBe(304)
    expect(answer.headers.get('location')).toBeNull()
  })

  test('a location elsewhere that redirects nowhere is dropped, since the effect is done', async () => {
    const { answer } = await follow(201, 'Location: https://partner.example/1\r\nContent-Location: https://partner.example/1')
    expect(answer.status).toBe(201)
    expect(answer.headers.get('location')).toBeNull()
    expect(answer.headers.get('content-location')).toBeNull()
  })

  test('the pages of a listing stay behind us, the way GitHub links them (RFC 8288)', async () => {
    const page = (number: number): string => `<http://{up}/api/repositories/1300192/issues?page=${number}>`
    const { answer, us } = await follow(
      200,
      `Link: ${page(2)}; rel="next", ${page(7)}; rel="last", <https://docs.partner.example/>; rel="help"`,
    )
    const ours = (number: number): string => `<http://${us}/crm/repositories/1300192/issues?page=${number}>`
    expect(answer.headers.get('link')).toBe(`${ours(2)}; rel="next", ${ours(7)}; rel="last"`)
  })

  test('content-location is mapped as location is', async () => {
    const { answer, us } = await follow(200, 'Content-Location: http://{up}/api/customers/42.json')
    expect(answer.headers.get('content-location')).toBe(`http://${us}/crm/customers/42.json`)
  })
})
