import { describe, expect, test } from 'vitest'
import type { DpopRules } from '../../../src/identify/dpop/dpop.ts'
import { makeIdentify, type Caller } from '../../../src/identify/identify.ts'
import { ProofMemory } from '../../../src/identify/dpop/proofs.ts'
import { upstreamHeaders } from '../../../src/forward/headers.ts'
import type { Call } from '../../../src/listen/call.ts'
import { agentKey, callOf, dpopCall, prove, type AgentKey, type Proving } from '../../support/dpop.ts'
import { bearer, callWith, openedSource, refusalOf, TestClock } from '../../support/identity-rig.ts'
import { Issuer } from '../../support/issuer.ts'

interface Rig {
  readonly clock: TestClock
  readonly issuer: Issuer
  readonly key: AgentKey
  readonly token: string
  readonly memory: ProofMemory
  readonly identify: (call: Call) => Caller | Promise<Caller>
  /** A proof for the token, made now. */
  readonly proof: (more?: Partial<Proving>) => Promise<string>
  /** The stage over the same source and memory, as after a reload. */
  readonly again: (rules?: DpopRules, memory?: ProofMemory) => (call: Call) => Caller | Promise<Caller>
}

async function rig(rules: DpopRules = { window: 60_000, nonce: 'as-needed' }, most?: number): Promise<Rig> {
  const clock = new TestClock()
  const issuer = new Issuer({ clock: clock.now, lifetime: 1_000_000 })
  const { source } = await openedSource(issuer.bundle(), { clock, config: { max_age: '7d' } })
  const memory = new ProofMemory(clock.now(), most)
  const again: Rig['again'] = (dpop = rules, proofs = memory) => makeIdentify({ sources: [source], clock: clock.now, dpop, proofs })
  clock.move(60_000)
  const key = await agentKey()
  const token = issuer.mint({ claims: { cnf: { jkt: key.jkt } } })
  const proof: Rig['proof'] = (more = {}) => prove({ key, token, now: clock.now(), ...more })
  return { clock, issuer, key, token, memory, identify: again(), proof, again }
}

const reason = async (work: () => unknown): Promise<string> => (await refusalOf(work))?.reasons.join() ?? 'accepted'
const replayed = 'the DPoP proof was used before: make a new one for every request, also when trying again'
const nonceNeeded = 'the DPoP proof needs the nonce in the header DPoP-Nonce: make a new one with it'
const unproven = 'the token is bound to a key, and the request does not prove that its sender holds it'

describe('the scheme of a token', () => {
  test.each([
    ['a bearer token', (token: string) => ({ authorization: `Bearer ${token}` })],
    ['an API key', (token: string) => ({ 'x-api-key': token })],
    ['a Google API key', (token: string) => ({ 'x-goog-api-key': token })],
    ['a Basic password', (token: string) => ({ authorization: `Basic ${Buffer.from(`a:${token}`).toString('base64')}` })],
    ['a bearer token for the proxy', (token: string) => ({ 'proxy-authorization': `Bearer ${token}` })],
  ])('[RFC 9449 §7.2] a bound token is refused as %s, with a good proof beside it or none', async (_, headers) => {
    const { token, identify, proof } = await rig()
    const refusal = await refusalOf(() => identify(callWith(headers(token))))
    expect(refusal).toMatchObject({ code: 'identify.rejected', reasons: [unproven] })
    expect(refusal?.headers['WWW-Authenticate']).toMatch(/^DPoP error="invalid_token", algs="/)
    const beside = callOf([...Object.entries(headers(token)), ['dpop', await proof()]])
    expect(await reason(() => identify(beside))).toBe(unproven)
    // nor once it is known
    expect(await identify(dpopCall(token, [await proof()]))).toMatchObject({ confirmed: 'dpop' })
    expect(await reason(() => identify(callWith(headers(token))))).toBe(unproven)
  })

  test('[RFC 9449 §7.1] a token that is bound to nothing, or to a certificate, is refused under DPoP', async () => {
    const { issuer, identify, proof } = await rig()
    for (const claims of [{}, { cnf: { 'x5t#S256': 'A'.repeat(43) } }]) {
      const token = issuer.mint({ claims })
      const call = dpopCall(token, [await proof({ token })])
      expect(await reason(() => identify(call))).toBe('the token was sent as DPoP and is not bound to a DPoP key')
    }
  })

  test('[RFC 9449 §7.1] the scheme is read in any case, for the proxy too', async () => {
    const { token, identify, proof } = await rig()
    for (const [name, scheme] of [
      ['authorization', 'dpop'],
      ['authorization', 'DPOP'],
      ['proxy-authorization', 'DPoP'],
    ] as const) {
      const call = callOf([
        [name, `${scheme} ${token}`],
        ['dpop', await proof()],
      ])
      expect(await identify(call)).toMatchObject({ confirmed: 'dpop' })
    }
  })

  test('[RFC 9449 §7.1] a proof beside a plain bearer token counts for nothing, good or bad', async () => {
    const { issuer, identify, proof } = await rig()
    const token = issuer.mint()
    for (const text of [await proof({ token }), 'rubbish']) {
      const call = callOf([
        ['authorization', `Bearer ${token}`],
        ['dpop', text],
        ['dpop', text],
      ])
      expect(await identify(call)).toMatchObject({ confirmed: 'bearer' })
    }
  })

  test('[Countersign: proofs stay here] no proof goes upstream, on a route with a credential or without', () => {
    const call = callOf([
      ['dpop', 'proof'],
      ['accept', '*/*'],
    ])
    for (const credentialed of [true, false])
      expect(upstreamHeaders(call, { credentialed, host: null } as never, null)).not.toContain('dpop')
  })
})

describe('a proof that was used', () => {
  test('[RFC 9449 §11.1] is refused from then on, and the agent is told why', async () => {
    const { token, clock, identify, proof } = await rig()
    const text = await proof()
    await identify(dpopCall(token, [text]))
    for (const ms of [0, 1000, 30_000, 28_000]) {
      clock.move(ms)
      expect(await reason(() => identify(dpopCall(token, [text])))).toBe(replayed)
    }
    clock.move(1000)
    expect(await reason(() => identify(dpopCall(token, [text])))).toMatch(/too old/)
  })

  test('[RFC 9449 §11.1] is told by the whole of its jti, however long', async () => {
    const { token, identify, proof } = await rig()
    for (const jti of ['x'.repeat(43), 'x'.repeat(44), `${'x'.repeat(255)}y`, `${'x'.repeat(255)}z`]) {
      const text = await proof({ claims: { jti } })
      await identify(dpopCall(token, [text]))
      expect(await reason(() => identify(dpopCall(token, [text])))).toBe(replayed)
    }
  })

  test('[RFC 9449 §11.1] is known as long as it could be accepted, whenever it was made and used', async () => {
    const { token, clock, identify, proof } = await rig()
    const used: { readonly text: string; readonly until: number }[] = []
    for (let turn = 0; turn < 60; turn++) {
      const made = clock.now() + ((turn * 7919) % 65) * 1000 - 59_000
      const text = await proof({ now: made })
      await identify(dpopCall(token, [text]))
      used.push({ text, until: made + 60_000 })
      clock.move(((turn * 104_729) % 11) * 1000)
      for (const { text: before, until } of used)
        expect(await reason(() => identify(dpopCall(token, [before])))).toMatch(clock.now() < until ? /used before/ : /too old/)
    }
  })

  test('[RFC 9449 §11.1] is known after a reload', async () => {
    const { token, identify, proof, again } = await rig()
    const text = await proof()
    await identify(dpopCall(token, [text]))
    for (const rules of [
      { window: 60_000, nonce: 'as-needed' },
      { window: 300_000, nonce: 'as-needed' },
    ] as const)
      expect(await reason(() => again(rules)(dpopCall(token, [text])))).toBe(replayed)
  })

  test('[RFC 9449 §11.1] is not one that was refused for anything else', async () => {
    const { token, clock, identify, proof } = await rig()
    const text = await proof({ claims: { iat: clock.now() / 1000 + 6 } })
    expect(await reason(() => identify(dpopCall(token, [text])))).toMatch(/ahead of our clock/)
    expect(await reason(() => identify(dpopCall(token, [text], { method: 'GET' })))).toMatch(/another method/)
    clock.move(1000)
    expect(await identify(dpopCall(token, [text]))).toMatchObject({ confirmed: 'dpop' })
  })

  test('[RFC 9449 §11.1] is told from one of the same jti by another key', async () => {
    const { token, issuer, identify, proof } = await rig()
    const other = await agentKey()
    const theirs = issuer.mint({ claims: { cnf: { jkt: other.jkt } } })
    await identify(dpopCall(token, [await proof({ claims: { jti: 'one' } })]))
    expect(await identify(dpopCall(theirs, [await proof({ key: other, token: theirs, claims: { jti: 'one' } })]))).toBeDefined()
    expect(await reason(async () => identify(dpopCall(token, [await proof({ claims: { jti: 'one' } })])))).toBe(replayed)
  })

  test('[RFC 9449 §11.1] is used up by one of two calls that come together', async () => {
    const { token, identify, proof } = await rig()
    const text = await proof()
    const outcomes = await Promise.allSettled([identify(dpopCall(token, [text])), identify(dpopCall(token, [text]))])
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('[Countersign: a flood of proofs hurts its key alone] too many are refused for a while, and those of other keys are not', async () => {
    const { token, issuer, clock, identify, proof } = await rig(undefined, 3)
    const other = await agentKey()
    const theirs = issuer.mint({ claims: { sub: issuer.id('/other'), cnf: { jkt: other.jkt } } })
    const first = await proof()
    await identify(dpopCall(token, [first]))
    for (let count = 0; count < 2; count++) await identify(dpopCall(token, [await proof()]))
    const refusal = await refusalOf(async () => identify(dpopCall(token, [await proof()])))
    expect(refusal).toMatchObject({ code: 'identify.unavailable', retry: 'later' })
    // nothing was forgotten to make room
    expect(await reason(() => identify(dpopCall(token, [first])))).toBe(replayed)
    expect(await identify(dpopCall(theirs, [await proof({ key: other, token: theirs })]))).toMatchObject({ id: issuer.id('/other') })
    clock.move(131_000)
    expect(await identify(dpopCall(token, [await proof()]))).toMatchObject({ confirmed: 'dpop' })
  })

  test('[Countersign: a flood of proofs hurts its key alone] what does not verify takes no room', async () => {
    const { token, identify, proof } = await rig(undefined, 1)
    const thief = await agentKey()
    for (let count = 0; count < 5; count++)
      expect(await reason(async () => identify(dpopCall(token, [await proof({ signWith: thief })])))).toMatch(/not made with the key/)
    expect(await identify(dpopCall(token, [await proof()]))).toMatchObject({ confirmed: 'dpop' })
  })
})

describe('a nonce', () => {
  const required = { window: 60_000, nonce: 'required' } as const
  /** What a refusal asks for. */
  async function asked(work: () => unknown): Promise<string> {
    const refusal = await refusalOf(work)
    expect(refusal).toMatchObject({ code: 'identify.rejected', reasons: [nonceNeeded], retry: 'later' })
    expect(refusal?.headers['WWW-Authenticate']).toMatch(/^DPoP error="use_dpop_nonce", algs="/)
    return refusal?.headers['DPoP-Nonce'] ?? ''
  }

  test('[RFC 9449 §9; RFC 9449 §4.3 item 10] is asked for, and with it the next proof is accepted', async () => {
    const { token, identify, proof } = await rig(required)
    const nonce = await asked(async () => identify(dpopCall(token, [await proof()])))
    expect(nonce).toMatch(/^[\w-]{22}$/)
    expect(await identify(dpopCall(token, [await proof({ claims: { nonce } })]))).toMatchObject({ confirmed: 'dpop' })
    // a nonce is for a while, a proof for once
    expect(await identify(dpopCall(token, [await proof({ claims: { nonce } })]))).toMatchObject({ confirmed: 'dpop' })
    for (const wrong of ['', 'x', nonce.slice(1), `${nonce}x`])
      await asked(async () => identify(dpopCall(token, [await proof({ claims: { nonce: wrong } })])))
    expect(await reason(async () => identify(dpopCall(token, [await proof({ claims: { nonce: 1 } })])))).toMatch(/not well-formed/)
  })

  test('[RFC 9449 §9] lives at least half the window and at most the whole', async () => {
    const { token, clock, identify, proof } = await rig(required)
    const nonce = await asked(async () => identify(dpopCall(token, [await proof()])))
    const next = async (ms: number): Promise<string> => {
      clock.move(ms)
      return reason(async () => identify(dpopCall(token, [await proof({ claims: { nonce } })])))
    }
    expect(await next(29_999)).toBe('accepted')
    expect(await next(1)).toBe('accepted')
    expect(await next(30_000)).toBe(nonceNeeded)
    const second = await asked(async () => identify(dpopCall(token, [await proof()])))
    expect(second).not.toBe(nonce)
    clock.move(3_600_000)
    expect(await reason(async () => identify(dpopCall(token, [await proof({ claims: { nonce: second } })])))).toBe(nonceNeeded)
  })

  test('[RFC 9449 §11.3] is different in every process, whatever the clock', async () => {
    const one = await rig(required)
    const two = await rig(required)
    const nonce = await asked(async () => one.identify(dpopCall(one.token, [await one.proof()])))
    await asked(async () => two.identify(dpopCall(two.token, [await two.proof({ claims: { nonce } })])))
  })

  test('[RFC 9449 §9] is asked for only of proofs that lack nothing else', async () => {
    const { token, identify, proof } = await rig(required)
    expect(await reason(async () => identify(dpopCall(token, [await proof()], { method: 'GET' })))).toMatch(/another method/)
    expect(await reason(async () => identify(dpopCall(token, [await proof({ key: await agentKey() })])))).toMatch(/not made with the key/)
  })

  test('[Countersign: clocks that step] is needed for what was made before this process began', async () => {
    const { token, clock, again, proof } = await rig()
    const text = await proof()
    clock.move(3000)
    const restarted = again(undefined, new ProofMemory(clock.now()))
    const nonce = await asked(() => restarted(dpopCall(token, [text])))
    expect(await restarted(dpopCall(token, [await proof()]))).toMatchObject({ confirmed: 'dpop' })
    const slow = await proof({ now: clock.now() - 3000, claims: { nonce } })
    expect(await restarted(dpopCall(token, [slow]))).toMatchObject({ confirmed: 'dpop' })
  })

  test('[Countersign: clocks that step] is needed when the clock went back to where proofs are forgotten', async () => {
    const { token, clock, identify, proof } = await rig()
    const text = await proof()
    await identify(dpopCall(token, [text]))
    for (let turn = 0; turn < 5; turn++) {
      clock.move(65_000)
      await identify(dpopCall(token, [await proof()]))
    }
    clock.move(-325_000)
    const nonce = await asked(() => identify(dpopCall(token, [text])))
    // a client that speaks DPoP goes on at once
    expect(await identify(dpopCall(token, [await proof({ claims: { nonce } })]))).toMatchObject({ confirmed: 'dpop' })
    // and nobody is asked any more once the clock is past what it has shown before
    clock.move(400_000)
    expect(await identify(dpopCall(token, [await proof()]))).toMatchObject({ confirmed: 'dpop' })
  })

  test('[Countersign: clocks that step] a clock that was ahead for a while leaves nobody locked out', async () => {
    const { token, clock, identify, proof } = await rig()
    clock.move(86_400_000)
    for (let turn = 0; turn < 4; turn++) {
      await identify(dpopCall(token, [await proof()]))
      clock.move(66_000)
    }
    clock.move(-86_400_000)
    const nonce = await asked(async () => identify(dpopCall(token, [await proof()])))
    for (let turn = 0; turn < 5; turn++)
      expect(await identify(dpopCall(token, [await proof({ claims: { nonce } })]))).toMatchObject({ confirmed: 'dpop' })
    // nor does a day's worth of proofs pile up: what is used now is forgotten in its turn
    clock.move(66_000)
    expect(await reason(async () => identify(dpopCall(token, [await proof({ claims: { nonce } })])))).toBe(nonceNeeded)
  })
})

test('[RFC 9449 §7.2] a call without any of it is asked for a bearer token', async () => {
  const { identify } = await rig()
  const refusal = await refusalOf(() => identify(bearer('')))
  expect(refusal).toMatchObject({ code: 'identify.missing', headers: {} })
})
