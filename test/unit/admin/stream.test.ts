import { unlinkSync } from 'node:fs'
import { createServer, request, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { answerLedger } from '../../../src/admin/stream.ts'
import type { OpenRecorder } from '../../../src/record/recorder.ts'
import { Refusal } from '../../../src/refusal.ts'
import { rigPerTest, type LedgerRig } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()
const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

type Get = (query: string, headers?: Readonly<Record<string, string>>) => Promise<IncomingMessage>

/** A server that answers with this ledger and nothing else. */
async function serving(rig: LedgerRig, recorder: OpenRecorder): Promise<Get> {
  const ledger = { dir: rig.dir, watch: recorder, clock: () => rig.now }
  const server = createServer((incoming, response) => {
    answerLedger(incoming, response, new URL(incoming.url ?? '', 'http://a.invalid'), ledger).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return (query, headers = {}) =>
    new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: `/v1/decisions?${query}`, headers }, resolve)
        .on('error', reject)
        .end()
    })
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of answer.setEncoding('utf8')) text += String(part)
  return text
}

async function grown(): Promise<{ rig: LedgerRig; recorder: OpenRecorder; get: Get; stored: string[] }> {
  const rig = rigged()
  const recorder = await rig.open({ segmentBytes: 6000 })
  for (let call = 0; call < 6; call++) await rig.permitted(recorder)
  await rig.known(recorder).refuse(new Refusal('decide.denied'))
  await recorder.checkpoint()
  return { rig, recorder, get: await serving(rig, recorder), stored: rig.text().split('\n').slice(0, -1) }
}

describe('the stream', () => {
  test('gives each line under its number, byte for byte, and resumes after the last that was seen', async () => {
    const { get, stored } = await grown()
    const answer = await get('from=0&follow=false')
    expect(answer.headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const text = await textOf(answer)
    for (const [at, line] of stored.entries()) expect(text).toContain(`id: ${at + 1}\ndata: ${line}\n\n`)
    const resumed = await textOf(await get('from=0&follow=false', { 'last-event-id': '3' }))
    expect(resumed).not.toContain(`id: 3\n`)
    expect(resumed).toContain(`id: 4\ndata: ${stored[3]}\n\n`)
  })

  test('filters, and says by an id how far it has looked where nothing fits', async () => {
    const { get, stored } = await grown()
    const denied = await textOf(await get('decision=deny&last=50&follow=false'))
    expect([...denied.matchAll(/^data: (.*)$/gm)].map(([, line]) => line)).toEqual(
      stored.filter((line) => line.includes('"kind":"refusal"')),
    )
    const none = await textOf(await get('tool=not.there&last=50&follow=false'))
    expect(none).not.toContain('data:')
    expect(none).toContain(`id: ${stored.length}\n\n`)
  })

  test('tells a reader who comes back what was removed meanwhile', async () => {
    const { rig, get, stored } = await grown()
    const [gone = '', kept = ''] = rig.segments()
    unlinkSync(gone)
    const first = Number(/(\d{12})\.ndjson$/.exec(kept)?.[1])
    const text = await textOf(await get('follow=false', { 'last-event-id': '1' }))
    expect(text).toContain(`event: gap\ndata: {"from":2,"to":${first - 1}}\n\nid: ${first}\ndata: ${stored[first - 1]}\n\n`)
  })

  test('loses nothing for a reader that stops reading for a while', async () => {
    const { recorder, get } = await grown()
    const from = recorder.position().seq + 1
    const answer = await get(`from=${from}`)
    // not read while far more is written than any buffer between the two takes
    const note = 'x'.repeat(15_000)
    for (let at = 0; at < 120; at++) await recorder.event({ kind: 'note', by: 'test', detail: { at, note } })
    const newest = recorder.position().seq
    const ids: number[] = []
    let text = ''
    for await (const part of answer.setEncoding('utf8')) {
      text += String(part)
      for (const [, id] of text.matchAll(/^id: (\d+)\ndata: .*\n\n/gm)) ids.push(Number(id))
      text = text.slice(text.lastIndexOf('\n\n') + 2)
      if (ids.at(-1) === newest) break
    }
    expect(ids).toEqual(Array.from({ length: newest - from + 1 }, (_, at) => from + at))
  })

  test.each(['from=x', 'last=-1', 'decision=maybe', 'since=yesterday', 'kind=x', `tool=${'x'.repeat(3000)}`])(
    'refuses %s',
    async (query) => {
      const { get } = await grown()
      const answer = await get(query)
      expect([answer.statusCode, JSON.parse(await textOf(answer))]).toMatchObject([400, { status: 400 }])
    },
  )
})

describe('a page of JSON', () => {
  test('has the newest lines that fit, and says where to go on', async () => {
    const { get, stored } = await grown()
    const accept = { accept: 'application/json' }
    const seqs: number[] = []
    for (let before = ''; ;) {
      const answer = JSON.parse(await textOf(await get(`limit=4&not=true&decision=deny${before}`, accept)))
      seqs.push(...answer.lines.map((line: { custom: { countersign: { seq: number } } }) => line.custom.countersign.seq))
      if (answer.before === null) break
      before = `&before=${answer.before}`
    }
    const wanted = stored.flatMap((line, at) => (line.includes('"kind":"refusal"') ? [] : [at + 1]))
    expect(seqs).toEqual(wanted.toReversed())
    for (const wrong of ['limit=0', 'limit=1001', 'limit=x', 'before=x']) expect((await get(wrong, accept)).statusCode).toBe(400)
  })
})
