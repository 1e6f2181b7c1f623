/** What a Workload API says of this machine: its trust domain and its identities. */
import { openWorkloadApi, WorkloadApiFault, type WorkloadApi } from '../identify/workload-api/workload-api.ts'
import { domainOf, InitFault, quote, type InitIdentity, type Look } from './identity.ts'

const patience = 5000

/** Agents that prove themselves by SVIDs of the Workload API at `socket`. Throws InitFault when it gives no identity. */
export async function spire({ env, trustDomain, agent }: Look, socket: string): Promise<InitIdentity> {
  const ids = await identities(socket, env)
  const ours = ids.find((id) => id.endsWith('/countersign')) ?? ids[0]
  if (ours === undefined) throw new InitFault(`the Workload API at ${socket} gave no identity`)
  const domain = trustDomain ?? domainOf(agent) ?? domainOf(ours) ?? ''
  const others = ids.filter((id) => id !== ours)
  return {
    setup: 'spire',
    agent: agent ?? others[0] ?? `spiffe://${domain}/agent`,
    audience: ours,
    sources: [`- { type: spiffe, socket: ${quote(socket)}, id: ${ours} }`],
    ambient: null,
    files: {},
    key: {
      value: null,
      comment: `a JWT-SVID of the agent for the audience ${ours}, fetched anew while it runs: docs/agents.md, 'Identity'`,
    },
  }
}

async function identities(socket: string, env: Look['env']): Promise<readonly string[]> {
  let api: WorkloadApi | null = null
  try {
    api = openWorkloadApi({ env, address: socket })
    const { svids } = await api.fetchX509Context({ signal: AbortSignal.timeout(patience) })
    return svids.map(({ id }) => id.id)
  } catch (error) {
    const why = error instanceof WorkloadApiFault || error instanceof Error ? error.message : 'unknown'
    throw new InitFault(`the Workload API at ${socket} gives no identity (${why}): register this workload there, or take --setup laptop`, {
      cause: error,
    })
  } finally {
    api?.close()
  }
}
