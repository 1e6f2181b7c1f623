import { hash } from 'node:crypto'
import type { Listener } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import type { Caller } from './identify.ts'
import { MalformedSpiffeId, parseSpiffeId } from './spiffe-id.ts'

/** Nothing expires, so policy and tasks are given an hour at a time. */
const span = 3_600_000

/** What does not change from call to call, kept as long as its listener. Written by `ambientCaller` alone. */
const templates = new WeakMap<Listener, Omit<Caller, 'expires'>>()

/**
 * The caller that a listener vouches for when a call presents no token: weaker than any proof, and said so by `method` and `confirmed`.
 * Takes the listener, its configured ID and epoch ms. Throws `identify.unavailable` when the ID is not that of a workload.
 */
export function ambientCaller(listener: Listener, id: string, now: number): Caller {
  let template = templates.get(listener)
  if (template === undefined) templates.set(listener, (template = makeTemplate(listener.name, id)))
  return { ...template, expires: now + span }
}

function makeTemplate(listener: string, id: string): Omit<Caller, 'expires'> {
  return {
    id,
    trustDomain: trustDomainOf(id),
    method: 'ambient',
    confirmed: 'none',
    issuer: null,
    // there is no token to tell sessions apart: one listener is one session
    proof: `sha256:${hash('sha256', `ambient\n${listener}\n${id}`)}`,
    claims: {},
  }
}

function trustDomainOf(id: string): string {
  try {
    const { path, trustDomain } = parseSpiffeId(id)
    if (path === '') throw new MalformedSpiffeId('it names a trust domain, not a workload')
    return trustDomain
  } catch (error) {
    const why = error instanceof MalformedSpiffeId ? error.message : 'it cannot be read'
    throw new Refusal('identify.unavailable', { detail: `the listener's ambient ID: ${why}`, cause: error })
  }
}
