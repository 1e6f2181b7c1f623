import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { Command, countersign } from '../support/command-line.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-logs-'))
const key = join(folder, 'admin.key')
writeFileSync(key, 'a-local-key\n')
afterAll(() => rmSync(folder, { recursive: true }))

const line = (seq: number, kind: string, own: object = {}, id = `c_01JD00000000000000000000${String(seq).padStart(2, '0')}`): string =>
  JSON.stringify({ decision_id: id, timestamp: '2026-11-22T10:14:02.118000Z', custom: { countersign: { seq, kind, ...own } } })
const refused = (seq: number): string => line(seq, 'refusal', { code: 'decide.denied', tool: `tool.${seq}` })

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** An admin port that answers each request with the next of these streams, and ends it; the last stays open. */
async function answering(
  streams: readonly string[],
): Promise<{ readonly at: string[]; readonly seen: (string | undefined)[]; readonly paths: string[] }> {
  const seen: (string | undefined)[] = []
  const paths: string[] = []
  const server = createServer((incoming, response) => {
    seen.push(incoming.headers['last-event-id'] as string | undefined)
    paths.push(incoming.url ?? '')
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(streams[seen.length - 1] ?? '')
    if (seen.length < streams.length) response.end()
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { at: ['--addr', `127.0.0.1:${(server.address() as AddressInfo).port}`, '--key', key], seen, paths }
}

test('go on after the last line that they saw, and say in its place what was missed', async () => {
  const streams = [
    `id: 7\ndata: ${refused(7)}\n\nid: 9\n\n`,
    `: alive\n\nevent: gap\ndata: {"from":10,"to":19}\n\nid: 20\ndata: ${refused(20)}\n\n`,
  ]
  const compact = await answering(streams)
  await using logs = new Command(['logs', '-f', '--decision', 'deny,ask', ...compact.at])
  await logs.until(({ stdout }) => stdout.includes('tool.20'))
  const [first, gap, last] = logs.stdout.trim().split('\n')
  expect([first, last]).toEqual([expect.stringContaining('tool.7'), expect.stringContaining('tool.20')])
  expect(gap).toBe('--:--:--.---  ⋯  lines 10 to 19 are missing here: they were removed before they could be read')
  expect(compact.seen).toEqual([undefined, '9'])
  expect(compact.paths[0]).toBe('/v1/decisions?decision=deny%2Cask&last=50&calls=true&follow=true')
  // byte for byte means that nothing else goes to standard output
  const json = await answering(streams)
  await using stored = new Command(['logs', '-f', '-o', 'json', ...json.at])
  await stored.until(({ stdout }) => stdout.includes('tool.20'))
  expect(stored.stdout).toBe(`${refused(7)}\n${refused(20)}\n`)
  expect(stored.stderr).toContain('lines 10 to 19 are missing here')
})

test('read a pipe whose last line has no end, the newest of it, in colour or without', async () => {
  const input = [1, 2, 3].map(refused).join('\n')
  const runs = await Promise.all([
    countersign(['logs', '-', '-o', 'json'], { input }),
    countersign(['logs', '-', '-n', '2'], { input }),
    countersign(['logs', '-', '--color', 'always'], { input, env: { NO_COLOR: '1' } }),
    countersign(['logs', '-'], { input, env: { FORCE_COLOR: '0' } }),
    countersign(['logs', '-', '--not', '--tool', 'tool.1,tool.3', '-o', 'json'], { input }),
    countersign(['logs', '-', '--tool', 'none'], { input }),
  ])
  const [whole, newest, coloured, plain, rest, none] = runs.map(({ stdout }) => stdout)
  expect(runs.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0])
  expect(whole).toBe(`${input}\n`)
  expect(newest?.match(/tool\.\d/g)).toEqual(['tool.2', 'tool.3'])
  expect(coloured).toContain('\u001B[31m✗')
  expect(plain).not.toContain('\u001B')
  expect(rest).toBe(`${refused(2)}\n`)
  expect(none).toBe('')
})

test('say what a filter cannot be, and where there is no ledger', async () => {
  const runs = await Promise.all([
    countersign(['logs', '--decision', 'step_up', '-']),
    countersign(['logs', '--since', 'yesterday', '-']),
    countersign(['logs', '--color', 'blue', '-']),
    countersign(['logs', '--file', folder]),
    countersign(['logs', '-f', '--file', key]),
  ])
  expect(runs.map(({ code, stdout }) => [code, stdout])).toEqual(runs.map(() => [64, '']))
  expect(runs.map(({ stderr }) => stderr.split('\n')[0])).toEqual([
    'countersign logs: --decision: it takes allow, deny, ask, defer; several with commas',
    'countersign logs: --since: it takes a time such as 2026-11-22T10:00:00Z, or a span back from now such as 10m',
    'countersign logs: --color takes auto, always or never',
    `countersign logs: ${folder} holds no ledger: its files are named 000000000001.ndjson and so on`,
    'countersign logs: -f follows a running Countersign or a ledger folder; for a file: tail -f FILE | countersign logs -',
  ])
})
