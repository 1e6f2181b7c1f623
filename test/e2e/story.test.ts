import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { demonstrate, type DemonstrationOptions } from '../../src/demo/demonstrate.ts'
import { openSidecar } from '../../src/sidecar.ts'
import { countersign } from '../support/command-line.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-test-'))
beforeAll(() => void vi.stubEnv('TMPDIR', folder))
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

interface Told {
  readonly code: number
  readonly text: string
  /** Text of a paragraph by its title. */
  readonly paragraphs: ReadonlyMap<string, string>
}

/** Lets the story be told; `each` hears every line. */
async function told(options: Partial<DemonstrationOptions>, each: (line: string) => void = () => {}): Promise<Told> {
  const lines: string[] = []
  const code = await demonstrate({
    once: true,
    colour: false,
    ask: null,
    signal: new AbortController().signal,
    print: (text) => {
      lines.push(text)
      each(text)
    },
    open: (loaded) => openSidecar(loaded, { env: {}, log: pino({ level: 'silent' }), version: 'test' }),
    ...options,
  })
  const text = lines.join('\n')
  const parts = text.split(/^\d+\. /m).slice(1)
  return { code, text, paragraphs: new Map(parts.map((part) => [part.slice(0, part.indexOf('\n')), part])) }
}

describe('the story, when nobody is at the terminal', () => {
  let story: Told
  beforeAll(async () => (story = await told({})))

  test('is as told', () => {
    expect(story.text).toContain('Every step was as told.')
    expect(story.text).not.toContain('not as told')
    expect(story.code).toBe(0)
  })

  test('says at its start that its people are made up, and what the marks mean', () => {
    const start = story.text.slice(0, story.text.indexOf('\n1. '))
    expect(start).toMatch(/^CS1603 .*task\.agents\.0\.owners, task\.agents\.1\.owners, forward\.routes\.crm\.owner/)
    expect(start).toContain('ada, who approves and stops in this story, is made up')
    for (const mark of ['✓', '✗', '⏸', '·', '■', 'lease', 'ASI02']) expect(start).toContain(mark)
  })

  // one row a paragraph: its title, and what has to stand in it
  test.each<readonly [title: string, holds: readonly RegExp[]]>([
    ['A call without an identity is refused', [/^\$ curl -s http/m, /^401 identify\.missing/m]],
    ['A task is opened with an intent', [/^201 /m, /· {2}refund-agent .*task\.opened/]],
    ['The order is read, with a credential that the agent never saw', [/✓ .*crm\.order\.read .*lease/]],
    ['The same over mutual TLS', [/✓ .*mtls/]],
    ['A call outside the intent is refused', [/✗ .*intent\.tool/]],
    ['A mail to the partner goes out', [/✓ .*mail\.send/]],
    ['The customer is read: personal data', [/✓ .*crm\.customer\.read/]],
    ['The very same mail is refused now', [/✗ .*data\.beyond-destination/]],
    ['A risky call asks for a person', [/^403 approve\.required/m, /⏸ .*payments\.refund\.create .* a_\w{26}/]],
    [
      'A person is asked',
      [
        /\$ npm run -s cs -- approvals show a_\w{26} --addr .* --key-pair .*ada\.key$/m,
        /│ body +\{"order":"1042","amount":180\}/,
        /│ why +a call of this risk needs a person/,
        /the demonstration answers in the name of ada, who is made up/,
        /\$ npm run -s cs -- approvals approve a_/,
        /· {2}person:ada .*approval\.answered {2}a_\w+ {2}approve {2}"the lamp arrived broken/,
        /· {2}person:ada .*approval\.approved/,
      ],
    ],
    ['The same call is made again, and passes', [/^201 \{"refunded"/m, /✓ .*approved by ada {2}lease/]],
    ['A part of the task is handed to another agent', [/\/hand-off$/m, /^201 \{"id":"g_/m, /task\.handed-on {2}to order-reader/]],
    ['The order reader takes it up', [/reader\.jwt/, /"grant":"g_/, /· {2}order-reader .*task\.opened/]],
    ['The order reader reads the order', [/✓ {2}order-reader .*crm\.order\.read .*lease/]],
    ['It may do less than the agent it works for', [/^403 decide\.denied/m, /✗ {2}order-reader .*intent\.resource, intent\.tool/]],
    [
      'What it spends, the task spends',
      [
        /\$ npm run -s cs -- task tree t_/,
        /^ {2}t_\w{26} .* refund-agent .* calls 6\/200 {2}refunds_eur 180\/200/m,
        /^ {2}└─ t_\w{26} .* order-reader .* calls 1\/5/m,
      ],
    ],
    ['The order reader watches the order: a stream', [/\$ curl -sN /, /^200\ndata: .*\ndata: .*\ndata: .*\n…/m]],
    [
      'The order reader is stopped in the middle of it',
      [
        /\$ npm run -s cs -- kill agent spiffe:\/\/acme\.example\/ns\/support\/sa\/order-reader --reason ".+" --addr/,
        /^calls cut: 1, tasks ended: 1, /m,
        /^the stream is cut after \d+ events$/m,
        /■ {2}person:ada .*kill\.engaged/,
        /✗ {2}order-reader .*crm\.order\.watch .*kill\.engaged .* 200 {2}cut/,
        /task\.revoked/,
        /lease\.revoked/,
        /kill\.completed/,
      ],
    ],
    ['The order reader gets nothing any more', [/^403 kill\.engaged/m]],
    ['The refund agent goes on', [/✓ {2}refund-agent .*crm\.order\.read/]],
    ['A person with a name lifts it', [/\$ npm run -s cs -- lift k_/, /^lifted by person:ada$/m, /■ {2}person:ada .*kill\.lifted/]],
    ['The task is completed', [/· {2}refund-agent .*task\.completed/, /lease\.revoked/]],
    ['A late call is refused', [/^403 task\.ended/m]],
    ['The old credential is dead', [/^401 .*revoked/m]],
    ['The ledger is verified', [/^intact: \d+ lines/m]],
    ['One bit of a copy is flipped', [/^record \d+: /m]],
  ])('tells: %s', (title, holds) => {
    const paragraph = story.paragraphs.get(title) ?? ''
    for (const pattern of holds) expect(paragraph).toMatch(pattern)
  })

  test('tells nothing beyond that, in lines a terminal can show', () => {
    expect(story.paragraphs.size).toBe(26)
    expect(story.text).not.toMatch(/[^\P{C}\n]|[\u2028\u2029]/u)
  })
})

test('whoever sits at the terminal may decline: the refund stays refused, and the story goes on', async () => {
  const { code, paragraphs } = await told({ ask: () => Promise.resolve({ verdict: 'decline', reason: 'not that much' }) })
  expect(paragraphs.get('A person is asked')).toMatch(/You answer as ada\..*\n\$ .*approvals decline a_\w+ --reason "not that much"/)
  expect(paragraphs.get('A person is asked')).not.toContain('in the name of')
  expect(paragraphs.get('The same call is made again, and stays refused')).toMatch(/^403 approve\.declined/m)
  expect(paragraphs.get('What it spends, the task spends')).toContain('refunds_eur 0/200')
  expect(code).toBe(0)
})

test('who does not answer in time is answered for, and it stays up with commands that work as they stand', async () => {
  const stop = new AbortController()
  const tried: Promise<unknown>[] = []
  const { code, text, paragraphs } = await told({ once: false, ask: () => Promise.resolve(null), signal: stop.signal }, (line) => {
    if (!line.startsWith('export COUNTERSIGN_ADDR')) return
    const env = Object.fromEntries(Array.from(line.matchAll(/(COUNTERSIGN_\w+)=(\S+)/g), ([, name = '', value = '']) => [name, value]))
    const run = (...args: string[]) => countersign(args, { env })
    const stopped = run('approvals').then(async (listed) => [
      listed,
      await run('task', 'tree'),
      await run('kill', 'tool', 'mail.send', '--reason', 'x'),
    ])
    tried.push(stopped.finally(() => stop.abort()))
  })
  expect(paragraphs.get('A person is asked')).toContain('Nobody answered: the demonstration answers in the name of ada')
  expect(await Promise.all(tried)).toEqual([
    [expect.objectContaining({ code: 0 }), expect.objectContaining({ code: 0 }), expect.objectContaining({ code: 0 })],
  ])
  for (const command of ['approvals', 'task tree', 'kill task $TASK', 'policy explain c_', 'evidence verify'])
    expect(text).toContain(`\nnpm run -s cs -- ${command}`)
  expect(code).toBe(0)
})
