/** Asks a Workload API what it gives this process, over a connection of its own: streams of a running Countersign are not touched. */
import { setTimeout as pause } from 'node:timers/promises'
import { endpointAddress, type EndpointAddress } from '../identify/workload-api/address.ts'
import {
  openWorkloadApi,
  WorkloadApiFault,
  type JwtBundles,
  type WorkloadApi,
  type X509Context,
} from '../identify/workload-api/workload-api.ts'
import { error, type Check } from './findings.ts'
import type { Means } from './means.ts'
import { socketFault } from './socket.ts'

/** Where to ask, and what findings are about. */
export interface Place {
  readonly subject: string
  /** Absent: the variable decides. */
  readonly address: string | undefined
  /** Where the address was taken from. */
  readonly from: string
}

/** What it gave. At least one of the two is there. */
export interface Answers {
  readonly api: WorkloadApi
  readonly x509: X509Context | null
  readonly jwt: JwtBundles | null
}

export interface Asked {
  readonly checks: readonly Check[]
  /** Null when nothing can be had from it. Whoever gets it closes `api`. */
  readonly answers: Answers | null
}

const timeout = 5000
/** Between two tries. */
const step = 500

export async function askWorkloadApi(place: Place, means: Means): Promise<Asked> {
  const address = addressOf(place, means)
  if ('severity' in address) return { checks: [address], answers: null }
  const fault = await socketFault(address, place.subject)
  if (fault !== null) return { checks: [fault], answers: null }
  const api = openWorkloadApi({ address: address.text, clock: means.clock, timeout })
  const asking = { where: { subject: place.subject, text: address.text }, means, late: performance.now() + means.wait }
  const x509 = await patiently(() => api.fetchX509Context({ signal: means.signal }), asking)
  const jwt = await patiently(() => api.fetchJwtBundles({ signal: means.signal }), asking)
  if (!(x509 instanceof WorkloadApiFault) || !(jwt instanceof WorkloadApiFault))
    return {
      checks: [...unserved(x509, 'FetchX509SVID', asking.where), ...unserved(jwt, 'FetchJWTBundles', asking.where)],
      answers: { api, x509: orNull(x509), jwt: orNull(jwt) },
    }
  api.close()
  // both fail in one way nearly always, and then it is one finding
  const checks = [faultCheck(x509, 'FetchX509SVID', asking.where)]
  if (jwt.code !== x509.code) checks.push(faultCheck(jwt, 'FetchJWTBundles', asking.where))
  return { checks, answers: null }
}

function addressOf({ subject, address, from }: Place, { env }: Means): EndpointAddress | Check {
  try {
    return endpointAddress(address, env)
  } catch (fault) {
    if (!(fault instanceof WorkloadApiFault)) throw fault
    return error('CS2001', {
      subject,
      seen: `${fault.message} (${from})`,
      fix: 'Set SPIFFE_ENDPOINT_SOCKET, identify.sources[].socket or --socket to the address of the agent, such as unix:///run/spire/agent/public/api.sock.',
    })
  }
}

interface Where {
  readonly subject: string
  /** The address. */
  readonly text: string
}

interface Asking {
  readonly where: Where
  readonly means: Means
  /** By `performance.now()`. */
  readonly late: number
}

/** Asks again while the answer may change by itself: an entry that has not come through yet, an agent that is starting. */
async function patiently<Value>(ask: () => Promise<Value>, { where, means, late }: Asking): Promise<Value | WorkloadApiFault> {
  for (let told = false; ;) {
    const answer = await ask().catch((fault: unknown) => {
      if (fault instanceof WorkloadApiFault) return fault
      throw fault
    })
    if (!(answer instanceof WorkloadApiFault)) return answer
    means.signal.throwIfAborted()
    const passing = answer.code === 'permission-denied' || answer.code === 'unavailable'
    const left = late - performance.now()
    if (!passing || left <= 0) return answer
    if (!told) means.progress(`waiting up to ${Math.ceil(left / 1000)} s for ${where.text}: ${answer.message}`)
    told = true
    await pause(Math.min(step, left), undefined, { signal: means.signal })
  }
}

function orNull<Value>(answer: Value | WorkloadApiFault): Value | null {
  return answer instanceof WorkloadApiFault ? null : answer
}

/** One profile is enough for some: what is missing is said, less loudly where the endpoint means it so. */
function unserved(answer: unknown, call: string, where: Where): Check[] {
  if (!(answer instanceof WorkloadApiFault)) return []
  const check = faultCheck(answer, call, where)
  return [answer.code === 'unimplemented' ? { ...check, severity: 'warning' } : check]
}

function faultCheck({ code, message }: WorkloadApiFault, call: string, { subject, text }: Where): Check {
  const seen = `${call} at ${text}: ${message}`
  switch (code) {
    case 'permission-denied':
      return error('CS2009', {
        subject,
        seen,
        fix: `Make a registration entry whose selectors fit this process (${entryCommand()}). It takes about 6 s to come through: ask again with --wait 30s.`,
      })
    case 'invalid-argument':
      return error('CS2007', {
        subject,
        seen,
        fix: 'Something between us and the agent takes the header workload.spiffe.io: true away, or the agent speaks another version: connect to its socket without a proxy.',
      })
    case 'unimplemented':
      return error('CS2008', {
        subject,
        seen,
        fix: 'Upgrade the agent, or do without: with X.509-SVIDs alone agents come over mTLS, with JWT-SVIDs alone there is no tls: svid.',
      })
    case 'malformed':
      return error('CS2010', {
        subject,
        seen,
        fix: 'What was sent is discarded until it is right: look at the log of the agent and its version.',
      })
    default:
      return strange(subject, seen)
  }
}

function strange(subject: string, seen: string): Check {
  return error('CS2006', {
    subject,
    seen,
    fix: 'Make sure that the address is that of a SPIFFE Workload API (not of the SPIRE server or of its admin socket), and look at the log of the agent.',
  })
}

/** On a machine the user tells processes apart, in a cluster the service account. */
function entryCommand(): string {
  const user = process.getuid?.() ?? null
  const selector = user === null ? '<selector>' : `unix:uid:${user}`
  return `spire-server entry create -parentID <ID of the agent> -spiffeID <ID> -selector ${selector}; in Kubernetes -selector k8s:ns:<namespace> -selector k8s:sa:<account>`
}
