import * as fc from 'fast-check'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { describe, expect, test } from 'vitest'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { verifyLedger } from '../../src/record/verify.ts'
import { edited, randomEdits, someEdits } from '../support/edits.ts'
import { fuzzTargets } from '../support/fuzz-targets.ts'
import { Random, seedOf } from '../support/random.ts'
import { agentId, ask, audience, configText, routeTo, TestUpstream } from '../support/running.ts'
import { SidecarProcess } from '../support/sidecar-process.ts'

const long = env['COUNTERSIGN_LONG'] === '1'
const numRuns = long ? 200_000 : 300
/** Header blocks that a running process is sent, and how many at the same time. */
const blocks = long ? 1_000_000 : 1500
const atOnce = 32
const seed = seedOf(env)

describe(`whatever bytes it is given, seed ${seed}`, () => {
  test.each(fuzzTargets)(
    'the reader of $name takes them or says what is wrong with them',
    ({ seeds, words, run }) => {
      fc.assert(
        fc.property(fc.nat(seeds.length - 1), someEdits, (at, edits) => run(edited(seeds[at] ?? Buffer.alloc(0), edits, words))),
        { seed, numRuns },
      )
    },
    long ? 1_800_000 : 20_000,
  )

  test.each(fuzzTargets)('the reader of $name takes what these are made from', ({ seeds, run }) => {
    for (const bytes of seeds) expect(() => run(Buffer.from(bytes))).not.toThrow()
  })
})

const head = (token: string): string =>
  `POST /api/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nCookie: a=b; c="d"\r\nAccept: */*;q=0.5\r\nCountersign-Task: t_01JD00000000000000000000AB\r\nConnection: close\r\n\r\n{}`
const words = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ': ',
  ':',
  ' ',
  '\t',
  '__proto__: x\r\n',
  'constructor: x\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Content-Length: 9\r\n',
  'Host: b\r\n',
  'Connection: authorization\r\n',
  'Expect: 100-continue\r\n',
  'Upgrade: h2c\r\n',
  'HTTP/1.0',
  'HTTP/2.0',
  'CONNECT ',
  'TRACE ',
  '%00',
  '/../',
  'Bearer ',
  'DPoP ',
  'Basic Og==',
  'x_y: z\r\n',
  '\x80',
  '\r\n\r\n',
  'Prefer: wait=9\r\n',
  'traceparent: 00-',
  'Trailer: x\r\n',
  'Range: bytes=0-\r\n',
]

/** Sends it on a connection of its own; resolves, when that is over, with the status of the answer or null. */
function sent(port: number, bytes: Buffer): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? null))
    socket.end(bytes)
  })
}

test(
  `${blocks} changed header blocks end no process: each is answered or cut, and an honest call goes on`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-fuzz-'))
    await using upstream = await TestUpstream.start()
    const issuer = await developmentIssuer('acme.example')
    const token = await issuer.mint(agentId, audience, 86_400)
    writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
    writeFileSync(join(folder, 'countersign.yaml'), configText({ routes: { api: routeTo(upstream.url, 'api') } }))
    await using running = await SidecarProcess.start(join(folder, 'countersign.yaml'))
    const random = new Random(seed)
    const whole = Buffer.from(head(token), 'latin1')
    const tally = new Map<string, number>()
    let left = blocks
    const lane = async (): Promise<void> => {
      for (; left > 0 && running.alive; left--) {
        const status = await sent(running.port(), edited(whole, randomEdits(random), words))
        tally.set(status ?? 'none', (tally.get(status ?? 'none') ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, lane))
    console.log(
      `fuzz: seed ${seed}, ${blocks} header blocks, answers ${JSON.stringify(Object.fromEntries([...tally].toSorted(([one], [other]) => (one < other ? -1 : 1))))}`,
    )
    expect(running.alive, running.logged.slice(-3).join('\n')).toBe(true)
    expect(tally.get('500') ?? 0).toBe(0)
    const honest = await ask(running.port(), '/api/honest', { headers: { authorization: `Bearer ${token}` } })
    expect(honest).toMatchObject({ status: 200 })
    expect(await running.stop()).toBe(0)
    expect(await verifyLedger(join(folder, 'ledger'), running.key)).toMatchObject({ ok: true, open: 0 })
    rmSync(folder, { recursive: true, force: true })
  },
  long ? 3_600_000 : 60_000,
)
