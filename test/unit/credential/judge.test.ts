import { expect, describe, it } from 'vitest'
import { judged, type Came, type Harmless } from '../../../src/credential/judge.ts'

const now = 1_700_000_000_000
const wanted = { scopes: ['a', 'b'], audience: 'https://crm.acme.example', ttl: 60_000 }
const came: Came = { scopes: ['a'], audience: 'https://crm.acme.example', expires: now + 60_000, revocable: false }

const judge = (changes: Partial<Came>, may: Harmless = {}) => judged(wanted, { ...came, ...changes }, may, now)

describe('what an issuer gave', () => {
  it('is fine when it is no wider than what was wanted', () => {
    expect(judge({})).toBeNull()
    expect(judge({ scopes: [], audience: ['https://crm.acme.example'], expires: now + 1 })).toBeNull()
    expect(judge({ type: { wanted: 'Bearer', came: 'bearer' } })).toBeNull()
  })

  it.each<[string, Partial<Came>, string]>([
    ['of another type', { type: { wanted: 'Bearer', came: 'DPoP' } }, 'its type is not the one asked for'],
    ['of a type that is no text', { type: { wanted: 'Bearer', came: ['Bearer'] } }, 'its type is not the one asked for'],
    ['with one scope more', { scopes: ['a', 'c'] }, 'its scope is wider than asked'],
    ['with a scope that nobody tells', { scopes: null }, 'its scope cannot be told'],
    ['for another audience too', { audience: ['https://crm.acme.example', '*'] }, 'its audience is not the one asked for'],
    ['for no audience', { audience: [] }, 'its audience is not the one asked for'],
    ['for an audience that nobody tells', { audience: null }, 'its audience cannot be told'],
    ['that lives longer', { expires: now + 60_001 }, 'it lives longer than asked and nothing can revoke it'],
    ['whose end nobody tells', { expires: null }, 'its expiry is not told'],
    ['whose end is no time', { expires: Number.NaN }, 'its expiry is not told'],
  ])('is too wide when it is one %s', (_what, changes, why) => expect(judge(changes)).toBe(why))

  it('may live longer when it can be taken back', () => {
    expect(judge({ expires: now + 3_600_000, revocable: true })).toBeNull()
  })

  it('may be wider by what is named harmless, and by nothing else', () => {
    const may = { surplus: ['openid'], surplus_ttl: 5000 }
    expect(judge({ scopes: ['a', 'openid'], expires: now + 65_000 }, may)).toBeNull()
    expect(judge({ scopes: ['openid', 'admin'] }, may)).toBe('its scope is wider than asked')
    expect(judge({ expires: now + 65_001 }, may)).toBe('it lives longer than asked and nothing can revoke it')
  })

  it('may live until the shortest life that its issuer knows', () => {
    expect(judge({ expires: now + 900_000 }, { floor: 900_000 })).toBeNull()
    expect(judge({ expires: now + 900_001 }, { floor: 900_000 })).not.toBeNull()
    expect(judge({ expires: now + 60_000 }, { floor: 1000 })).toBeNull()
  })

  it('is not asked for its audience when none was wanted', () => {
    expect(judged({ ...wanted, audience: null }, { ...came, audience: 'anything' }, {}, now)).toBeNull()
  })
})
