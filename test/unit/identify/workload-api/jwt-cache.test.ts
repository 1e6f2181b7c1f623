import { describe, expect, test } from 'vitest'
import type { CallLimits, JwtSvidWish } from '../../../../src/identify/workload-api/client.ts'
import { WorkloadApiFault } from '../../../../src/identify/workload-api/fault.ts'
import type { JwtSvid } from '../../../../src/identify/workload-api/jwt-answers.ts'
import { JwtCache } from '../../../../src/identify/workload-api/jwt-cache.ts'
import { parseSpiffeId } from '../../../../src/identify/spiffe-id.ts'
import { Secret } from '../../../../src/secret.ts'

const start = 1_800_000_000_000
const wish: JwtSvidWish = { audience: ['x'], id: null }

/** An endpoint of which each answer is a token that lives 100 s, unless it is told otherwise. */
function rig(mint: (now: number, asked: number) => Partial<JwtSvid> | WorkloadApiFault = () => ({})) {
  const time = { now: start }
  const asked: (JwtSvidWish & CallLimits)[] = []
  const fetch = (question: JwtSvidWish, limits: CallLimits): Promise<readonly JwtSvid[]> => {
    asked.push({ ...question, ...limits })
    const made = mint(time.now, asked.length)
    if (made instanceof WorkloadApiFault) return Promise.reject(made)
    const svid: JwtSvid = {
      id: parseSpiffeId('spiffe://acme.example/agent'),
      hint: '',
      token: new Secret(`token ${asked.length}`),
      audience: question.audience,
      issuedAt: time.now,
      expires: time.now + 100_000,
      ...made,
    }
    return Promise.resolve([svid])
  }
  const cache = new JwtCache(fetch, () => time.now)
  const get = async (of: JwtSvidWish = wish): Promise<string | undefined> => (await cache.get(of))[0]?.token.reveal()
  return { time, asked, cache, get }
}

const away = new WorkloadApiFault('unavailable', 'away')

describe('a token', () => {
  test('is kept until half of its life is over, then asked for anew', async () => {
    const { time, asked, get } = rig()
    expect(await get()).toBe('token 1')
    time.now = start + 49_999
    expect(await get()).toBe('token 1')
    time.now = start + 50_000
    expect(await get()).toBe('token 2')
    expect(asked).toHaveLength(2)
  })

  test('is kept for one ID and set of audiences, whatever their order', async () => {
    const { asked, get } = rig()
    await get({ audience: ['a', 'b'], id: null })
    await get({ audience: ['b', 'a'], id: null })
    expect(asked).toHaveLength(1)
    await get({ audience: ['a'], id: null })
    await get({ audience: ['a,b'], id: null })
    await get({ audience: ['a', 'b'], id: 'spiffe://acme.example/agent' })
    expect(asked).toHaveLength(4)
  })

  test('is asked for once by all who want it at the same time', async () => {
    const { asked, get } = rig()
    expect(await Promise.all([get(), get(), get()])).toEqual(['token 1', 'token 1', 'token 1'])
    expect(asked).toHaveLength(1)
  })

  test('that could not be had is asked for again by the next who wants it', async () => {
    const { get } = rig((_, count) => (count === 1 ? away : {}))
    await expect(get()).rejects.toBe(away)
    expect(await get()).toBe('token 2')
  })

  test('serves on while the endpoint is away, to the last millisecond of its life and not at its end', async () => {
    const { time, get } = rig((_, count) => (count === 1 ? {} : away))
    await get()
    time.now = start + 60_000
    expect(await get()).toBe('token 1')
    time.now = start + 99_999
    expect(await get()).toBe('token 1')
    time.now = start + 100_000
    await expect(get()).rejects.toBe(away)
  })

  test('is not asked for at every use while the endpoint is away, and a slow answer does not hold up who has one', async () => {
    const { time, asked, get } = rig((_, count) => (count === 1 ? {} : away))
    await get()
    time.now = start + 60_000
    for (let times = 0; times < 5; times++) await get()
    expect(asked).toHaveLength(2)
    expect(asked.map(({ timeout }) => timeout)).toEqual([undefined, 1000])
    time.now += 1000
    await get()
    expect(asked).toHaveLength(3)
  })

  test('is forgotten when the endpoint says that the identity is no more', async () => {
    const denied = new WorkloadApiFault('permission-denied', 'gone')
    const { time, get } = rig((_, count) => (count === 2 ? denied : {}))
    await get()
    time.now = start + 60_000
    await expect(get()).rejects.toBe(denied)
    expect(await get()).toBe('token 3')
  })

  test('that comes when it has already expired is none', async () => {
    const { get } = rig((now) => ({ issuedAt: now - 200, expires: now }))
    await expect(get()).rejects.toMatchObject({ code: 'expired' })
  })

  test('that comes in the second half of its life is kept for a second all the same', async () => {
    const { time, asked, get } = rig((now) => ({ issuedAt: now - 90_000, expires: now + 10_000 }))
    await get()
    time.now += 999
    await get()
    expect(asked).toHaveLength(1)
    time.now += 1
    await get()
    expect(asked).toHaveLength(2)
  })

  test('of before is not given once everything was forgotten', async () => {
    const { cache, get, asked } = rig()
    await get()
    cache.clear()
    expect(await get()).toBe('token 2')
    const waiting = get({ audience: ['y'], id: null })
    cache.clear()
    await expect(waiting).rejects.toMatchObject({ code: 'permission-denied' })
    expect(asked).toHaveLength(3)
  })
})

test('a thousand are kept, and the oldest makes room', async () => {
  const { asked, get } = rig()
  for (let index = 0; index <= 1000; index++) await get({ audience: [String(index)], id: null })
  await get({ audience: ['1000'], id: null })
  expect(asked).toHaveLength(1001)
  await get({ audience: ['0'], id: null })
  expect(asked).toHaveLength(1002)
})
