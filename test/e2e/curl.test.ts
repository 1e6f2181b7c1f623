import { execFile, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { routeTo, Running, TestUpstream, type RunningOptions } from '../support/running.ts'

const found = spawnSync('curl', ['--version'], { encoding: 'utf8' })
const there = found.status === 0
if (!there) process.stderr.write('curl is not installed: test/e2e/curl.test.ts is skipped\n')
/** `--json` came with curl 7.82. */
const knowsJson = there && spawnSync('curl', ['--help', 'all'], { encoding: 'utf8' }).stdout.includes('--json')

const folder = mkdtempSync(join(tmpdir(), 'countersign-curl-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Curled {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs curl without the user's settings and without a proxy. */
function curl(...args: readonly string[]): Promise<Curled> {
  return new Promise((resolve) => {
    execFile(
      'curl',
      ['-q', '--silent', '--show-error', '--noproxy', '*', '--max-time', '20', ...args],
      { maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
}

const big = randomBytes(1_500_000).toString('base64') // 2 MB of text

/** An upstream that says what it got, and serves one document in ranges. */
function upstream(): Promise<TestUpstream> {
  return TestUpstream.start((request, response) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    if (request.url === '/document' && range !== null) {
      const [from, to] = [Number(range[1]), Number(range[2])]
      response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${big.length}`, 'accept-ranges': 'bytes' })
      response.end(big.slice(from, to + 1))
    } else if (request.url === '/document') response.writeHead(200, { 'content-length': big.length, etag: '"1"' }).end(big)
    else if (request.url === '/nothing') response.writeHead(204).end()
    else {
      const sha256 = createHash('sha256').update(request.body).digest('hex')
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ bytes: request.body.length, sha256, type: request.headers['content-type'] ?? null }))
    }
  })
}

function start(to: TestUpstream, more: Partial<RunningOptions> = {}): Promise<Running> {
  return Running.start({
    routes: { api: routeTo(to.url, 'api', { credential: 'api' }) },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    ...more,
  })
}

async function bearer(running: Running): Promise<readonly string[]> {
  return ['-H', `Authorization: Bearer ${await running.svid()}`]
}

test.skipIf(!knowsJson)('--json is forwarded with its type and bytes', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const { stdout } = await curl(...(await bearer(running)), '--json', '{"order": 1042, "ok":true}', running.url('/api/refunds'))
  expect(JSON.parse(stdout)).toMatchObject({ type: 'application/json' })
  expect(to.seen[0]).toMatchObject({ method: 'POST', url: '/refunds', body: '{"order": 1042, "ok":true}' })
})

test.skipIf(!there)('the SVID may stand in --user as a password, as oauth2 bearer, or in an API key header', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const svid = await running.svid()
  for (const [option, value] of [
    ['--user', `agent:${svid}`],
    ['--oauth2-bearer', svid],
    ['--header', `X-Goog-Api-Key: ${svid}`],
  ] as const) {
    const { stdout } = await curl(option, value, '-o', join(folder, 'out'), '-w', '%{http_code}', running.url(`/api/${option.slice(2)}`))
    expect(stdout, option).toBe('200')
  }
  expect(JSON.stringify(to.seen)).not.toContain(svid)
})

test.skipIf(!there)('an upload waits for 100 Continue, gets it once the call is permitted, and arrives whole', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const file = join(folder, 'big')
  writeFileSync(file, big)
  const { stdout, stderr } = await curl(
    ...(await bearer(running)),
    '-v',
    '-H',
    'Expect: 100-continue',
    '--expect100-timeout',
    '15',
    '-T',
    file,
    running.url('/api/upload'),
  )
  expect(stderr).toContain('< HTTP/1.1 100 Continue')
  expect(JSON.parse(stdout)).toMatchObject({ bytes: big.length, sha256: createHash('sha256').update(big).digest('hex') })
  await running.close()
  const outcome = running.entries().find(({ kind }) => kind === 'outcome')
  expect(outcome).toMatchObject({ bytes_out: big.length, body_sha256: createHash('sha256').update(big).digest('hex') })
})

test.skipIf(!there)('a refused upload is answered without 100 Continue, before a byte of it was sent', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const file = join(folder, 'refused')
  writeFileSync(file, big)
  const { stderr, stdout } = await curl(
    '-v',
    '-H',
    'Expect: 100-continue',
    '--expect100-timeout',
    '15',
    '-T',
    file,
    '-w',
    '\n%{http_code} %{size_upload}',
    running.url('/api/upload'),
  )
  expect(stderr).not.toContain('100 Continue')
  expect(stdout.split('\n').at(-1)).toBe('401 0')
  expect(to.seen).toEqual([])
})

test.skipIf(!there)('an upload of unknown length goes in chunks and arrives whole', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const file = join(folder, 'chunked')
  writeFileSync(file, big)
  const { stdout } = await curl(
    ...(await bearer(running)),
    '-X',
    'POST',
    '-H',
    'Transfer-Encoding: chunked',
    '-T',
    file,
    running.url('/api/up'),
  )
  expect(JSON.parse(stdout)).toMatchObject({ bytes: big.length, sha256: createHash('sha256').update(big).digest('hex') })
  expect(to.seen[0]?.headers['transfer-encoding']).toBe('chunked')
  expect(to.seen[0]?.headers['content-length']).toBeUndefined()
})

test.skipIf(!there)('HEAD has the headers and no body, 204 has neither length nor body, and the connection goes on', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const auth = await bearer(running)
  const format = ['-w', '%{http_code} %{size_download} %{num_connects}\n', '-o', join(folder, 'none')]
  const { stdout } = await curl(
    ...auth,
    ...format,
    '--head',
    running.url('/api/document'),
    '--next',
    '--silent',
    ...auth,
    ...format,
    running.url('/api/nothing'),
    '--next',
    '--silent',
    ...auth,
    ...format,
    running.url('/api/document'),
  )
  // the first opens the connection, the others use it again
  expect(stdout.trim().split('\n')).toEqual(['200 0 1', '204 0 0', `200 ${big.length} 0`])
  expect(to.seen.map(({ method }) => method)).toEqual(['HEAD', 'GET', 'GET'])
})

test.skipIf(!there)('a download is resumed by range', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const { stdout } = await curl(...(await bearer(running)), '-i', '--range', '1000-1999', running.url('/api/document'))
  expect(stdout).toContain('HTTP/1.1 206')
  expect(stdout.toLowerCase()).toContain(`content-range: bytes 1000-1999/${big.length}`)
  expect(stdout.endsWith(big.slice(1000, 2000))).toBe(true)
})

test.skipIf(!there)('the task may stand in the path or in the header, and must be the same in both', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const auth = await bearer(running)
  const opened = await curl(...auth, '-d', '{"purpose":"refund order 1042"}', running.url('/.countersign/v1/tasks'))
  const task = String(JSON.parse(opened.stdout).id)
  const code = async (...args: readonly string[]): Promise<string> =>
    (await curl(...auth, '-o', join(folder, 'task'), '-w', '%{http_code}', ...args)).stdout
  expect(await code(running.url(`/t/${task}/api/a`))).toBe('200')
  expect(await code('-H', `Countersign-Task: ${task}`, running.url('/api/b'))).toBe('200')
  expect(await code('-H', `Countersign-Task: ${task}`, running.url(`/t/${task}/api/c`))).toBe('200')
  expect(await code('-H', `Countersign-Task: ${task.slice(0, -1)}${task.endsWith('0') ? '1' : '0'}`, running.url(`/t/${task}/api/d`))).toBe(
    '400',
  )
  expect(await code(running.url('/api/e'))).toBe('403') // a task is open: it must be named
  expect(to.seen.map(({ url }) => url)).toEqual(['/a', '/b', '/c'])
  expect(to.seen.every(({ headers }) => headers['countersign-task'] === undefined)).toBe(true)
})

test.skipIf(!there)('dots and doubled slashes that are sent as they stand are refused, not mended', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const auth = await bearer(running)
  for (const path of ['/api/a/../b', '/api//a', '/api/%2e%2e/b', '/api/a%2fb', '/api/a%00']) {
    const { stdout } = await curl(...auth, '--path-as-is', '-o', join(folder, 'odd'), '-w', '%{http_code}', running.url(path))
    expect(stdout, path).toBe('400')
  }
  expect(to.seen).toEqual([])
})

test.skipIf(!there)('a refusal says on the terminal what was refused and why', async () => {
  await using to = await upstream()
  await using running = await start(to)
  const { stdout } = await curl('-i', running.url('/api/a'))
  expect(stdout).toContain('HTTP/1.1 401 Unauthorized')
  expect(stdout).toMatch(/www-authenticate: Bearer/i)
  expect(JSON.parse(stdout.slice(stdout.indexOf('{')))).toMatchObject({ code: 'identify.missing', status: 401 })
})
