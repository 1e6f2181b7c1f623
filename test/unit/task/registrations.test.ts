import { array, assert, asyncProperty, constantFrom, oneof, record } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { digestOf } from '../../../src/config/agents-from.ts'
import { readRegistration, registrationOrNull } from '../../../src/config/registration.ts'
import { openSqlite } from '../../../src/state/sqlite.ts'
import type { LifecycleState, OwnerRole } from '../../../src/state/registrations.ts'
import { notLive } from '../../../src/task/agents.ts'
import { leadsTo, narrower, ownerRoles, type LifecycleVerb } from '../../../src/task/lifecycle.ts'
import { Registrations, RegistrationFault, type DeclaredAgent, type RegistrationEvent } from '../../../src/task/registrations.ts'
import { liveRegistry } from '../../../src/task/registry.ts'
import { agentId, noon, otherId, sketchAgent } from '../../support/task-rig.ts'

const named = { business: 'ben', security: 'sam', incident: 'ida' }

function registration(change: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return { id: agentId, purpose: 'test', owners: named, autonomy: 'bounded', intent: { tools: ['crm.*'] }, ...change }
}

function rig(declared: readonly DeclaredAgent[] = []) {
  const state = openSqlite({ path: ':memory:', clock: () => noon })
  const book = state.registrations
  const registry = liveRegistry({ declared: declared.map(({ agent }) => agent), book, read: registrationOrNull, environment: 'test' })
  const told: { events: RegistrationEvent[]; changed: string[]; ledger: (event: RegistrationEvent) => Promise<void> } = {
    events: [],
    changed: [],
    ledger: async (event) => void told.events.push(event),
  }
  const registrations = new Registrations({
    book,
    declared: () => declared,
    registry: () => registry,
    read: readRegistration,
    digest: digestOf,
    clock: () => noon,
    event: (event) => told.ledger(event),
    changed: (id) => void told.changed.push(id),
  })
  const live = (id = agentId): boolean => {
    const agent = registry.find(id)
    return agent !== null && notLive(agent, noon) === null
  }
  return { book, registry, registrations, told, live }
}

type Rig = ReturnType<typeof rig>

const by = { by: 'person:ada', reason: 'because' }
const accept = (on: Rig, role: OwnerRole, name: string = named[role], groups: readonly string[] | null = null) =>
  on.registrations.accept(agentId, role, { name, groups }, 'fine')

const declaredAgent = (change: Parameters<typeof sketchAgent>[0] = {}): DeclaredAgent => ({
  agent: sketchAgent(change),
  file: 'agents/a.yaml',
  sha256: 'sha256:f',
  digest: 'sha256:d',
})

async function faultOf(done: Promise<unknown>): Promise<RegistrationFault> {
  const fault = await done.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(fault instanceof RegistrationFault)) throw new Error('it was done', { cause: fault })
  return fault
}

describe('the lifecycle', () => {
  const verbs: readonly LifecycleVerb[] = ['propose', 'accept', 'suspend', 'resume', 'retire']
  const states: readonly LifecycleState[] = ['proposed', 'approved', 'live', 'suspended', 'retired']

  test('leads to live by resume alone, and out of retired by a new proposal alone', () => {
    for (const verb of verbs)
      for (const state of states) {
        if (leadsTo(verb, state) === 'live') expect(verb).toBe('resume')
        if (state === 'retired' && leadsTo(verb, state) !== null) expect(['propose', 'retire']).toContain(verb)
      }
    expect(verbs.map((verb) => leadsTo(verb, 'none'))).toEqual(['proposed', null, null, null, null])
  })

  test('of a file is only ever narrowed by people', () => {
    for (const file of states) for (const people of states) expect([file, 'suspended', 'retired']).toContain(narrower(file, people))
    expect(narrower('proposed', 'live')).toBe('proposed')
  })

  test('never makes an agent live that not all three owners accepted as it is now, whatever people do in which order', async () => {
    const step = oneof(
      record({ verb: constantFrom('propose' as const), purpose: constantFrom('one', 'two') }),
      record({ verb: constantFrom('accept' as const), role: constantFrom(...ownerRoles) }),
      record({ verb: constantFrom('suspend' as const, 'resume' as const, 'retire' as const) }),
    )
    await assert(
      asyncProperty(array(step, { maxLength: 24 }), async (steps) => {
        const on = rig()
        let lifted = true
        let accepted = new Set<string>()
        let purpose: string | null = null
        for (const one of steps) {
          try {
            if (one.verb === 'propose') {
              const before = on.book.registration(agentId)?.lifecycle
              await on.registrations.propose(registration({ purpose: one.purpose }), by)
              if (purpose !== one.purpose || before === 'retired') accepted = new Set()
              if (before === 'retired') lifted = true
              purpose = one.purpose
            } else if (one.verb === 'accept') {
              await accept(on, one.role)
              accepted.add(one.role)
            } else {
              await on.registrations[one.verb](agentId, by)
              lifted = one.verb === 'resume'
            }
          } catch (error) {
            if (!(error instanceof RegistrationFault)) throw error
          }
          expect(on.live()).toBe(accepted.size === 3 && lifted)
        }
      }),
    )
  })
})

describe('a registration', () => {
  test('goes live with the last of its three owners, each in the ledger before it counts', async () => {
    const on = rig()
    await on.registrations.propose(registration(), by)
    for (const role of ownerRoles) {
      expect(on.live()).toBe(false)
      await accept(on, role)
    }
    expect(on.live()).toBe(true)
    expect(on.told.events.map(({ kind, by: who }) => `${kind} ${who}`)).toEqual([
      'agent.proposed person:ada',
      'agent.accepted person:ben',
      'agent.accepted person:sam',
      'agent.accepted person:ida',
    ])
    expect(on.told.events.at(-1)?.detail).toMatchObject({ role: 'incident', missing: [], digest: digestOf(registration()) })
  })

  test('that a ledger cannot take is not accepted, and is suspended all the same', async () => {
    const on = rig()
    await on.registrations.propose(registration(), by)
    await accept(on, 'business')
    await accept(on, 'security')
    const good = on.told.ledger
    on.told.ledger = () => Promise.reject(new Error('full'))
    await expect(accept(on, 'incident')).rejects.toThrow('full')
    expect(on.live()).toBe(false)
    on.told.ledger = good
    await accept(on, 'incident')
    expect(on.live()).toBe(true)
    on.told.ledger = () => Promise.reject(new Error('full'))
    await expect(on.registrations.suspend(agentId, by)).rejects.toThrow('full')
    expect(on.live()).toBe(false)
    await expect(on.registrations.resume(agentId, by)).rejects.toThrow('full')
    expect(on.live()).toBe(false)
  })

  test('that is suspended while somebody lifts an earlier suspension stays suspended', async () => {
    const on = rig()
    await on.registrations.propose(registration(), by)
    for (const role of ownerRoles) await accept(on, role)
    await on.registrations.suspend(agentId, by)
    const slow = Promise.withResolvers<void>()
    on.told.ledger = ({ kind }) => (kind === 'agent.resumed' ? slow.promise : Promise.resolve())
    const resumed = faultOf(on.registrations.resume(agentId, by))
    await on.registrations.suspend(agentId, { by: 'person:eve', reason: 'again' })
    slow.resolve()
    expect(await resumed).toMatchObject({ why: 'state' })
    expect(on.live()).toBe(false)
    expect(on.told.changed.every((id) => id === agentId)).toBe(true)
  })

  test('that leads to approved waits for a person to take it live', async () => {
    const on = rig()
    await on.registrations.propose(registration({ lifecycle: 'approved' }), by)
    for (const role of ownerRoles) await accept(on, role)
    expect(on.registrations.show(agentId).agent.lifecycle).toBe('approved')
    await on.registrations.resume(agentId, by)
    expect(on.live()).toBe(true)
  })

  test.each([
    ['without owners', { owners: { business: 'ben' } }, 'three owners'],
    ['that is suspended to begin with', { lifecycle: 'suspended' }, 'not to suspended'],
    ['with a member that nobody knows', { purpse: 'x' }, 'purpse'],
    ['of no SPIFFE ID', { id: 'agent' }, 'SPIFFE ID'],
  ])('%s cannot be proposed', async (_what, change, why) => {
    const on = rig()
    expect(await faultOf(on.registrations.propose(registration(change), by))).toMatchObject({
      why: 'malformed',
      message: expect.stringContaining(why),
    })
    expect(on.told.events).toEqual([])
  })

  test('is accepted by who proved to be the owner, or in the group that is', async () => {
    const on = rig()
    await on.registrations.propose(registration(), by)
    expect(await faultOf(accept(on, 'business', 'eve', ['staff']))).toMatchObject({ why: 'not-owner' })
    await accept(on, 'business', 'ben', [])
    await accept(on, 'security', 'eve', ['sam'])
    expect(await faultOf(accept(on, 'incident', 'eve'))).toMatchObject({ why: 'not-owner' })
  })

  test('that is not there cannot be acted on', async () => {
    const on = rig()
    for (const verb of ['suspend', 'resume', 'retire'] as const)
      expect(await faultOf(on.registrations[verb](otherId, by))).toMatchObject({ why: 'unknown' })
  })
})

describe('what a file declares', () => {
  test('is written down once, until it changes, and only kept when it is in force', async () => {
    const on = rig([declaredAgent()])
    const keep = await on.registrations.declare([declaredAgent()])
    expect(on.book.registrations()).toEqual([])
    keep()
    expect(await on.registrations.declare([declaredAgent()])).toBeTypeOf('function')
    expect(on.told.events).toMatchObject([
      { kind: 'agent.registered', by: 'file:agents/a.yaml', detail: { sha256: 'sha256:f', digest: 'sha256:d' } },
    ])
    await on.registrations.declare([{ ...declaredAgent(), digest: 'sha256:e' }])
    expect(on.told.events).toHaveLength(2)
  })

  test('stays suspended when its file changes, and whoever never changed stays the same object', async () => {
    const on = rig([declaredAgent(), declaredAgent({ id: otherId })])
    const other = on.registry.find(otherId)
    await on.registrations.suspend(agentId, by)
    ;(await on.registrations.declare([{ ...declaredAgent(), digest: 'sha256:e' }]))()
    expect([on.live(), on.live(otherId)]).toEqual([false, true])
    expect(on.registry.find(otherId)).toBe(other)
    await on.registrations.resume(agentId, by)
    expect(on.live()).toBe(true)
  })

  test('goes before what the admin API registered under the same id, and does not bring that back when it goes', async () => {
    const api = rig()
    await api.registrations.propose(registration({ purpose: 'api' }), by)
    for (const role of ownerRoles) await accept(api, role)
    const file = liveRegistry({
      declared: [sketchAgent({ purpose: 'file' })],
      book: api.book,
      read: registrationOrNull,
      environment: 'test',
    })
    expect(file.find(agentId)?.purpose).toBe('file')
    ;(await api.registrations.declare([declaredAgent()]))()
    expect(api.told.events.at(-1)?.detail).toMatchObject({ supersedes: digestOf(registration({ purpose: 'api' })) })
    expect(api.registry.find(agentId)).toBeNull()
  })
})

describe('the registry', () => {
  test('takes up a registration in the tick in which it changes, and lets none be live elsewhere', async () => {
    const on = rig()
    await on.registrations.propose(registration({ environment: 'staging' }), by)
    for (const role of ownerRoles) await accept(on, role)
    const agent = on.registry.find(agentId)
    expect(agent && notLive(agent, noon)).toContain('registered for staging, and this is test')
  })

  test('leaves out a registration that it cannot read any more', () => {
    const on = rig()
    on.book.put({ id: agentId, declared: { id: agentId }, lifecycle: 'live', acceptances: [], changed: { at: noon, ...by } })
    expect(on.registry.find(agentId)).toBeNull()
  })

  test('never takes the word of a row for what its owners did not accept', () => {
    const on = rig()
    on.book.put({ id: agentId, declared: registration(), lifecycle: 'live', acceptances: [], changed: { at: noon, ...by } })
    expect(on.live()).toBe(false)
  })
})
