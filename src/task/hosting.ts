import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import type { Agent } from './agents.ts'

/**
 * Throws `identify.rejected` unless the way a caller was proven is strong enough for where its agent runs: one that a vendor or a delegated
 * administrator hosts comes over TLS, with a certificate or an OIDC token. No listener vouches for it, and no JWT-SVID that whoever holds
 * it can use.
 */
export function checkHosting(agent: Agent, caller: Caller, call: Call): void {
  if (agent.hosting === 'own') return
  const strong = caller.method === 'oidc' || caller.method === 'x509-svid'
  if (strong && call.tls !== null) return
  throw new Refusal('identify.rejected', {
    reasons: ['this agent is let in by a TLS listener alone, with a client certificate or an OIDC token'],
    detail: `${agent.id} is hosted by ${agent.hosting === 'vendor' ? 'a vendor' : 'a delegated administrator'}; it came as ${caller.method} ${call.tls === null ? 'without' : 'over'} TLS`,
  })
}
