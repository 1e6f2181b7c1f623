import { describe, expect, it } from 'vitest'
import { signalNoun } from '../../src/admin/signals.ts'
import { SignalFault, Signals, type Given } from '../../src/signals.ts'
import { openSqlite } from '../../src/state/sqlite.ts'
import { sketchRow } from '../support/question.ts'

const noon = 1_790_000_000_000
const given: Given = {
  scope: 'resource',
  key: 'file:1',
  name: 'malware-scan',
  value: 'clean',
  source: 'scanner',
  ttl: 60_000,
  by: 'person:ada',
  reason: 'scanned',
}

function rig() {
  const state = openSqlite({ path: ':memory:', clock: () => noon })
  const done: string[] = []
  const signals = new Signals({
    book: state.signals,
    task: (id) => (id === 't_1' ? sketchRow({ id, caller: 'spiffe://a' }) : null),
    clock: () => noon,
    event: async ({ kind, by }) => void done.push(`${kind} by ${by}, ${state.signals.signals().length} count`),
    changed: (whose) => void done.push(`changed ${JSON.stringify(whose)}`),
  })
  const noun = signalNoun({ signals, book: state.signals })
  const http = (method: string, path: string, body: Readonly<Record<string, unknown>> | null = null, query = '') =>
    noun({
      method,
      path: path === '' ? [] : path.split('/').map(decodeURIComponent),
      query: new URLSearchParams(query),
      who: { method: 'local-key', name: null, groups: [] },
      body: async () => body,
    })
  return { signals, done, http, state }
}

describe('giving a signal', () => {
  it('is in the ledger before it counts, and withdrawing one counts first', async () => {
    const { signals, done } = rig()
    await signals.give(given)
    await signals.give({ ...given, scope: 'task', key: 't_1' })
    await signals.give({ ...given, scope: 'caller', key: 'spiffe://a' })
    await signals.withdraw(given, { by: 'person:ben', reason: 'wrong' })
    expect(await signals.withdraw(given, { by: 'person:ben', reason: 'wrong' })).toBeNull()
    await signals.withdraw({ ...given, scope: 'task', key: 't_1' }, { by: 'person:ben', reason: 'wrong' })
    expect(done).toEqual([
      'signal.given by person:ada, 0 count',
      'changed {}',
      'signal.given by person:ada, 1 count',
      'changed {"task":"t_1","caller":"spiffe://a"}',
      'signal.given by person:ada, 2 count',
      'changed {"caller":"spiffe://a"}',
      'changed {}',
      'signal.withdrawn by person:ben, 2 count',
      'changed {"task":"t_1","caller":"spiffe://a"}',
      'signal.withdrawn by person:ben, 1 count',
    ])
  })

  it.each<[string, Partial<Given>]>([
    ['a name that is no piece of a path', { name: 'malware.scan' }],
    ['a text of several lines', { value: 'a\nb' }],
    ['a text that is too long', { value: 'x'.repeat(257) }],
    ['what is no number', { value: Number.NaN }],
    ['a source that is empty', { source: '' }],
    ['no time', { ttl: 0 }],
    ['too long a time', { ttl: 8 * 86_400_000 }],
    ['an empty key', { key: '' }],
    ['a task that is not there', { scope: 'task', key: 't_2' }],
  ])('is refused with %s, and nothing is written', async (_, change) => {
    const { signals, done } = rig()
    await expect(signals.give({ ...given, ...change })).rejects.toThrow(SignalFault)
    expect(done).toEqual([])
  })

  it('does not count where it cannot be written', async () => {
    const { state } = rig()
    const lost = () => Promise.reject(new Error('the disk is full'))
    const signals = new Signals({ book: state.signals, task: () => null, clock: () => noon, event: lost, changed: () => undefined })
    await expect(signals.give(given)).rejects.toThrow('the disk is full')
    expect(state.signals.signals()).toEqual([])
  })
})

describe('signals of the admin port', () => {
  const said = { reason: 'scanned', by: 'ada' }
  const place = 'resource/file%3A1/malware-scan'

  it('are given, listed and withdrawn by somebody with a name', async () => {
    const { http } = rig()
    expect(await http('PUT', place, { ...said, value: true, ttl: '10m' })).toMatchObject({
      status: 200,
      json: {
        scope: 'resource',
        key: 'file:1',
        value: true,
        source: 'person:ada',
        by: 'person:ada',
        expires: new Date(noon + 600_000).toISOString(),
      },
    })
    expect(await http('GET', '', null, 'scope=resource&key=file:1')).toMatchObject({ json: { signals: [{ name: 'malware-scan' }] } })
    expect(await http('GET', '', null, 'key=other')).toMatchObject({ json: { signals: [] } })
    expect(await http('DELETE', place, said)).toMatchObject({ status: 200, json: { value: true } })
    expect(await http('DELETE', place, said)).toMatchObject({ status: 404 })
  })

  it('are refused when something is missing or malformed', async () => {
    const { http } = rig()
    for (const body of [
      null,
      { value: 1, ttl: '1m' },
      { ...said, ttl: '1m' },
      { ...said, value: {}, ttl: '1m' },
      { ...said, value: 1 },
      { ...said, value: 1, ttl: 60 },
      { ...said, value: 1, ttl: '1m', source: 1 },
    ])
      expect(await http('PUT', place, body), JSON.stringify(body)).toMatchObject({ status: 400 })
    expect(await http('PUT', place, { ...said, value: 1, ttl: '1ms' })).toMatchObject({ status: 409 })
    for (const path of ['everything/x/y', 'resource/x', 'resource/x/y/z']) expect(await http('PUT', path, said)).toBeNull()
    expect(await http('POST', place, said)).toBeNull()
  })
})
