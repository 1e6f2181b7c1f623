import * as fc from 'fast-check'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { delegationText } from '../../../src/decide/delegation.ts'
import { mostActors, readActing } from '../../../src/identify/jwt/act.ts'
import { readJwtSvid } from '../../../src/identify/jwt-svid/jwt-svid.ts'
import { Secret } from '../../../src/secret.ts'
import { linksOf, mayAct } from '../../../src/task/chain.ts'
import { makeVerifySubject, type ProvenSubject } from '../../../src/task/subject.ts'
import { Issuer } from '../../support/issuer.ts'
import { agentId, otherId, sketchCaller } from '../../support/task-rig.ts'

const issuer = 'https://login.acme.example'

/** An act claim of so many parties: `p1` acted first, the last one acts now. */
function nested(parties: number): unknown {
  let act: unknown
  for (let at = 1; at <= parties; at++) act = { sub: `p${at}`, ...(act === undefined ? {} : { act }) }
  return act
}

async function verified(claims: Readonly<Record<string, unknown>>): Promise<ProvenSubject | null> {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const keys = { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256', kid: 'k' }] }
  const signer = new SignJWT({ sub: 'u1', ...claims }).setProtectedHeader({ alg: 'ES256', kid: 'k' })
  const token = await signer.setIssuer(issuer).setAudience('countersign').setExpirationTime('5m').sign(privateKey)
  return makeVerifySubject([{ issuer, audience: 'countersign', keys }], Date.now, readActing)(new Secret(token))
}

describe('who acts, as a token says', () => {
  test('[RFC 8693 §4.1] the outermost party acts now, and the innermost acted first', () => {
    const act = { sub: 'https://service16.example.com', act: { sub: 'https://service77.example.com' } }
    expect(readActing({ sub: 'u1', act })).toEqual({
      actors: [
        { subject: 'https://service77.example.com', issuer: null },
        { subject: 'https://service16.example.com', issuer: null },
      ],
      mayAct: null,
      verified: true,
    })
    expect(readActing({ sub: 'u1' })).toBeNull()
  })

  test('[RFC 8693 §4.1] stands in the chain before the caller, who is no link of its own', async () => {
    const subject = await verified({ act: { sub: agentId, act: { sub: 'gateway', iss: issuer } } })
    const gateway = { party: 'gateway', task: null, issuer, intent: null }
    expect(linksOf(subject?.acting ?? null, agentId)).toEqual([gateway])
    expect(linksOf(subject?.acting ?? null, otherId)).toEqual([gateway, { party: agentId, task: null, issuer: null, intent: null }])
  })

  test('[RFC 8693 §4.1 identity] a party is known by iss and sub, and a time or an audience within act changes nothing', () => {
    const actors = [{ subject: 'a', issuer }]
    expect(readActing({ act: { sub: 'a', iss: issuer, exp: 1, nbf: 9e9, aud: 'nobody', email: 'a@acme.example' } })?.actors).toEqual(actors)
    for (const act of [
      { iss: issuer },
      { sub: 7 },
      { sub: '' },
      { sub: 'a', iss: 7 },
      { sub: 'a\nb' },
      'a',
      null,
      ['a'],
      { sub: 'x'.repeat(513) },
    ])
      expect(readActing({ act }), JSON.stringify(act)).toEqual({ actors: [], mayAct: null, verified: false })
  })

  test('[RFC 8693 §4.4] only the party that may_act names may come to act for the subject', async () => {
    const caller = sketchCaller()
    for (const [named, may] of [
      [{ sub: agentId }, true],
      [{ sub: otherId }, false],
      [{ sub: agentId, iss: issuer }, false],
    ] as const) {
      const subject = await verified({ may_act: named })
      expect(mayAct(subject?.acting?.mayAct, caller), JSON.stringify(named)).toBe(may)
    }
    expect(mayAct((await verified({ may_act: { sub: agentId, iss: issuer } }))?.acting?.mayAct, { ...caller, issuer })).toBe(true)
    expect(mayAct((await verified({}))?.acting?.mayAct, caller)).toBe(true)
    expect(await verified({ may_act: 'anybody' })).toBeNull()
  })

  test('[Countersign: actors] eight parties are read, nine are not, and what cannot be read opens no task', async () => {
    expect(readActing({ act: nested(mostActors) })?.actors.map(({ subject }) => subject)).toEqual([
      'p1',
      'p2',
      'p3',
      'p4',
      'p5',
      'p6',
      'p7',
      'p8',
    ])
    expect(readActing({ act: nested(mostActors + 1) })).toMatchObject({ verified: false })
    expect(await verified({ act: nested(mostActors) })).toMatchObject({ subject: 'u1' })
    for (const act of [nested(mostActors + 1), { sub: 'a', act: 'b' }, {}]) expect(await verified({ act })).toBeNull()
  })

  test('[Countersign: actors] who acts through a caller stands last in what policy reads, and one who cannot be read is not verified', () => {
    const root = `agent:${agentId}`
    const { acting } = readJwtSvid(new Issuer().mint({ claims: { act: nested(2) } }))
    expect(JSON.parse(delegationText({ root }, acting === null ? {} : { acting }))).toEqual({
      depth: 2,
      root,
      chain: [
        { party: 'p1', task: null, issuer: null, intent: null },
        { party: 'p2', task: null, issuer: null, intent: null },
      ],
      verified: true,
    })
    const bad = readJwtSvid(new Issuer().mint({ claims: { act: 'p1' } })).acting
    expect(JSON.parse(delegationText({ root }, bad === null ? {} : { acting: bad }))).toEqual({
      depth: 0,
      root,
      chain: [],
      verified: false,
    })
  })

  test('[Countersign: actors] whatever the claims hold, they are read or they are not: nothing is thrown', () => {
    const act = fc.letrec((tie) => ({
      claims: fc.record({ sub: fc.oneof(fc.string(), fc.anything()), iss: fc.anything(), act: tie('claims') }, { requiredKeys: [] }),
    })).claims
    fc.assert(
      fc.property(fc.record({ act: fc.oneof(act, fc.anything()), may_act: fc.anything() }, { requiredKeys: [] }), (claims) => {
        const read = readActing(claims)
        expect(read === null).toBe(claims.act === undefined && claims.may_act === undefined)
        if (read?.verified === false) expect(read.actors).toEqual([])
        expect(read?.actors.length ?? 0).toBeLessThanOrEqual(mostActors)
      }),
      { numRuns: 300 },
    )
  })
})
