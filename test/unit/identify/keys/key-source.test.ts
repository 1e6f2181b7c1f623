import { afterEach, describe, expect, test } from 'vitest'
import { keyDocument } from '../../../../src/identify/keys/key-document.ts'
import { KeySource } from '../../../../src/identify/keys/key-source.ts'
import { KeptLog, KeyServer, keysUrl, refusalOf, settled, TestClock } from '../../../support/identity-rig.ts'
import { Issuer, signingKey } from '../../../support/issuer.ts'

const one = signingKey('ES256', 'one')
const two = signingKey('ES256', 'two')
const first = new Issuer({ keys: [one] })
const both = new Issuer({ keys: [one, two] })
const maxAge = 3_600_000

const opened: KeySource[] = []
afterEach(() => {
  for (const source of opened.splice(0)) source.close()
})

interface Rig {
  readonly keys: KeySource
  readonly server: KeyServer
  readonly clock: TestClock
  readonly log: KeptLog
}

async function overUrl(document: string | Error): Promise<Rig> {
  const [clock, log] = [new TestClock(), new KeptLog()]
  const server = new KeyServer(typeof document === 'string' ? document : '')
  if (document instanceof Error) server.answer = () => Promise.reject(document)
  const keys = new KeySource({
    document: keyDocument({ url: keysUrl }, server.fetch),
    format: null,
    maxAge,
    interval: null,
    clock: clock.now,
    log,
    trustDomain: 'acme.example',
  })
  opened.push(keys)
  await settled()
  return { keys, server, clock, log }
}

function serve({ server }: Rig, document: string): void {
  server.answer = () => new Response(document)
}

function warnings({ log }: Rig): readonly string[] {
  return log.lines.filter(({ level }) => level === 'warn').map(({ members }) => String((members as { fault?: string }).fault))
}

describe('keys behind a URL', () => {
  test('are there at once after the first reading', async () => {
    const rig = await overUrl(first.bundle())
    expect(rig.keys.ready()).toBe(true)
    expect(rig.keys.find('one')).toMatchObject({ kid: 'one' })
    expect(rig.server.asked).toBe(1)
  })

  test('are waited for by a call that comes during the first reading', async () => {
    const [clock, log, server] = [new TestClock(), new KeptLog(), new KeyServer(first.bundle())]
    const keys = new KeySource({
      document: keyDocument({ url: keysUrl }, server.fetch),
      format: null,
      maxAge,
      interval: null,
      clock: clock.now,
      log,
      trustDomain: 'acme.example',
    })
    opened.push(keys)
    expect(keys.ready()).toBe(false)
    expect(keys.generation()).toBe(-1)
    expect(await keys.find('one')).toMatchObject({ kid: 'one' })
    expect(server.asked).toBe(1)
  })

  test.each([
    ['the server cannot be reached', new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') }), 'ECONNREFUSED'],
    ['the document is none', '<html>', 'JSON'],
    ['the document has one kid twice', both.bundle().replace('"two"', '"one"'), 'kid'],
  ])('are unavailable when %s, which the operator is told once', async (_, document, word) => {
    const rig = await overUrl(document)
    expect(rig.keys.ready()).toBe(false)
    expect(await refusalOf(() => rig.keys.find('one'))).toMatchObject({ code: 'identify.unavailable' })
    await rig.keys.refresh()
    expect(warnings(rig)).toEqual([expect.stringContaining(word)])
  })

  test.each([404, 500, 204, 304])('are not taken from an answer with status %d', async (status) => {
    const rig = await overUrl(first.bundle())
    rig.server.answer = () => new Response(status === 204 || status === 304 ? null : both.bundle(), { status })
    await rig.keys.refresh()
    expect(warnings(rig)).toEqual([`answered ${status}`])
    expect(rig.keys.find('one')).toMatchObject({ kid: 'one' })
  })

  test('are not taken from an answer larger than 1 MiB, which is not read to its end', async () => {
    const rig = await overUrl(first.bundle())
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>({ pull: (out) => (pulled++, out.enqueue(new Uint8Array(65_536).fill(0x20))) })
    rig.server.answer = () => new Response(endless)
    await rig.keys.refresh()
    expect(warnings(rig)).toEqual(['larger than 1 MiB'])
    expect(pulled).toBeLessThan(32)
  })

  test('are not taken from an answer that was redirected', async () => {
    const rig = await overUrl(first.bundle())
    rig.server.answer = () => Object.defineProperty(new Response(both.bundle()), 'redirected', { value: true })
    await rig.keys.refresh()
    expect(await rig.keys.find('two')).toBeNull()
  })
})

describe('[Countersign: when keys are read again] a kid not seen before', () => {
  test('makes the document be read again, once for all who ask at the same time', async () => {
    const rig = await overUrl(first.bundle())
    serve(rig, both.bundle({ spiffe_sequence: 2 }))
    const found = await Promise.all(Array.from({ length: 50 }, async () => rig.keys.find('two')))
    expect(found.every((key) => key?.kid === 'two')).toBe(true)
    expect(rig.server.asked).toBe(2)
  })

  test('does so at most once in 30 s, however many ask', async () => {
    const rig = await overUrl(first.bundle())
    for (let ask = 0; ask < 100; ask++) expect(await rig.keys.find(`unknown-${ask}`)).toBeNull()
    expect(rig.server.asked).toBe(2)
    rig.clock.move(29_999)
    await rig.keys.find('unknown')
    expect(rig.server.asked).toBe(2)
    rig.clock.move(1)
    await rig.keys.find('unknown')
    expect(rig.server.asked).toBe(3)
  })

  test('is not found any sooner because the clock went back', async () => {
    const rig = await overUrl(first.bundle())
    await rig.keys.find('unknown')
    rig.clock.move(-1000)
    await rig.keys.find('unknown')
    await rig.keys.find('unknown')
    expect(rig.server.asked).toBe(3)
  })

  test('is simply unknown when reading again fails', async () => {
    const rig = await overUrl(first.bundle())
    rig.server.answer = () => Promise.reject(new Error('down'))
    expect(await rig.keys.find('two')).toBeNull()
    expect(rig.keys.find('one')).toMatchObject({ kid: 'one' })
  })
})

describe('[Countersign: how long a bundle serves] keys that cannot be read again', () => {
  test('serve until their max age and then nothing does, until they are read again', async () => {
    const rig = await overUrl(first.bundle())
    rig.server.answer = () => Promise.reject(new Error('down'))
    const generation = rig.keys.generation()
    rig.clock.move(maxAge - 1)
    await rig.keys.refresh()
    expect(rig.keys.find('one')).toMatchObject({ kid: 'one' })
    expect(rig.keys.generation()).toBe(generation)
    rig.clock.move(1)
    expect(rig.keys.ready()).toBe(false)
    expect(rig.keys.generation()).toBe(-1)
    expect(await refusalOf(() => rig.keys.find('one'))).toMatchObject({ code: 'identify.unavailable' })
    serve(rig, first.bundle())
    rig.clock.move(30_000)
    expect(await rig.keys.find('one')).toMatchObject({ kid: 'one' })
  })

  test('are read again when the clock has gone back, for their age means nothing then', async () => {
    const rig = await overUrl(first.bundle())
    rig.clock.move(-30_000)
    expect(rig.keys.ready()).toBe(false)
    expect(await rig.keys.find('one')).toMatchObject({ kid: 'one' })
    expect(rig.keys.ready()).toBe(true)
    expect(rig.server.asked).toBe(2)
  })
})

describe('[Trust Domain and Bundle §4.1.1] a new document', () => {
  test('replaces the one before as a whole and changes the generation', async () => {
    const rig = await overUrl(both.bundle())
    const before = rig.keys.generation()
    serve(rig, first.bundle({ spiffe_sequence: 2 }))
    await rig.keys.refresh()
    expect(rig.keys.generation()).not.toBe(before)
    expect(await rig.keys.find('two')).toBeNull()
  })

  test('that is the old one changes nothing', async () => {
    const rig = await overUrl(first.bundle())
    const before = rig.keys.generation()
    await rig.keys.refresh()
    expect(rig.keys.generation()).toBe(before)
  })

  test.each([
    ['lower', { spiffe_sequence: 4 }],
    ['gone', { spiffe_sequence: undefined }],
  ])('whose sequence is %s is an old one played again: refused, and the keys grow old', async (_, extra) => {
    const rig = await overUrl(first.bundle({ spiffe_sequence: 5 }))
    serve(rig, both.bundle(extra))
    rig.clock.move(maxAge - 1)
    await rig.keys.refresh()
    expect(warnings(rig)).toEqual([expect.stringContaining('spiffe_sequence went from 5')])
    rig.clock.move(1)
    expect(rig.keys.ready()).toBe(false)
  })

  test('is compared by every digit of its sequence', async () => {
    const text = (digits: string): string => first.bundle().replace('"spiffe_sequence":1', `"spiffe_sequence":${digits}`)
    const rig = await overUrl(text('9007199254740993'))
    serve(rig, text('9007199254740992'))
    await rig.keys.refresh()
    expect(warnings(rig)).toHaveLength(1)
  })

  test('with a key that must not be used says so to the operator', async () => {
    const rig = await overUrl(JSON.stringify({ keys: [{ kty: 'oct', k: 'AA', kid: 'sym', use: 'jwt-svid' }] }))
    expect(rig.log.lines.at(-1)).toMatchObject({ level: 'warn', members: { leftOut: [expect.stringContaining('symmetric')] } })
  })
})

test('readings asked for at the same time are one', async () => {
  const rig = await overUrl(first.bundle())
  await Promise.all([rig.keys.refresh(), rig.keys.refresh(), rig.keys.find('unknown')])
  expect(rig.server.asked).toBe(2)
})

test('a closed source reads no more', async () => {
  const rig = await overUrl(first.bundle())
  rig.keys.close()
  rig.server.answer = () => Promise.reject(new Error('asked after the end'))
  await rig.keys.refresh()
  expect(warnings(rig)).toEqual([])
})
